"""Write files whole or not at all, on the disk or in a storage."""

import errno
import os
import platform
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deepmat.errors import ConfigError, DataError
from deepmat.runtime import storage
from deepmat.runtime.paths import is_file, is_folder, is_there

AnyPath = str | os.PathLike[str]
"""What public functions take as a path."""
TEMPORARY = ".deepmat-part"
LONG = 200
"""Bytes of a name from which on the temporary file has another one: file systems end names at 255 bytes."""
EVERY, SHARE = 60.0, 20
"""Seconds between two uploads of a log that grows, at least, and how many times longer than an upload that must be."""
FEW = 16
"""Files of a storage that are asked for one by one; for more, their folders are listed."""
HOST = f"{zlib.crc32(platform.node().encode()):08x}"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which replaces `path` when the block ends without an error.

    The data is synced to the disk first. Missing parent folders are made. For an address the temporary file is local,
    and uploaded at the end. Raises DataError if the path cannot be written (no permission, disk full), or a file that
    the block reads cannot be read.
    """
    path = storage.addressed(path)
    if isinstance(path, storage.Address):
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder, path.name)
            yield local
            storage.upload(path, local)
        return
    if is_there(path) and not is_file(path):
        raise DataError(f"{path}: is {'a folder' if is_folder(path) else 'no regular file'}; choose another name")
    name = path.name if len(os.fsencode(path.name)) <= LONG else f"{zlib.crc32(os.fsencode(path.name)):08x}"
    part = path.with_name(f".{name}.{threading.get_native_id()}.{HOST}-{os.getpid()}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with open(part, "r+b") as written:
            os.fsync(written.fileno())
        os.replace(part, path)
    except OSError as error:
        # An error of copying names both files, whichever failed.
        other = error.filename2 is None and error.filename is not None
        if other and Path(os.fsdecode(error.filename)) not in (part, *part.parents):
            raise DataError(f"{error.filename}: cannot be read ({error.strerror}); check its permissions") from error
        how = "use a shorter name" if error.errno == errno.ENAMETOOLONG else "free space or choose another place"
        raise DataError(f"{path}: cannot be written ({error.strerror or error}); {how}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write `data` to `path`, whole or not at all. Raises DataError if that fails."""
    path = storage.addressed(path)
    if isinstance(path, storage.Address):
        return storage.write(path, data)
    with whole_file(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    r"""Write `text` as UTF-8 to `path`, whole or not at all. Raises DataError if that fails.

    The bytes of names that are no UTF-8 are written as escapes: \udce9 for \xe9.
    """
    write_bytes(path, text.encode(errors="backslashreplace"))


def append_line(path: Path, line: str) -> None:
    """Append a line to a log, after a line break if a killed process left the last line incomplete.

    Raises DataError if that fails, and for an address, where no file grows (`open_log`).
    """
    path = storage.addressed(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab+") as lines:
            if lines.tell():
                lines.seek(-1, os.SEEK_END)
                cut = lines.read(1) != b"\n"
                line = "\n" * cut + line
            lines.write(f"{line}\n".encode())
    except OSError as error:
        how = "free space, change its permissions or choose another place"
        raise DataError(f"{path}: cannot be written ({error.strerror or error}); {how}") from error


@contextmanager
def open_log(path: Path) -> Iterator[Callable[[str], None]]:
    """Yield a function that appends a line to a log, as `append_line`.

    A storage has no files that grow: there the log is kept on the disk, after the lines that it has, and uploaded whole
    now and then and at the end. Raises DataError if it cannot be read or written.
    """
    if not isinstance(path, storage.Address):
        yield lambda line: append_line(path, line)
        return
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder, path.name)
        local.write_bytes(path.read_bytes() if path.is_file() else b"")
        uploaded, wait = time.monotonic(), EVERY

        def append(line: str) -> None:
            nonlocal uploaded, wait
            append_line(local, line)
            begin = time.monotonic()
            if begin - uploaded > wait:
                storage.upload(path, local)
                uploaded = time.monotonic()
                wait = max(EVERY, SHARE * (uploaded - begin))

        try:
            yield append
        finally:
            storage.upload(path, local)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents if missing. Raises DataError if that fails, and for an address."""
    folder = storage.addressed(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: no folder can be made ({error.strerror}); choose another place") from error


def remove_leftovers(folder: Path) -> None:
    """Delete incomplete files of killed processes below `folder`, but not those of running ones.

    In a storage there are none.
    """
    if isinstance(folder, storage.Address):
        return
    for part in folder.rglob(f".*{TEMPORARY}"):
        with suppress(OSError):
            if not _being_written(part):
                part.unlink(missing_ok=True)


def _being_written(part: Path) -> bool:
    """Return whether the process named in a temporary file runs; on other hosts and systems, whether it is recent."""
    host, _, process = part.name.removesuffix(TEMPORARY).rpartition(".")[2].rpartition("-")
    if os.name == "posix" and process.isdigit() and host in ("", HOST):
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            return False
        except (PermissionError, OverflowError):
            return True
        return True
    return time.time() - part.stat().st_mtime < 3600


def as_path(given: object, name: str) -> Path:
    """Return the path that a caller from Python gave, of any type of AnyPath; an address as `storage.Address`.

    name: of the argument, for messages. Raises DataError for anything else: bytes, a number, "", a NUL; ConfigError for
    an address that is none (`storage.addressed`).
    """
    if isinstance(given, storage.Address):
        return given
    path = os.fspath(given) if isinstance(given, (str, os.PathLike)) else None
    if isinstance(path, str) and path and "\0" not in path:
        return storage.addressed(path)
    raise DataError(f"{name}: {given!r:.60} is no path; give a str or a pathlib.Path")


def as_path_or_none(given: object, name: str) -> Path | None:
    """Return the path that a caller from Python gave, or None for None and "". Raises DataError as `as_path`."""
    return None if given is None or given == "" else as_path(given, name)


def as_paths(given: object, name: str) -> list[Path]:
    """Return the paths that a caller from Python gave: one, or any iterable of them. Raises DataError as `as_path`."""
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes, os.PathLike)):
        return [as_path(each, name) for each in given]
    return [as_path(given, name)]


def real(path: Path) -> Path:
    """Return the absolute path without links; a loop of links ends where it begins. An address stays as it is."""
    if isinstance(path, storage.Address):
        return path
    return Path(os.path.realpath(path))


def existing(folders: Iterable[Path], count: int) -> Callable[[Path], bool]:
    """Return a function that says whether a path is a file.

    For addresses it knows the files of those folders from listing them, so that no request is made for each of `count`
    files, unless these are FEW. Raises DataError if a folder cannot be listed or a closed one hides a file.
    """
    places = [folder for folder in folders if isinstance(folder, storage.Address)]
    if not places or count <= FEW:
        return is_file
    there = {folder: frozenset(storage.names(folder)) for folder in places}

    def exists(path: Path) -> bool:
        folder = next((each for each in there if each in path.parents), None)
        return is_file(path) if folder is None else path.relative_to(folder).as_posix() in there[folder]

    return exists


def refuse_overwriting(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise ConfigError if an output would replace an input or another output."""
    taken = {real(path): f"the input {path}" for path in inputs}
    for path in outputs:
        place = real(path)
        if place in taken:
            raise ConfigError(f"{path}: would overwrite {taken[place]}; choose another output folder")
        taken[place] = "another output"


def refuse_file(option: str, path: Path) -> None:
    """Raise ConfigError if a path that is to be a folder is a file. option: its name in the message."""
    if is_there(path) and not is_folder(path):
        raise ConfigError(f"{option} {path}: is a file; name a folder")


def refuse_inside(option: str, path: Path, folders: Iterable[Path | None]) -> None:
    """Raise ConfigError if a path to be written lies in a folder that is read. option: its name in the message."""
    for folder in filter(None, folders):
        if folder.resolve() in (path.resolve(), *path.resolve().parents):
            raise ConfigError(f"{option} {path}: lies in {folder}, which is read; choose a place beside it")
