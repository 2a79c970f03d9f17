"""Write files whole or not at all, find them in folders, pair them by name."""

import errno
import os
import platform
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deepmat.errors import ConfigError, DataError
from deepmat.runtime.paths import is_file, is_folder, is_there

AnyPath = str | os.PathLike[str]
"""What public functions take as a path."""
TEMPORARY = ".deepmat-part"
LONG = 200
"""Bytes of a name from which on the temporary file has another one: file systems end names at 255 bytes."""
HOST = f"{zlib.crc32(platform.node().encode()):08x}"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which replaces `path` when the block ends without an error.

    The data is synced to the disk first. Missing parent folders are made. Raises DataError if the path cannot be
    written (no permission, disk full).
    """
    if is_there(path) and not is_file(path):
        raise DataError(f"{path}: is {'a folder' if is_folder(path) else 'no regular file'}; choose another name")
    name = path.name if len(os.fsencode(path.name)) <= LONG else f"{zlib.crc32(os.fsencode(path.name)):08x}"
    part = path.with_name(f".{name}.{HOST}-{os.getpid()}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with open(part, "r+b") as written:
            os.fsync(written.fileno())
        os.replace(part, path)
    except OSError as error:
        how = "use a shorter name" if error.errno == errno.ENAMETOOLONG else "free space or choose another place"
        raise DataError(f"{path}: cannot be written ({error.strerror or error}); {how}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write `data` to `path`, whole or not at all. Raises DataError if that fails."""
    with whole_file(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    r"""Write `text` as UTF-8 to `path`, whole or not at all. Raises DataError if that fails.

    The bytes of names that are no UTF-8 are written as escapes: \udce9 for \xe9.
    """
    write_bytes(path, text.encode(errors="backslashreplace"))


def append_line(path: Path, line: str) -> None:
    """Append a line to a log, after a line break if a killed process left the last line incomplete.

    Raises DataError if that fails.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab+") as lines:
            if lines.tell():
                lines.seek(-1, os.SEEK_END)
                cut = lines.read(1) != b"\n"
                line = "\n" * cut + line
            lines.write(f"{line}\n".encode())
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); free space or change its permissions, then go on"
        ) from error


def make_folder(folder: Path) -> None:
    """Make a folder and its parents if missing. Raises DataError if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: no folder can be made ({error.strerror}); choose another place") from error


def remove_leftovers(folder: Path) -> None:
    """Delete incomplete files of killed processes below `folder`, but not those of running ones."""
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
    """Return the path that a caller from Python gave, of any type of AnyPath.

    name: of the argument, for messages. Raises DataError for anything else: bytes, a number, "", a NUL.
    """
    path = os.fspath(given) if isinstance(given, (str, os.PathLike)) else None
    if isinstance(path, str) and path and "\0" not in path:
        return Path(path)
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
    """Return the absolute path without links; a loop of links ends where it begins."""
    return Path(os.path.realpath(path))


def refuse_overwriting(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise ConfigError if an output would replace an input or another output."""
    taken = {real(path): f"the input {path}" for path in inputs}
    for path in outputs:
        place = real(path)
        if place in taken:
            raise ConfigError(f"{path}: would overwrite {taken[place]}; choose another output folder")
        taken[place] = "another output"


def refuse_inside(option: str, path: Path, folders: Iterable[Path | None]) -> None:
    """Raise ConfigError if a path to be written lies in a folder that is read. option: its name in the message."""
    for folder in filter(None, folders):
        if folder.resolve() in (path.resolve(), *path.resolve().parents):
            raise ConfigError(f"{option} {path}: lies in {folder}, which is read; choose a place beside it")
