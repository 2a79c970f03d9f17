"""Pair the pictures of folders by name."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from deepmat.errors import DataError
from deepmat.runtime.listing import scan_names, split_suffix
from deepmat.runtime.names import NearNames, composed, without_role


class NoPartner(DataError):
    """No file comes into question for a partner, in a folder that could be listed in full."""


def pair(keys: Sequence[str], folder: Path, what: str) -> tuple[dict[str, Path | DataError], list[str]]:
    """Return for each key its partner in `folder`, or a DataError that says why there is none; and notices.

    Partners have the same path, or else the same bare name if no other key or picture has that name and one of the two
    lies in no subfolder (shoes/1 is no partner of hats/1). Composed and decomposed accents are the same. A file that
    has no partner otherwise may end in one of names.ROLES (cat_pha). The error is a NoPartner if no file comes into
    question. what: "alpha" or the like, for messages. Raises DataError if the folder itself is missing or empty.
    """
    found, notices = pair_names(keys, folder, what)
    return {key: folder / name if isinstance(name, str) else name for key, name in found.items()}, notices


def pair_names(
    keys: Sequence[str], folder: Path, what: str, own: Mapping[str, str] | None = None
) -> tuple[dict[str, str | DataError], list[str]]:
    """Return what `pair` does, with the path of a partner in the folder ("sub/cat.png") in place of its whole path.

    own: files in the folder that are no partners of their key.
    """
    found, notices, closed = scan_names(folder)
    candidates = _candidates(keys, found, lambda name: name)
    for key, name in (own or {}).items():
        candidates[key] = tuple(each for each in candidates[key] if each != name)
    alone = [key for key in keys if not candidates[key]]
    left: list[str] = []
    if alone:
        taken = {name for names in candidates.values() for name in names}
        taken |= {own[key] for key in alone if own and key in own and without_role(key) == key}
        left = [name for name in found if name not in taken]
    candidates |= _candidates(alone, left, without_role)
    near = NearNames(folder / name for name in left)
    partners: dict[str, str | DataError] = {}
    for key in keys:
        names = candidates[key]
        if len(names) == 1:
            partners[key] = names[0]
        elif names:
            several = " and ".join(str(folder / name) for name in names)
            partners[key] = DataError(f"{key}: {several} could be its {what}; remove or rename one")
        elif closed:
            unseen = "; ".join(closed.values())
            partners[key] = DataError(f"{key}: no {what} of that name among those that may be read; {unseen}")
        else:
            alike = near.find(Path(key).name)
            mend = f"add {folder / key}.png or remove the picture"
            if alike and ("/" not in key or alike.parent == folder):
                mend = f"is it {alike}? Then rename that to {folder / key}{alike.suffix}"
            partners[key] = NoPartner(f"{key}: no {what} of that name in {folder}; {mend}")
    return partners, notices


def _candidates(keys: Sequence[str], files: Sequence[str], named: Callable[[str], str]) -> dict[str, tuple[str, ...]]:
    """Return the files that may be the partner of each key. named: what counts of a file's name.

    Only files that some key asks for are kept, so that memory holds one short entry for most keys.
    """
    paths: dict[str, tuple[str, ...]] = {composed(key): () for key in keys}
    _collect(files, paths, lambda file: named(composed(split_suffix(file)[0])))
    found: dict[str, tuple[str, ...]] = {}
    for key in keys:
        same = paths[composed(key)]
        found[key] = same if len(same) < 2 else tuple(file for file in same if split_suffix(file)[0] == key) or same
    del paths
    bare = Counter(_bare(key) for key in keys) if not all(found.values()) else {}
    unlike = {_bare(key) for key in keys if not found[key] and bare[_bare(key)] == 1}
    by_name = defaultdict[str, list[str]](list)
    for file in files if unlike else ():
        name = named(composed(split_suffix(file.rpartition("/")[2])[0]))
        if name in unlike:
            by_name[name].append(file)
    for key in keys:
        if not found[key] and _bare(key) in by_name:
            found[key] = tuple(file for file in by_name[_bare(key)] if "/" not in key or "/" not in file)
    return found


def _bare(key: str) -> str:
    return composed(key.rpartition("/")[2])


def _collect(files: Iterable[str], into: dict[str, tuple[str, ...]], named: Callable[[str], str]) -> None:
    """Add each file to the entry of its name, if there is one."""
    for file in files:
        name = named(file)
        if name in into:
            into[name] = (*into[name], file)
