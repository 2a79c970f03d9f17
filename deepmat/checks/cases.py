"""What belongs together in a data folder, by names alone."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from deepmat.checks.adobe import adobe_cases
from deepmat.checks.composites import as_adobes, folder_of_tests, official_plan
from deepmat.checks.findings import LAYOUTS, Case, Finding, Survey, finding
from deepmat.checks.listing import backgrounds_of, paired, pictures_in, within
from deepmat.data.compositing import MANIFEST, Entry, is_unchanged, read_manifest
from deepmat.data.compositing.manifest import SOURCES
from deepmat.data.layouts import background_folder, layout_of
from deepmat.errors import ConfigError, DataError

TRAINING, TESTING = ("image", "alpha", "fg", "bg"), ("image", "alpha", "trimap")


def _own(root: Path, folder: Path, alphas: Path | None, backgrounds: Path | None) -> Iterator[Case | Finding]:
    """Foregrounds with their alphas elsewhere or in themselves, backgrounds, and test pictures in root/test."""
    if alphas:
        yield from paired({"fg": folder, "alpha": alphas}, "foreground", "train")
    else:
        yield from paired({"rgba": folder}, "foreground", "train")
    yield from backgrounds_of(backgrounds)
    if folder != root and not backgrounds:
        yield finding("place", root / "bg", "no backgrounds; deepmat composite needs some: --bg", severity="note")
    if folder != root and (root / "test").is_dir():
        yield from _split(root / "test", "test")


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
        yield from paired({role: folder / role for role in roles if (folder / role).is_dir()}, "composite", split)
    elif (folder / "fg").is_dir():
        places = {"fg": folder / "fg", "alpha": folder / "alpha"}
        yield from paired(places if places["alpha"].is_dir() else {"rgba": places["fg"]}, "foreground", split)
        yield from backgrounds_of(background_folder(folder, split), split)
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
    pictures, odd = pictures_in(folder / "image")
    yield from odd
    for image in pictures:
        if image not in images:
            message = f"in no line of {MANIFEST}, so it is not used; remove it"
            yield finding("manifest", image, message, severity="warning")


def _source(path: Path, entry: Entry, role: str, needed: bool) -> Finding | None:
    """What became of a source since a composite was made from it. Only a training set needs it again."""
    severity = "error" if needed else "note"
    what = f"{role} of {entry['name']}"
    if not path.is_file():
        advice = "training needs it: put it back" if needed else "fine, as long as nothing is composited again"
        return finding("source", path, f"{what}, but not there; {advice}", severity=severity)
    if role in entry["sources"] and not is_unchanged(str(path), entry["sources"][role]):
        return finding("source", path, f"{what}, changed since; run deepmat composite again", severity=severity)
    return None


def survey(
    root: Path, backgrounds: Path | None = None, alphas: Path | None = None, against: Path | None = None
) -> Survey:
    """All cases of a data folder, and the findings that follow from names only.

    backgrounds, alphas: folders in place of the layout's own; against: Adobe's data set, which its test set is held
    against, with its backgrounds there or in `backgrounds`. DataError if a folder cannot be looked into, ConfigError
    for one that the layout has no use for.
    """
    root, backgrounds, alphas = Path(root), Path(backgrounds) if backgrounds else None, Path(alphas) if alphas else None
    for folder in filter(None, (root, backgrounds, alphas, against)):
        try:
            next(folder.iterdir(), None)
        except FileNotFoundError as error:
            raise DataError(f"{folder}: no such folder; check the path") from error
        except OSError as error:
            raise DataError(f"{folder}: cannot be looked into ({error.strerror}); check the path") from error
    layout = layout_of(root)
    for option, given, unused in (("--alpha", alphas, ("adobe", "composites")), ("--bg", backgrounds, ("composites",))):
        if given and layout in unused and not (against and given == backgrounds):
            raise ConfigError(f"{option}: {root} is {LAYOUTS[layout]}, which has its own; leave it out")
    if against and layout != "composites":
        raise ConfigError(f"--against: {root} is {LAYOUTS[layout]}; give a composited test set to hold against Adobe's")
    official = official_plan(Path(against), backgrounds) if against else {}
    homes: list[tuple[Path, str]] | str = [(root, ".")]
    if layout == "adobe":
        found = adobe_cases(root, backgrounds)
    elif layout == "composites":
        splits = {split: root / split for split in ("train", "test") if (root / split).is_dir()}
        if (root / "image").is_dir():
            splits = {"test" if official or (root / "trimap").is_dir() else "train": root}
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
    if layout in ("composites", "folders"):
        cases, wrong = as_adobes(cases, folder_of_tests(root), official)
        findings += wrong
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
