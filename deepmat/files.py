"""Files: written whole or not at all, found in folders, paired by name."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deepmat.errors import DataError

PICTURE_SUFFIXES = frozenset(
    ".png .jpg .jpeg .jpe .jfif .bmp .tif .tiff .webp .gif .ppm .pgm .pbm .pnm .jp2 .tga .avif".split()
)
TEMPORARY = ".deepmat-part"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place, on the disk, when the block ends well.

    Makes missing parent folders. DataError if the place cannot be written (no permission, disk full).
    """
    part = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
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


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all; DataError if that fails."""
    with whole_file(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all; DataError if that fails."""
    write_bytes(path, text.encode())


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed process was in the middle of writing below `folder`."""
    for part in folder.rglob(f".*{TEMPORARY}"):
        part.unlink(missing_ok=True)


def find_pictures(folder: Path) -> tuple[list[Path], list[str]]:
    """All pictures below `folder`, sorted, and a notice for each file that is none; hidden files are passed over.

    DataError if the folder is missing or holds no picture.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: {'is not a folder' if folder.exists() else 'no such folder'}; check the path")
    pictures, notices = [], []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(parent, name) for name in names if not name.startswith(".")):
            if path.suffix.lower() in PICTURE_SUFFIXES:
                pictures.append(path)
            else:
                notices.append(f"{path}: skipped, not a picture")
    if not pictures:
        raise DataError(f"{folder}: holds no pictures; expected files such as .png or .jpg")
    return sorted(pictures), sorted(notices)


def list_pictures(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """`find_pictures` by name: the path relative to `folder` without its extension ("sub/cat").

    DataError also if two pictures share a name.
    """
    found, notices = find_pictures(folder)
    pictures: dict[str, Path] = {}
    for path in found:
        key = path.relative_to(folder).with_suffix("").as_posix()
        if key in pictures:
            raise DataError(f"{path}: has the same name as {pictures[key].name}; rename or remove one of them")
        pictures[key] = path
    return pictures, notices


def partner(key: str, folder: Path, pictures: dict[str, Path], what: str) -> Path:
    """The picture of `folder` that goes with `key`: by its path, or else by its bare name in a flat folder.

    DataError if there is none.
    """
    for name in (key, Path(key).name):
        if name in pictures:
            return pictures[name]
    raise DataError(f"{key}: no {what} of that name in {folder}; add {folder / key}.png or remove the picture")
