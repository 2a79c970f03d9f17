"""Find the pictures of folders."""

import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from deepmat.errors import ConfigError, DataError
from deepmat.runtime import storage
from deepmat.runtime.files import real, refuse_file
from deepmat.runtime.formats import SUFFIXES, is_foreign, lacking_extension
from deepmat.runtime.paths import is_folder, is_there

PICTURE_SUFFIXES = frozenset(
    ".png .jpg .jpeg .jpe .jfif .bmp .tif .tiff .webp .gif .ppm .pgm .pbm .pnm .jp2 .tga .avif".split()
)
OWN = ".jsonl"
"""Extension of the logs and lists that deepmat writes beside pictures: they need no notice."""
SYSTEM_FOLDERS = ("lost+found", "System Volume Information")
"""Closed folders at the root of a disk, which hold nothing of the user's."""


def is_picture(path: Path) -> bool:
    """Return whether a file name has an extension of a picture format."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def refuse_no_folder(option: str, path: Path) -> None:
    """Raise ConfigError if a path that is to be a folder is a file, or is named as a picture or as a pipe.

    option: its name in the message.
    """
    if is_picture(path) and not is_folder(path):
        raise ConfigError(f"{option} {path}: the name of a picture; give a folder, such as {path.with_suffix('')}")
    if str(path) == "-":
        raise ConfigError(f"{option} -: is no folder; name one (deepmat cut - writes a picture to a pipe)")
    refuse_file(option, path)


class Listing(NamedTuple):
    """What a folder holds."""

    pictures: list[Path]
    """Sorted."""
    notices: list[str]
    """One for each other file."""
    closed: dict[Path, str]
    """Subfolders that cannot be listed, and why."""


class Place(NamedTuple):
    """What the pictures of a folder share in their paths: a million of them differ in their names alone."""

    folder: Path
    suffix: str
    """What follows the name: the extension (".png"), or more ("_trimap.png")."""

    def path(self, name: str) -> Path:
        """Return the path of a picture. name: its path in the folder, without extension ("sub/cat")."""
        return self.folder / (name + self.suffix)


place_of = lru_cache(maxsize=1024)(Place)
"""Return one and the same Place for a folder and suffix."""


def split_suffix(name: str) -> tuple[str, str]:
    """Return a name without its extension, and the extension, as pathlib does."""
    stem, suffix = os.path.splitext(name)
    return (name, "") if suffix == "." else (stem, suffix)


class _Names(NamedTuple):
    """What a folder holds, as Listing."""

    pictures: list[str]
    """Paths in the folder ("sub/cat.png"), sorted."""
    notices: list[str]
    closed: dict[Path, str]


def scan(folder: Path) -> Listing:
    """List the pictures in a folder and its subfolders. Hidden files are ignored.

    Pictures of formats that cannot be read (`runtime.formats`) are among them, unless one of the same name lies beside
    it. Raises DataError if the folder is missing, cannot be listed, or holds neither pictures nor closed subfolders.
    """
    found, notices, closed = scan_names(folder)
    return Listing([folder / name for name in found], notices, closed)


def scan_names(folder: Path) -> _Names:
    """List the names of pictures, as `scan`: a Path takes ten times the memory of a name."""
    if isinstance(folder, storage.Address):
        return _scan_storage(folder)
    if not is_folder(folder):
        raise DataError(f"{folder}: {'is not a folder' if is_there(folder) else 'no such folder'}; check the path")
    pictures: list[str] = []
    foreign: list[str] = []
    notices: list[str] = []
    closed: dict[Path, str] = {}

    def note(error: OSError) -> None:
        place = Path(error.filename)
        why = f"{place}: cannot be listed ({error.strerror}); change its permissions"
        if place.name in SYSTEM_FOLDERS:
            notices.append(why)
        else:
            closed[place] = why

    for parent, folders, names in os.walk(folder, onerror=note):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [Path(parent, name) for name in folders if os.path.islink(Path(parent, name))]
        notices += [f"{path}: skipped, a link to a folder; name that folder itself" for path in links]
        below = Path(parent).relative_to(folder).as_posix()
        for name in names:
            if name.startswith(".") or name.endswith(OWN):
                continue
            place, inside = os.path.join(parent, name), name if below == "." else f"{below}/{name}"
            # Not a pipe, which would block. os.path's functions also work where only names may be read.
            if _is_picture(name) and (os.path.isfile(place) or not os.path.exists(place)):
                pictures.append(inside)
            elif is_foreign(path := Path(place)):
                foreign.append(inside)
            else:
                suffix = lacking_extension(path)
                what = (
                    f"a picture without an extension; rename it to {path.name}{suffix}" if suffix else "not a picture"
                )
                notices.append(f"{path}: skipped, {what}")
    _add_foreign(folder, foreign, pictures, notices)
    if folder in closed:
        raise DataError(closed[folder])
    if not pictures and not closed:
        unnamed = [f" ({notice})" for notice in sorted(notices) if "without an extension" in notice]
        raise DataError(f"{folder}: holds no pictures; expected files such as .png or .jpg{''.join(unnamed[:1])}")
    return _Names(sorted(pictures, key=_in_order), sorted(notices), closed)


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES


def _in_order(name: str) -> str:
    """Return what sorts names as pathlib sorts their paths: part by part."""
    return os.path.normcase(name.replace("/", "\0"))


def _add_foreign(folder: Path, foreign: Iterable[str], pictures: list[str], notices: list[str]) -> None:
    """Add pictures of formats that cannot be read, or a notice if one of the same name lies beside it."""
    twins = {split_suffix(name)[0]: name for name in pictures} if foreign else {}
    for name in foreign:
        if twin := twins.get(split_suffix(name)[0]):
            notices.append(f"{folder / name}: skipped, since {twin.rpartition('/')[2]} lies beside it")
        else:
            pictures.append(name)


def _scan_storage(folder: storage.Address) -> _Names:
    """List the pictures below an address, as `scan`, by their names alone: no file is opened."""
    pictures: list[str] = []
    foreign: list[str] = []
    notices: list[str] = []
    for name in storage.names(folder):
        parts = name.split("/")
        if any(part in ("", ".", "..") for part in parts):
            notices.append(f"{folder}/{name}: skipped, its name has an empty part or dots for one; rename it")
        elif any(part.startswith(".") for part in parts) or name.endswith(OWN):
            continue
        elif _is_picture(name):
            pictures.append(name)
        elif os.path.splitext(name)[1].lower() in SUFFIXES:
            foreign.append(name)
        else:
            notices.append(f"{folder / name}: skipped, not a picture")
    _add_foreign(folder, foreign, pictures, notices)
    if not pictures:
        what = "holds no pictures" if notices else "no such folder, or an empty one"
        raise DataError(f"{folder}: {what}; expected files such as .png or .jpg, check the address")
    return _Names(sorted(pictures, key=_in_order), sorted(notices), {})


def find_pictures(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the pictures and notices of `scan`. Raises DataError also if a subfolder cannot be listed."""
    pictures, notices, closed = scan(folder)
    for why in closed.values():
        raise DataError(why)
    return pictures, notices


