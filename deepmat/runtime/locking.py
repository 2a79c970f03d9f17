"""One process at a time in a folder."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from deepmat.errors import ConfigError, DataError
from deepmat.runtime.files import make_folder
from deepmat.runtime.paths import MAY_NOT
from deepmat.runtime.storage import Address


@contextmanager
def alone(folder: Path, taken: str) -> Iterator[None]:
    """Lock a folder, which is made; ConfigError if another process holds the lock. A kill releases it.

    taken: what the message says then. Raises DataError if the lock may not be opened, say because it is another user's.
    A storage has no locks.
    """
    if isinstance(folder, Address):
        yield
        return
    make_folder(folder)
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise ConfigError(f"{folder}: {taken}") from error
    except OSError as error:
        raise DataError(f"{lock.lock_file}: cannot be opened ({error.strerror}); {MAY_NOT}") from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file
            Path(lock.lock_file).unlink()
        lock.release()
