"""What belongs together in a data folder, by names alone."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from deepmat.compositing import MANIFEST, Entry, is_unchanged, read_manifest
from deepmat.compositing.manifest import SOURCES
from deepmat.compositing.plan import BACKGROUNDS_PER_FOREGROUND, COCO_2014_PREFIX
from deepmat.doctor.findings import LAYOUTS, Case, Finding, Survey, finding, told
from deepmat.errors import ConfigError, DataError
from deepmat.files import find_pictures, is_picture, key_of, pair, real
from deepmat.sources import ADOBE_FOLDERS, adobe_foregrounds, background_folder, layout_of, read_names

TRAINING, TESTING = ("image", "alpha", "fg", "bg"), ("image", "alpha", "trimap")


def within(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies in it."""
    path, folder = real(path), real(folder)
    return path == folder or folder in path.parents


def _oddities(folder: Path) -> Iterator[Finding]:
    """What `find_pictures` cannot see into or passes over in a folder."""
    unreadable: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=unreadable.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(parent, name) for name in folders):
            if path.is_symlink():
                yield finding(
                    "stray", path, "a link to a folder, not followed; put the folder itself here", severity="warning"
                )
            elif is_picture(path):
                yield finding("stray", path, "a folder with the name of a picture; rename it", severity="note")
        for path in (Path(parent, name) for name in names if not name.startswith(".")):
            if not is_picture(path):
                yield finding("stray", path, "not a picture", severity="note")
    for error in unreadable:
        yield finding("place", error.filename, f"cannot be looked into ({error.strerror}); change its permissions")


def _pictures(folder: Path) -> tuple[list[Path], list[Finding]]:
    """All pictures below a folder, sorted, and what is odd there; none at all is a finding."""
    try:
        return find_pictures(folder)[0], list(_oddities(folder))
    except DataError as error:
        return [], [finding("place", folder, told(error, folder)), *_oddities(folder)]


def _paired(folders: dict[str, Path], kind: str, split: str) -> Iterator[Case | Finding]:
    """A case for each picture of the first folder with its partners in the others, and what has none."""
    base, *others = folders
    listed = {}
    for role, folder in folders.items():
        listed[role], odd = _pictures(folder)
        yield from odd
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
                alone = not any(Path(key).name == candidate.stem for candidate in listed[role])
                message = str(partner).removeprefix(f"{key}: ")
                yield finding("partner", path, message, fix="left out" if alone else None)
            yield Case(kind, split, tuple(files))
    names = {Path(key).name for key in keys}
    for role in others:
        for path in listed[role] if names else []:
            if path.stem not in names:
                message = f"no {base} of that name in {folders[base]}, so it is not used; add one or remove this"
                yield finding("partner", path, message, severity="warning", fix="left out")


def _backgrounds(folder: Path | None, split: str = "train") -> Iterator[Case | Finding]:
    if folder:
        pictures, odd = _pictures(folder)
        yield from odd
        yield from (Case("background", split, (("bg", path),)) for path in pictures)


def _own(root: Path, folder: Path, alphas: Path | None, backgrounds: Path | None) -> Iterator[Case | Finding]:
    """Foregrounds with their alphas elsewhere or in themselves, backgrounds, and test pictures in root/test."""
    if alphas:
        yield from _paired({"fg": folder, "alpha": alphas}, "foreground", "train")
    else:
        yield from _paired({"rgba": folder}, "foreground", "train")
    yield from _backgrounds(backgrounds)
    if folder != root and not backgrounds:
        yield finding("place", root / "bg", "no backgrounds; deepmat composite needs some: --bg", severity="note")
    if folder != root and (root / "test").is_dir():
        yield from _split(root / "test", "test")


def coco_names(name: str) -> tuple[str, ...]:
    """The names that a listed background may go by: COCO-2014 names are found in a COCO-2017 folder."""
    return (name, name[COCO_2014_PREFIX:]) if name.startswith("COCO_") else (name,)