def key_of(path: Path, folder: Path) -> str:
    """Return the name of a picture: its path in the folder without the extension ("sub/cat")."""
    return path.relative_to(folder).with_suffix("").as_posix()


def _key_of_closed(path: Path, folder: Path) -> str:
    """Return the name of a subfolder that cannot be listed: "sub/", which no picture has."""
    return f"{path.relative_to(folder).as_posix()}/"


class Input(NamedTuple):
    """A picture to work on."""

    name: str
    path: Path
    problem: str | None = None
    """Why there is none: a subfolder that cannot be listed stands for the pictures in it."""


class InputFile(NamedTuple):
    """A picture to work on, as Input, in few bytes."""

    name: str
    place: Place | Path
    """A Path for what was named itself, and for a closed subfolder."""
    problem: str | None = None

    @property
    def path(self) -> Path:
        return self.place if isinstance(self.place, Path) else self.place.path(self.name)


def list_inputs(inputs: Iterable[Path], apart: Iterable[Path]) -> tuple[list[Input], list[str]]:
    """Return the pictures in `inputs`, files and folders, and notices of what is skipped.

    apart: folders to leave out if they lie below an input. Raises DataError if a folder is missing or empty, or if
    there is no picture at all.
    """
    pictures, notices = list_input_files(inputs, apart)
    return [Input(each.name, each.path, each.problem) for each in pictures], notices


def list_input_files(inputs: Iterable[Path], apart: Iterable[Path]) -> tuple[list[InputFile], list[str]]:
    """Return what `list_inputs` does, for folders of any length."""
    pictures: list[InputFile] = []
    notices: list[str] = []
    inputs, apart = list(inputs), [real(folder) for folder in apart]
    if not inputs:
        raise DataError("no pictures are given; name files or folders")
    for given in inputs:
        if isinstance(given, storage.Address):
            kind = storage.kind(given)
            problem = storage.lacking(given) if kind is None else None
        else:
            kind, problem = "directory" if os.path.isdir(given) else "file", None
        if kind != "directory":
            pictures.append(InputFile(given.stem, given, problem))
            continue
        found, ignored, closed = scan_names(given)
        notices += ignored
        below = {folder for folder in apart if real(given) in folder.parents}
        listed = [InputFile(stem, place_of(given, suffix)) for stem, suffix in map(split_suffix, found)]
        listed += [InputFile(_key_of_closed(path, given), path, why) for path, why in closed.items()]
        if below:
            listed = [each for each in listed if below.isdisjoint((real(each.path), *real(each.path).parents))]
        pictures += listed
    if not pictures:
        raise DataError(f"no pictures in {', '.join(map(str, inputs))} outside {', '.join(map(str, apart))}")
    return pictures, notices


def list_pictures(folder: Path) -> tuple[dict[str, Path | DataError], list[str]]:
    """Return the pictures below `folder` by name (`key_of`), and notices, as `scan`.

    A subfolder that cannot be listed gives a DataError under its own name. Raises DataError also if two pictures have
    the same name.
    """
    found, notices, closed = scan(folder)
    pictures: dict[str, Path | DataError] = {}
    for path in found:
        key = key_of(path, folder)
        other = pictures.get(key)
        if isinstance(other, Path):
            raise DataError(f"{path}: has the same name as {other.name}; rename or remove one of them")
        pictures[key] = path
    return pictures | {_key_of_closed(path, folder): DataError(why) for path, why in closed.items()}, notices
