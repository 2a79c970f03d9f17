"""The pictures of a folder, and the pairs over several folders, by names only."""

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from deepmat.checks.findings import Case, Finding, finding, message_of
from deepmat.errors import DataError
from deepmat.runtime.files import real
from deepmat.runtime.formats import SUFFIXES, is_foreign
from deepmat.runtime.listing import is_picture, key_of, scan
from deepmat.runtime.pairing import NoPartner, pair
from deepmat.runtime.storage import Address, names


def within(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies in it."""
    path, folder = real(path), real(folder)
    return path == folder or folder in path.parents


def oddities(folder: Path) -> Iterator[Finding]:
    """Findings on files and folders that `scan` skips or cannot read."""
    if isinstance(folder, Address):
        for name in names(folder):
            hidden = any(part.startswith(".") for part in name.split("/"))
            if not hidden and not is_picture(folder / name) and Path(name).suffix.lower() not in SUFFIXES:
                yield finding("stray", folder / name, "not a picture", severity="note")
        return
    unreadable: list[OSError] = []
    for parent, folders, inside in os.walk(folder, onerror=unreadable.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(parent, name) for name in folders):
            if path.is_symlink():
                yield finding(
                    "stray", path, "a link to a folder, not followed; put the folder itself here", severity="warning"
                )
            elif is_picture(path):
                yield finding("stray", path, "a folder with the name of a picture; rename it", severity="note")
        for path in (Path(parent, name) for name in inside if not name.startswith(".")):
            if not is_picture(path) and not is_foreign(path):
                yield finding("stray", path, "not a picture", severity="note")
    for error in unreadable:
        yield finding("place", error.filename, f"cannot be listed ({error.strerror}); change its permissions")


def pictures_in(folder: Path) -> tuple[list[Path], list[Finding]]:
    """All pictures below a folder, sorted, and findings on other files; no pictures at all is a finding too."""
    try:
        return scan(folder).pictures, list(oddities(folder))
    except DataError as error:
        return [], [finding("place", folder, message_of(error, folder)), *oddities(folder)]


def paired(folders: dict[str, Path], kind: str, split: str) -> Iterator[Case | Finding]:
    """A case for each picture of the first folder with its partners in the others, and findings on missing partners.

    A foreground without an alpha is a case of role rgba: its own alpha channel counts, which reading it finds.
    """
    base, *others = folders
    listed, unseen = {}, False
    for role, folder in folders.items():
        listed[role], odd = pictures_in(folder)
        unseen |= any(item["check"] == "place" for item in odd)
        yield from odd
    left_out = None if unseen else "left out"  # a partner can lie in a folder that cannot be listed
    keys = defaultdict(list)
    for path in listed[base]:
        keys[key_of(path, folders[base])].append(path)
    for paths in keys.values():
        if len(paths) > 1:
            several = " and ".join(path.name for path in paths)
            yield finding("name", paths[0], f"{several} have the same name; rename or remove one of them")
    partners = {role: pair(list(keys), folders[role], role)[0] for role in others if listed[role]}
    for key, paths in keys.items():
        for path in paths:
            files = [(base, path)]
            for role, found in partners.items():
                partner = found[key]
                if isinstance(partner, Path):
                    files.append((role, partner))
                    continue
                if kind == "foreground" and isinstance(partner, NoPartner):
                    files = [("rgba", path)]
                    continue
                alone = not any(Path(key).name == candidate.stem for candidate in listed[role])
                message = str(partner).removeprefix(f"{key}: ")
                yield finding("partner", path, message, fix=left_out if alone else None)
            yield Case(kind, split, tuple(files))
    bare = {Path(key).name for key in keys}
    for role in others:
        for path in listed[role] if bare else []:
            if path.stem not in bare:
                message = f"no {base} of that name in {folders[base]}, so it is not used; add one or remove this"
                yield finding("partner", path, message, severity="warning", fix=left_out)


def backgrounds_of(folder: Path | None, split: str = "train") -> Iterator[Case | Finding]:
    """A case for each picture of a folder of backgrounds, if there is one."""
    if folder:
        pictures, odd = pictures_in(folder)
        yield from odd
        yield from (Case("background", split, (("bg", path),)) for path in pictures)
