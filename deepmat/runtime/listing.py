"""Find the pictures of folders, and pair them by name."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from deepmat.errors import DataError
from deepmat.runtime import storage
from deepmat.runtime.files import real
from deepmat.runtime.formats import SUFFIXES, is_foreign, lacking_extension
from deepmat.runtime.names import NearNames, composed, without_role
from deepmat.runtime.paths import is_folder, is_there

PICTURE_SUFFIXES = frozenset(
    ".png .jpg .jpeg .jpe .jfif .bmp .tif .tiff .webp .gif .ppm .pgm .pbm .pnm .jp2 .tga .avif".split()
)
SYSTEM_FOLDERS = ("lost+found", "System Volume Information")
"""Closed folders at the root of a disk, which hold nothing of the user's."""


def is_picture(path: Path) -> bool:
    """Return whether a file name has an extension of a picture format."""
    return path.suffix.lower() in PICTURE_SUFFIXES


class Listing(NamedTuple):
    """What a folder holds."""

    pictures: list[Path]
    """Sorted."""
    notices: list[str]
    """One for each other file."""
    closed: dict[Path, str]
    """Subfolders that cannot be listed, and why."""


def scan(folder: Path) -> Listing:
    """List the pictures in a folder and its subfolders. Hidden files are ignored.

    Pictures of formats that cannot be read (`runtime.formats`) are among them, unless one of the same name lies beside
    it. Raises DataError if the folder is missing, cannot be listed, or holds neither pictures nor closed subfolders.
    """
    if isinstance(folder, storage.Address):
        return _scan_storage(folder)
    if not is_folder(folder):
        raise DataError(f"{folder}: {'is not a folder' if is_there(folder) else 'no such folder'}; check the path")
    pictures, foreign, notices = [], [], []
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
        for path in (Path(parent, name) for name in names if not name.startswith(".")):
            # Not a pipe, which would block. os.path's functions also work where only names may be read.
            if is_picture(path) and (os.path.isfile(path) or not os.path.exists(path)):
                pictures.append(path)
            elif is_foreign(path):
                foreign.append(path)
            else:
                suffix = lacking_extension(path)
                what = (
                    f"a picture without an extension; rename it to {path.name}{suffix}" if suffix else "not a picture"
                )
                notices.append(f"{path}: skipped, {what}")
    _add_foreign(foreign, pictures, notices)
    if folder in closed:
        raise DataError(closed[folder])
    if not pictures and not closed:
        unnamed = [f" ({notice})" for notice in sorted(notices) if "without an extension" in notice]
        raise DataError(f"{folder}: holds no pictures; expected files such as .png or .jpg{''.join(unnamed[:1])}")
    return Listing(sorted(pictures), sorted(notices), closed)


def _add_foreign(foreign: Iterable[Path], pictures: list[Path], notices: list[str]) -> None:
    """Add pictures of formats that cannot be read, or a notice if one of the same name lies beside it."""
    twins = {path.with_suffix(""): path for path in pictures} if foreign else {}
    for path in foreign:
        if twin := twins.get(path.with_suffix("")):
            notices.append(f"{path}: skipped, since {twin.name} lies beside it")
        else:
            pictures.append(path)


def _scan_storage(folder: storage.Address) -> Listing:
    """List the pictures below an address, as `scan`, by their names alone: no file is opened."""
    pictures: list[Path] = []
    foreign: list[Path] = []
    notices: list[str] = []
    for name in storage.names(folder):
        parts = name.split("/")
        path = folder / name
        if any(part in ("", ".", "..") for part in parts):
            notices.append(f"{folder}/{name}: skipped, its name has an empty part or dots for one; rename it")
        elif any(part.startswith(".") for part in parts):
            continue
        elif is_picture(path):
            pictures.append(path)
        elif path.suffix.lower() in SUFFIXES:
            foreign.append(path)
        else:
            notices.append(f"{path}: skipped, not a picture")
    _add_foreign(foreign, pictures, notices)
    if not pictures:
        what = "holds no pictures" if notices else "no such folder, or an empty one"
        raise DataError(f"{folder}: {what}; expected files such as .png or .jpg, check the address")
    return Listing(sorted(pictures), sorted(notices), {})


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


