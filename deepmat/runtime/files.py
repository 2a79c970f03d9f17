"""Files: written whole or not at all, found in folders, paired by name."""

import os
import platform
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from deepmat.errors import ConfigError, DataError

PICTURE_SUFFIXES = frozenset(
    ".png .jpg .jpeg .jpe .jfif .bmp .tif .tiff .webp .gif .ppm .pgm .pbm .pnm .jp2 .tga .avif".split()
)
TEMPORARY = ".deepmat-part"
HOST = f"{zlib.crc32(platform.node().encode()):08x}"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place, on the disk, when the block ends well.

    Makes missing parent folders. DataError if the place cannot be written (no permission, disk full).
    """
    part = path.with_name(f".{path.name}.{HOST}-{os.getpid()}{TEMPORARY}")
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: is {'a folder' if path.is_dir() else 'no regular file'}; choose another name")
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with open(part, "r+b") as written:
            os.fsync(written.fileno())
        os.replace(part, path)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); free space or choose another place"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write `data` to `path`, whole or not at all; DataError if that fails."""
    with whole_file(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all; DataError if that fails."""
    write_bytes(path, text.encode())


def append_line(path: Path, line: str) -> None:
    """Add a line to a log; DataError if that fails. A kill can cut the last line short; the next begins on its own."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab+") as lines:
            if lines.tell():
                lines.seek(-1, os.SEEK_END)
                cut = lines.read(1) != b"\n"
                line = "\n" * cut + line
            lines.write(f"{line}\n".encode())
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error}); free space, then go on") from error


def make_folder(folder: Path) -> None:
    """With its parents, if it is not there; DataError if it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: no folder can be made ({error.strerror}); choose another place") from error


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed process was in the middle of writing below `folder`; not what another one is writing."""
    for part in folder.rglob(f".*{TEMPORARY}"):
        with suppress(OSError):
            if not _being_written(part):
                part.unlink(missing_ok=True)


def _being_written(part: Path) -> bool:
    """Whether the process that a temporary file names is there; where that cannot be asked, whether the file is new."""
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


def is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES


def find_pictures(folder: Path) -> tuple[list[Path], list[str]]:
    """All pictures below `folder`, sorted, and a notice for each file that is none; hidden files are passed over.

    DataError if the folder is missing or holds no picture.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: {'is not a folder' if folder.exists() else 'no such folder'}; check the path")
    pictures, notices = [], []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [Path(parent, name) for name in folders if Path(parent, name).is_symlink()]
        notices += [f"{path}: skipped, a link to a folder; name that folder itself" for path in links]
        for path in (Path(parent, name) for name in names if not name.startswith(".")):
            if is_picture(path) and (path.is_file() or not path.exists()):  # no pipe, which would never end
                pictures.append(path)
            else:
                notices.append(f"{path}: skipped, not a picture")
    if not pictures:
        raise DataError(f"{folder}: holds no pictures; expected files such as .png or .jpg")
    return sorted(pictures), sorted(notices)


def real(path: Path) -> Path:
    """The path without links, absolute; one that goes in a loop ends where the loop begins."""
    return Path(os.path.realpath(path))


def key_of(path: Path, folder: Path) -> str:
    """The name that a picture goes by: its path in the folder without the extension ("sub/cat")."""
    return path.relative_to(folder).with_suffix("").as_posix()


def list_inputs(inputs: Iterable[Path], apart: Iterable[Path]) -> tuple[list[tuple[str, Path]], list[str]]:
    """Name and path of each picture given, by itself or in a folder (`key_of`), and notices of what is passed over.

    apart: folders to leave out where they lie below one that was given. DataError if a folder is missing or empty, or
    if there is no picture at all.
    """
    pictures: list[tuple[str, Path]] = []
    notices: list[str] = []
    inputs, apart = list(inputs), [real(folder) for folder in apart]
    for given in inputs:
        if not given.is_dir():
            pictures.append((given.stem, given))
            continue
        found, ignored = find_pictures(given)
        notices += ignored
        below = [folder for folder in apart if real(given) in folder.parents]
        inside = [path for path in found if not any(folder in real(path).parents for folder in below)]
        pictures += [(key_of(path, given), path) for path in inside]
    if not pictures:
        raise DataError(f"no pictures in {', '.join(map(str, inputs))} outside {', '.join(map(str, apart))}")
    return pictures, notices


def list_pictures(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """`find_pictures` by `key_of`.

    DataError also if two pictures share a name.
    """
    found, notices = find_pictures(folder)
    pictures: dict[str, Path] = {}
    for path in found:
        key = key_of(path, folder)
        if key in pictures:
            raise DataError(f"{path}: has the same name as {pictures[key].name}; rename or remove one of them")
        pictures[key] = path
    return pictures, notices


def pair(keys: Sequence[str], folder: Path, what: str) -> tuple[dict[str, Path | DataError], list[str]]:
    """For each key, the picture of `folder` that goes with it, or why there is none; and the folder's notices.

    By its path, or else by its bare name where neither another key nor another picture has that name, and one of the
    two lies in no subfolder (shoes/1 does not go with hats/1). DataError if the folder itself is missing or empty.
    """
    found, notices = find_pictures(folder)
    by_path, by_name = defaultdict(list), defaultdict(list)
    for path in found:
        by_path[key_of(path, folder)].append(path)
        by_name[path.stem].append(path)
    bare = Counter(Path(key).name for key in keys)
    partners: dict[str, Path | DataError] = {}
    for key in keys:
        name = Path(key).name
        alike = by_name[name] if bare[name] == 1 else []
        candidates = by_path[key] or [path for path in alike if key == name or path.parent == folder]
        if len(candidates) == 1:
            partners[key] = candidates[0]
        elif candidates:
            several = " and ".join(str(path) for path in candidates)
            partners[key] = DataError(f"{key}: {several} could be its {what}; remove or rename one")
        else:
            missing = f"no {what} of that name in {folder}; add {folder / key}.png or remove the picture"
            partners[key] = DataError(f"{key}: {missing}")
    return partners, notices


def refuse_overwriting(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """ConfigError if an output would take the place of an input or of another output."""
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