def _adobe(root: Path, given: Path | None) -> Iterator[Case | Finding]:
    for split, (folder, parts, prefix) in ADOBE_FOLDERS.items():
        home = root / folder
        if not home.is_dir():
            yield finding("place", home, f"not there, so no {split} set can be made", severity="note")
            continue
        fg_list, bg_list = (home / f"{prefix}_{what}_names.txt" for what in ("fg", "bg"))
        try:
            foregrounds, names = adobe_foregrounds(root, split), read_names(bg_list)
        except DataError as error:
            where = bg_list if str(bg_list) in str(error) else fg_list
            yield finding("list", where, told(error, where))
            continue
        for path, times in Counter(fg.fg for fg in foregrounds).items():
            if times > 1:
                yield finding("list", path, f"{times} times in {fg_list.name}; keep one line")
        each = len(names) // max(len(foregrounds), 1)
        if each * len(foregrounds) != len(names) or not names:
            message = f"{len(names)} backgrounds are no whole number for each of {len(foregrounds)} foregrounds"
            yield finding("list", bg_list, f"{message}; check both lists", severity="warning")
        for fg in foregrounds:
            yield from _adobe_foreground(fg.fg, fg.alpha or fg.fg, split, each, fg_list)
        listed = {fg.fg for fg in foregrounds}
        for part in (home / part / "fg" for part in parts if (home / part / "fg").is_dir()):
            yield from _oddities(part)
            for path in sorted(part.rglob("*")):
                if is_picture(path) and path.is_file() and not path.name.startswith(".") and path not in listed:
                    yield finding("list", path, f"not in {fg_list.name}, so it is not used", severity="note")
        scenes = given if given and split == "train" else background_folder(root, split) or given
        if not scenes:
            message = f"no bg_{split}/ here, so the backgrounds were not checked; give them with --bg"
            yield finding("place", home, message, severity="note")
            continue
        pictures, odd = _pictures(scenes)
        yield from odd
        by_name = {path.name: path for path in pictures}
        used: dict[Path, None] = {}
        for name in dict.fromkeys(names):
            found = next((by_name[other] for other in coco_names(name) if other in by_name), None)
            if found:
                used[found] = None
            elif pictures:
                yield finding("list", scenes / name, f"named in {bg_list.name}, but not there; add it")
        yield from (Case("background", split, (("bg", path),)) for path in used)


def _adobe_foreground(fg: Path, alpha: Path, split: str, each: int, names: Path) -> Iterator[Case | Finding]:
    files = [("fg", fg), ("alpha", alpha)]
    if not fg.is_file():
        yield finding("list", fg, f"named in {names.name}, but not there; add it or remove the line", fix="left out")
    if not alpha.is_file():
        yield finding("partner", fg, f"no alpha of that name in {alpha.parent}; add it", fix="left out")
    if split == "test":
        trimaps = alpha.parents[1] / "trimaps"
        common = trimaps / f"{fg.stem}.png"
        own = [trimaps / f"{fg.stem}_{k}.png" for k in range(min(each, BACKGROUNDS_PER_FOREGROUND["test"]))]
        there = [path for path in own if path.is_file()]
        if len(there) < len(own) and not common.is_file():
            first = next(path for path in own if path not in there)
            message = f"{len(own) - len(there)} of its {len(own)} trimaps are missing, {first} for one; add them"
            yield finding("partner", fg, message, fix="left out")
        files += [("trimap", path) for path in [*there, common] if path.is_file()]
    yield Case("foreground", split, tuple((role, path) for role, path in files if path.is_file()))


def _split(folder: Path, split: str) -> Iterator[Case | Finding]:
    """One split: composites by their manifest or by their folders, or foregrounds of its own."""
    if (folder / MANIFEST).is_file():
        yield from _manifest(folder)
    elif (folder / "image").is_dir():
        needed = TESTING if split == "test" else TRAINING
        for role in needed:
            if not (folder / role).is_dir():
                yield finding("partner", folder / role, f"no such folder; {split} pictures need {', '.join(needed)}")
        roles = dict.fromkeys((*TRAINING, *TESTING))
        yield from _paired({role: folder / role for role in roles if (folder / role).is_dir()}, "composite", split)
    elif (folder / "fg").is_dir():
        places = {"fg": folder / "fg", "alpha": folder / "alpha"}
        yield from _paired(places if places["alpha"].is_dir() else {"rgba": places["fg"]}, "foreground", split)
        yield from _backgrounds(background_folder(folder, split), split)
    else:
        yield finding("place", folder, f"holds no {MANIFEST}, image/ or fg/; run deepmat composite")