def list_inputs(inputs: Iterable[Path], apart: Iterable[Path]) -> tuple[list[Input], list[str]]:
    """Return the pictures in `inputs`, files and folders, and notices of what is skipped.

    apart: folders to leave out if they lie below an input. Raises DataError if a folder is missing or empty, or if
    there is no picture at all.
    """
    pictures: list[Input] = []
    notices: list[str] = []
    inputs, apart = list(inputs), [real(folder) for folder in apart]
    if not inputs:
        raise DataError("no pictures are given; name files or folders")
    for given in inputs:
        if not (is_folder(given) if isinstance(given, storage.Address) else os.path.isdir(given)):
            pictures.append(Input(given.stem, given))
            continue
        found, ignored, closed = scan(given)
        notices += ignored
        below = {folder for folder in apart if real(given) in folder.parents}
        listed = [Input(key_of(path, given), path) for path in found]
        listed += [Input(_key_of_closed(path, given), path, why) for path, why in closed.items()]
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


def pair(keys: Sequence[str], folder: Path, what: str) -> tuple[dict[str, Path | DataError], list[str]]:
    """Return for each key its partner in `folder`, or a DataError that says why there is none; and notices.

    Partners have the same path, or else the same bare name if no other key or picture has that name and one of the two
    lies in no subfolder (shoes/1 is no partner of hats/1). Composed and decomposed accents are the same. A file that
    has no partner otherwise may end in one of names.ROLES (cat_pha). what: "alpha" or the like, for messages. Raises
    DataError if the folder itself is missing or empty.
    """
    found, notices, closed = scan(folder)
    candidates = _candidates(keys, found, folder, lambda name: name)
    taken = {path for paths in candidates.values() for path in paths}
    left = [path for path in found if path not in taken]
    ending = _candidates([key for key in keys if not candidates[key]], left, folder, without_role)
    near = NearNames(left)
    partners: dict[str, Path | DataError] = {}
    for key in keys:
        paths = candidates[key] or ending[key]
        if len(paths) == 1:
            partners[key] = paths[0]
        elif paths:
            several = " and ".join(str(path) for path in paths)
            partners[key] = DataError(f"{key}: {several} could be its {what}; remove or rename one")
        elif closed:
            unseen = "; ".join(closed.values())
            partners[key] = DataError(f"{key}: no {what} of that name among those that may be read; {unseen}")
        else:
            alike = near.find(Path(key).name)
            mend = f"add {folder / key}.png or remove the picture"
            if alike and _reaches(key, alike, folder):
                mend = f"is it {alike}? Then rename that to {folder / key}{alike.suffix}"
            partners[key] = DataError(f"{key}: no {what} of that name in {folder}; {mend}")
    return partners, notices


def _candidates(
    keys: Sequence[str], paths: Sequence[Path], folder: Path, named: Callable[[str], str]
) -> dict[str, list[Path]]:
    """Return the files that may be the partner of each key. named: what counts of a file's name."""
    by_path, by_name = defaultdict(list), defaultdict(list)
    for path in paths:
        by_path[named(composed(key_of(path, folder)))].append(path)
        by_name[named(composed(path.stem))].append(path)
    bare = Counter(composed(Path(key).name) for key in keys)
    found = {}
    for key in keys:
        name = composed(Path(key).name)
        same = by_path[composed(key)]
        exact = [path for path in same if key_of(path, folder) == key] or same
        alike = by_name[name] if bare[name] == 1 else []
        found[key] = exact or [path for path in alike if _reaches(key, path, folder)]
    return found


def _reaches(key: str, path: Path, folder: Path) -> bool:
    """Return whether a file may be the partner of a key of another path: one of the two lies in no subfolder."""
    return "/" not in key or path.parent == folder
