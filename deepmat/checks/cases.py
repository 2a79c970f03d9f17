"""Which files of a data folder are used together, by names only."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from deepmat.checks.adobe import adobe_cases
from deepmat.checks.composites import as_adobes, folder_of_tests, official_plan
from deepmat.checks.findings import LAYOUTS, Case, Counts, Finding, Survey, finding
from deepmat.checks.listing import backgrounds_of, paired, pictures_in, within
from deepmat.data.compositing import MANIFEST, Entry, is_unchanged, read_manifest
from deepmat.data.compositing.manifest import SOURCES
from deepmat.data.layouts import background_folder, layout_of
from deepmat.errors import ConfigError, DataError
from deepmat.runtime.files import existing
from deepmat.runtime.storage import Address, addressed, lacking

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
    """The composites of a manifest, and their sources, which training reads, each once."""
    path = folder / MANIFEST
    try:
        entries = read_manifest(path)
    except DataError as error:
        yield finding("manifest", path, str(error).removeprefix(str(path)).lstrip(",: "))
        return
    lines = sum(1 for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    if len(entries) < lines:
        message = f"{lines - len(entries)} lines cut short or listed twice; run the same deepmat composite again"
        yield finding("manifest", path, message)
    full = (folder / "fg").is_dir()
    changed: dict[Path, Finding | None] = {}
    sources: dict[tuple[tuple[str, Path], ...], Case] = {}
    images = set()
    exists = existing([folder], len(entries))
    for entry in entries:
        split, name = entry["split"], entry["name"]
        files = [("image", folder / entry["image"])]
        images.add(files[0][1])
        roles = (*(("alpha", "fg", "bg") if full else ()), *(("alpha", "trimap") if split == "test" else ()))
        files += [(role, folder / role / f"{name}.png") for role in dict.fromkeys(roles)]
        for _, missing in files:
            if not exists(missing):
                yield finding("manifest", missing, f"listed in {path}, but missing; run deepmat composite again")
        yield Case("composite", split, tuple(file for file in files if exists(file[1])), entry)
        for role in SOURCES:
            source = addressed(entry[role] or "")
            if entry[role] and source not in changed:
                changed[source] = _source(source, entry, role, needed=split == "train" and not full)
        alpha, fg = entry["alpha"], addressed(entry["fg"])
        both = (("fg", fg), ("alpha", addressed(alpha))) if alpha else (("rgba", fg),)
        sources.setdefault(both, Case("foreground", split, both))
        if not full:
            scene = (("bg", addressed(entry["bg"])),)
            sources.setdefault(scene, Case("background", split, scene))
    yield from (found for found in changed.values() if found)
    yield from (case for files, case in sources.items() if all(file.is_file() for _, file in files))
    pictures, odd = pictures_in(folder / "image")
    yield from odd
    for image in pictures:
        if image not in images:
            message = f"in no line of {MANIFEST}, so it is not used; remove it"
            yield finding("manifest", image, message, severity="warning")


def _source(path: Path, entry: Entry, role: str, needed: bool) -> Finding | None:
    """The finding on a source that is missing or has changed since; an error only if training needs it."""
    severity = "error" if needed else "note"
    what = f"{role} of {entry['name']}"
    if not path.is_file():
        advice = "training needs it: put it back" if needed else "fine, unless you composite again"
        return finding("source", path, f"{what}, but missing; {advice}", severity=severity)
    if role in entry["sources"] and not is_unchanged(str(path), entry["sources"][role]):
        return finding("source", path, f"{what}, changed since; run deepmat composite again", severity=severity)
    return None


Found = Iterator[Case | Finding]
Homes = list[tuple[Path, str]] | str
"""See `Survey.homes`."""


def survey(
    root: Path, backgrounds: Path | None = None, alphas: Path | None = None, against: Path | None = None
) -> Survey:
    """All cases of a data folder, and the findings that follow from names only.

    backgrounds, alphas: folders in place of the layout's own. against: Adobe's data set, to compare a composited test
    set with; its backgrounds lie there or in `backgrounds`. DataError if a folder cannot be listed, ConfigError for a
    folder that the layout does not use.
    """
    for folder in filter(None, (root, backgrounds, alphas, against)):
        _check_folder(folder)
    layout = layout_of(root)
    for option, given, unused in (("--alpha", alphas, ("adobe", "composites")), ("--bg", backgrounds, ("composites",))):
        if given and layout in unused and not (against and given == backgrounds):
            raise ConfigError(f"{option}: {root} is {LAYOUTS[layout]}, which has its own; leave it out")
    if against and layout != "composites":
        raise ConfigError(f"--against: {root} is {LAYOUTS[layout]}; give a composited test set to compare with Adobe's")
    official = official_plan(against, backgrounds) if against else {}
    found: Found
    homes: Homes
    if layout == "adobe":
        found, homes = adobe_cases(root, backgrounds), [(root, ".")]
    elif layout == "composites":
        found, homes = _composites(root, official)
    else:
        found, homes = _foregrounds(root, layout, alphas, backgrounds)
    items = list(found)
    cases = [item for item in items if isinstance(item, Case)]
    findings = [item for item in items if not isinstance(item, Case)]
    if layout in ("composites", "folders"):
        cases, wrong = as_adobes(cases, folder_of_tests(root), official)
        findings += wrong
    if layout == "adobe" and any(item["check"] == "list" and item["path"].endswith("_names.txt") for item in findings):
        homes = "the names lists must be complete first"
    return Survey(root, layout, cases, findings, homes)


def _check_folder(folder: Path) -> None:
    if isinstance(folder, Address):
        if not folder.is_dir():
            raise DataError(lacking(folder))
        return
    try:
        next(folder.iterdir(), None)
    except FileNotFoundError as error:
        raise DataError(f"{folder}: no such folder; check the path") from error
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror}); check the path") from error


def _composites(root: Path, official: dict[str, Entry]) -> tuple[Found, Homes]:
    """The content of a composited data set: of its train/ and test/, or of a single split."""
    splits = {split: root / split for split in ("train", "test") if (root / split).is_dir()}
    if (root / "image").is_dir():
        splits = {"test" if official or (root / "trimap").is_dir() else "train": root}
    found = (item for split, folder in splits.items() for item in _split(folder, split))
    if any((folder / MANIFEST).is_file() for folder in splits.values()):
        return found, "composites follow from their sources: fix those, then run deepmat composite again"
    return found, [(root, ".")]


def _foregrounds(root: Path, layout: str, alphas: Path | None, backgrounds: Path | None) -> tuple[Found, Homes]:
    """The content of plain folders. DataError for a folder of other pictures among the foregrounds."""
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
    return found, [(root, "fg" if layout == "pictures" and apart else "."), *apart]


def count(found: Survey) -> Counts:
    """The number of pictures of each kind in a survey; kinds without pictures are absent."""
    names = {"foreground": "foregrounds", "background": "backgrounds", "composite": "pictures"}
    counts: Counter[str] = Counter()
    for case in found.cases:
        test = "test " if case.split == "test" else "training " if case.kind == "composite" else ""
        counts[test + names[case.kind]] += 1
    for role, what in (("alpha", "alphas"), ("trimap", "trimaps")):
        counts[what] = len({path for case in found.cases for kind, path in case.files if kind == role})
    return cast(Counts, {what: number for what, number in counts.items() if number})