def _manifest(folder: Path) -> Iterator[Case | Finding]:
    """The composites of a manifest, and the sources they are made from again in training, each once."""
    path = folder / MANIFEST
    try:
        entries = read_manifest(path)
    except DataError as error:
        yield finding("manifest", path, str(error).removeprefix(str(path)).lstrip(",: "))
        return
    lines = sum(1 for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    if len(entries) < lines:
        message = f"{lines - len(entries)} lines cut short or there twice; the deepmat composite that made it goes on"
        yield finding("manifest", path, message)
    full = (folder / "fg").is_dir()
    changed: dict[Path, Finding | None] = {}
    sources: dict[tuple[tuple[str, Path], ...], Case] = {}
    images = set()
    for entry in entries:
        split, name = entry["split"], entry["name"]
        files = [("image", folder / entry["image"])]
        images.add(files[0][1])
        roles = (*(("alpha", "fg", "bg") if full else ()), *(("alpha", "trimap") if split == "test" else ()))
        files += [(role, folder / role / f"{name}.png") for role in dict.fromkeys(roles)]
        for _, missing in files:
            if not missing.is_file():
                yield finding("manifest", missing, f"listed in {path}, but not there; run deepmat composite again")
        yield Case("composite", split, tuple(file for file in files if file[1].is_file()), entry)
        for role in SOURCES:
            if entry[role] and Path(entry[role]) not in changed:
                source = Path(entry[role])
                changed[source] = _source(source, entry, role, needed=split == "train" and not full)
        fg = (("fg" if entry["alpha"] else "rgba", Path(entry["fg"])),)
        both = (*fg, ("alpha", Path(entry["alpha"]))) if entry["alpha"] else fg
        sources.setdefault(both, Case("foreground", split, both))
        if not full:
            scene = (("bg", Path(entry["bg"])),)
            sources.setdefault(scene, Case("background", split, scene))
    yield from (found for found in changed.values() if found)
    yield from (case for files, case in sources.items() if all(source.is_file() for _, source in files))
    pictures, odd = _pictures(folder / "image")
    yield from odd
    for image in pictures:
        if image not in images:
            message = f"in no line of {MANIFEST}, so it is not used; remove it"
            yield finding("manifest", image, message, severity="warning")


def _source(path: Path, entry: Entry, role: str, needed: bool) -> Finding | None:
    """What became of a source since a composite was made from it. Only a training set needs it again."""
    severity = "error" if needed else "note"
    what = f"a {role} of {entry['name']}"
    if not path.is_file():
        advice = "training needs it: put it back" if needed else "fine, as long as nothing is composited again"
        return finding("source", path, f"{what}, but not there; {advice}", severity=severity)
    if role in entry["sources"] and not is_unchanged(str(path), entry["sources"][role]):
        return finding("source", path, f"{what}, changed since; run deepmat composite again", severity=severity)
    return None


def survey(root: Path, backgrounds: Path | None = None, alphas: Path | None = None) -> Survey:
    """All cases of a data folder, and what names alone tell.

    backgrounds, alphas: folders in place of the layout's own. DataError if a folder cannot be looked into, ConfigError
    for one that the layout has no use for.
    """
    root, backgrounds, alphas = Path(root), Path(backgrounds) if backgrounds else None, Path(alphas) if alphas else None
    for folder in filter(None, (root, backgrounds, alphas)):
        try:
            next(folder.iterdir(), None)
        except FileNotFoundError as error:
            raise DataError(f"{folder}: no such folder; check the path") from error
        except OSError as error:
            raise DataError(f"{folder}: cannot be looked into ({error.strerror}); check the path") from error
    layout = layout_of(root)
    for option, given, unused in (("--alpha", alphas, ("adobe", "composites")), ("--bg", backgrounds, ("composites",))):
        if given and layout in unused:
            raise ConfigError(f"{option}: {root} is {LAYOUTS[layout]}, which has its own; leave it out")
    homes: list[tuple[Path, str]] | str = [(root, ".")]
    if layout == "adobe":
        found = _adobe(root, backgrounds)
    elif layout == "composites":
        splits = {split: root / split for split in ("train", "test") if (root / split).is_dir()}
        if (root / "image").is_dir():
            splits = {"test" if (root / "trimap").is_dir() else "train": root}
        found = (item for split, folder in splits.items() for item in _split(folder, split))
        if any((folder / MANIFEST).is_file() for folder in splits.values()):
            homes = "composites follow from their sources: mend those, then run deepmat composite again"
    else:
        folder = root / "fg" if layout == "folders" else root
        for inner in filter(None, (alphas, backgrounds, background_folder(root)) if layout == "pictures" else ()):
            if within(inner, root):
                raise DataError(
                    f"{inner}: lies among the foregrounds, which are found in all subfolders of {root}; move those to "
                    f"{root / 'fg'}"
                )
        own = root / "alpha" if layout == "folders" and (root / "alpha").is_dir() else None
        found = _own(root, folder, alphas or own, backgrounds or background_folder(root))
        apart = [(given, place) for given, place in ((alphas, "alpha"), (backgrounds, "bg")) if given]
        apart = [(given, place) for given, place in apart if not within(given, root)]
        homes = [(root, "fg" if layout == "pictures" and apart else "."), *apart]
    cases: list[Case] = []
    findings: list[Finding] = []
    for item in found:
        if isinstance(item, Case):
            cases.append(item)
        else:
            findings.append(item)
    if layout == "adobe" and any(item["check"] == "list" and item["path"].endswith("_names.txt") for item in findings):
        homes = "the names lists must be whole first"
    return Survey(root, layout, cases, findings, homes)


def count(found: Survey) -> dict[str, int]:
    """How many pictures of each kind a survey found, without those there are none of."""
    names = {"foreground": "foregrounds", "background": "backgrounds", "composite": "pictures"}
    counts: Counter[str] = Counter()
    for case in found.cases:
        test = "test " if case.split == "test" else "training " if case.kind == "composite" else ""
        counts[test + names[case.kind]] += 1
    for role, what in (("alpha", "alphas"), ("trimap", "trimaps")):
        counts[what] = len({path for case in found.cases for kind, path in case.files if kind == role})
    return {what: number for what, number in counts.items() if number}
