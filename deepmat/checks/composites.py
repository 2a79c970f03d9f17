"""Whose composites a test set holds: each is made again from its sources by every compositor, and compared.

Its sources are Adobe's, where its data set is given; else those of its manifest; else what lies in fg/, alpha/ and bg/
beside image/, where the backgrounds are fitted already, so that only the blending distinguishes them.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from deepmat import imaging
from deepmat.checks.findings import LAYOUTS, Case, Finding, Survey, finding
from deepmat.data.compositing import COMPOSITORS, Entry, is_unchanged, plan_adobe
from deepmat.data.layouts import ADOBE_FOLDERS, adobe_foregrounds, background_folder, layout_of, read_names
from deepmat.errors import ConfigError, DataError
from deepmat.imaging import trimap
from deepmat.runtime.files import key_of

WHOLE = (1000, 50)
"""Pictures and foregrounds of Adobe's test set."""

Layers = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Colours, alpha and background of one composite, uint8."""
Opener = Callable[[Path, Path | None], tuple[np.ndarray, np.ndarray]]
"""`sources.read_foreground`, or the like."""
Pixels = dict[str, tuple[Path, np.ndarray]]
"""The files of one case by role."""
Distances = dict[str, tuple[float, int]]
"""{compositor: (mean, largest)} in grey levels, 0 if exact; empty where picture and foreground differ in size."""
Compared = dict[str, Any]
"""One composite beside its sources.

name, path, fg: its name, file and foreground; apart: Distances, or why there are none; fitted: whether its background
was fitted already, so that the blending alone tells; alpha, trimap, bg: whether they are those of its sources, None
where that is not known.
"""


def folder_of_tests(root: Path) -> Path:
    """Where a data folder has its test set."""
    return root if (root / "image").is_dir() else root / "test"


def official_plan(root: Path, backgrounds: Path | None) -> dict[str, Entry]:
    """The composites of Adobe's test set by name. ConfigError if `root` has another layout, DataError if it lacks some.

    backgrounds: where the data set has none of its own.
    """
    layout = layout_of(root)
    if layout != "adobe":
        raise ConfigError(f"--against {root}: is {LAYOUTS[layout]}; give the folder that Adobe's Test_set/ is in")
    scenes = backgrounds or background_folder(root, "test")
    if not scenes:
        raise ConfigError(f"--against {root}: has no bg_test/; give its test backgrounds with --bg")
    folder, _, prefix = ADOBE_FOLDERS["test"]
    each = len(read_names(root / folder / f"{prefix}_bg_names.txt")) // len(adobe_foregrounds(root, "test"))
    return {entry["name"]: entry for entry in plan_adobe(root, "test", scenes, max(each, 1))}


def is_test(case: Case) -> bool:
    return case.kind == "composite" and case.split == "test"


def _name(case: Case, folder: Path) -> str:
    return str(case.entry["name"]) if case.entry else key_of(case.files[0][1], folder / "image")


def as_adobes(cases: list[Case], folder: Path, official: dict[str, Entry]) -> tuple[list[Case], list[Finding]]:
    """The cases with what those for testing would be in Adobe's test set, and how far that set differs by names alone.

    official: Adobe's plan by name; empty if its data set is not at hand.
    """
    names = [_name(case, folder) if is_test(case) and case.files else None for case in cases]
    cases = [
        case._replace(official=official.get(name)) if name else case for name, case in zip(names, cases, strict=True)
    ]
    tests = [case for name, case in zip(names, cases, strict=True) if name]
    if not tests or not (official or all(case.entry and case.entry["trimap"] for case in tests)):
        return cases, []
    findings = []
    foregrounds = len({sources["fg"] for case in tests if (sources := case.official or case.entry)})
    if (len(tests), foregrounds) != WHOLE:
        message = f"{len(tests)} pictures of {foregrounds} foregrounds; Adobe's has {WHOLE[0]} of {WHOLE[1]}"
        findings.append(finding("benchmark", folder, f"{message}, so scores do not compare", severity="note"))
    if official:
        here = set(filter(None, names))
        lacking, strange = sorted(official.keys() - here), sorted(here - official.keys())
        for which, message in ((lacking, "of Adobe's are not here"), (strange, "are not in Adobe's; remove them")):
            if which:
                message = f"{len(which)} pictures, {which[0]} for one, {message}"
                findings.append(finding("benchmark", folder, message, severity="warning"))
    return cases, findings


def _are_kept(entry: Entry, *kinds: str) -> bool:
    """Whether these sources, if it has them, are there and what they were when the composite was made."""
    stamps = entry["sources"]
    files = [(entry[kind], stamps.get(kind)) for kind in kinds if entry[kind]]
    return all(is_unchanged(path, before) if before else Path(path).is_file() for path, before in files)


def _foreground(sources: Entry, opened: Opener) -> tuple[np.ndarray, np.ndarray]:
    return opened(Path(sources["fg"]), Path(sources["alpha"]) if sources["alpha"] else None)


def _layers(sources: Entry, opened: Opener) -> Layers:
    return *_foreground(sources, opened), imaging.read_image(Path(sources["bg"]))


def _distances(image: np.ndarray, layers: Layers) -> Distances:
    """How far a composite is from what each compositor makes of its layers. DataError if they cannot be composited."""
    colours, alpha, background = layers
    if not image.shape[:2] == colours.shape[:2] == alpha.shape:
        return {}
    found = {}
    for name, compositor in COMPOSITORS.items():
        made = compositor.blend(colours, alpha, compositor.fit(background, *alpha.shape))
        apart = cv2.absdiff(image, made)
        found[name] = float(apart.mean()), int(apart.max())
    return found


def _exact(apart: Distances | str | None) -> list[str]:
    return [name for name, (_, most) in apart.items() if not most] if isinstance(apart, dict) else []


def _how_far(apart: Distances) -> str:
    if not apart:
        return "it is of another size than its foreground"
    name = min(apart, key=lambda each: apart[each])
    mean, most = apart[name]
    return f"{name} is nearest, {mean:.2g} grey levels off in the mean and {most} at most"


def _from_adobes(image: np.ndarray, official: Entry, opened: Opener) -> Distances | str:
    try:
        return _distances(image, _layers(official, opened))
    except DataError as error:
        return str(error)


def _from_own(case: Case, pixels: Pixels, opened: Opener) -> Distances | str | None:
    """By the sources of its manifest or its folders; None if it names none and has none."""
    image, entry = pixels["image"][1], case.entry
    try:
        if entry and _are_kept(entry, "fg", "alpha", "bg"):
            return _distances(image, _layers(entry, opened))
        if {"fg", "alpha", "bg"} <= pixels.keys():
            return _distances(image, (pixels["fg"][1], pixels["alpha"][1], pixels["bg"][1]))
    except DataError as error:
        return str(error)
    return "the sources changed since or are gone" if entry else None


def compare(case: Case, pixels: Pixels, opened: Opener) -> tuple[list[Finding], Compared | None]:
    """What is wrong with a test picture beside its sources; and how it compares, None if there is nothing to go by.

    pixels: of its files, the image among them.
    """
    (path, image), entry, official = pixels["image"], case.entry, case.official
    theirs = _from_adobes(image, official, opened) if official else None
    own = theirs
    if not official or (entry and entry["compositor"] not in _exact(theirs)):
        own = _from_own(case, pixels, opened)
        own = theirs if not isinstance(own, dict) and _exact(theirs) else own
    apart = theirs if official else own
    if apart is None:
        return [], None
    sources = official or entry
    record: Compared = {"name": path.stem, "path": str(path), "fg": sources["fg"] if sources else None, "apart": apart}
    record["fitted"] = not (official or (entry and _are_kept(entry, "fg", "alpha", "bg")))
    record["bg"] = True if official and _exact(theirs) else None
    findings = list(_wrong(case, path, own, theirs))
    if official and entry and Path(entry["bg"]).name != Path(official["bg"]).name:
        record["bg"] = False
        message = f"over {Path(entry['bg']).name}, where Adobe's list says {Path(official['bg']).name}"
        findings.append(finding("benchmark", path, message, severity="warning"))
    for role in ("alpha", "trimap"):
        record[role] = _is_sources(role, case, pixels, opened) if role in pixels and sources else None
        if sources and record[role] is False:
            message = f"not the {role} of {sources['fg']}; copy it from there"
            severity = "error" if role == "alpha" and not official else "warning"
            findings.append(finding("copy", pixels[role][0], message, severity=severity))
    return findings, record


def _wrong(case: Case, path: Path, own: Distances | str | None, theirs: Distances | str | None) -> Iterator[Finding]:
    """What a composite is instead of what its manifest says or, without one, of what any compositor makes."""
    entry, exact = case.entry, _exact(own)
    if entry and isinstance(own, dict) and entry["compositor"] not in exact:
        says = f"its manifest says {entry['compositor']}"
        what = f"exactly what {exact[0]} makes" if exact else f"no compositor makes it, {_how_far(own)}"
        message = f"{what}, but {says}"
        yield finding("composite", path, f"{message}; run deepmat composite again")
    elif isinstance(theirs, dict) and not _exact(theirs):
        message = f"not Adobe's picture of that name by any compositor: {_how_far(theirs)}"
        yield finding("composite", path, message, severity="warning")
    elif not entry and isinstance(own, dict) and not exact:
        message = f"not what any compositor makes of its fg/, alpha/ and bg/: {_how_far(own)}"
        yield finding("composite", path, message, severity="warning")


def _is_sources(role: str, case: Case, pixels: Pixels, opened: Opener) -> bool | None:
    """Whether the alpha or trimap of a composite is that of its sources, pixel by pixel; None if that is not known."""
    sources = case.official or case.entry
    assert sources
    kinds = ("trimap",) if role == "trimap" else ("fg", "alpha")
    if not sources[kinds[0]] or not (case.official or _are_kept(sources, *kinds)):
        return None
    try:
        if role == "trimap":
            there, here = trimap.read_trimap(Path(sources["trimap"]))[0], trimap.quantise(pixels[role][1])[0]
        else:
            there, here = _foreground(sources, opened)[1], pixels[role][1]
    except DataError:  # reported where that file is examined
        return None
    return np.array_equal(there, here)


def _apart(compared: Sequence[Compared]) -> dict[str, float]:
    """How far pictures are from Adobe's, in grey levels."""
    apart = [item["apart"]["adobe"] for item in compared]
    mean = sum(each for each, _ in apart) / max(len(apart), 1)
    return {"mean": round(mean, 3), "max": max((most for _, most in apart), default=0)}


def summarise(compared: Sequence[Compared], found: Survey) -> tuple[list[Finding], dict[str, Any]]:
    """What a test set is as a whole; of no comparisons, nothing.

    pictures, foregrounds, first, last: numbers and names; adobe, cv2: how many are exactly what that compositor makes,
    a few of both perhaps; neither; untold; fitted: how many are told by the blending alone; mean, max, worst: how far
    those that are not exactly Adobe's are from it, in grey levels, and the farthest picture; alphas, trimaps,
    backgrounds: [those of their sources, those known].
    """
    if not compared:
        return [], {}
    ranks = {str(case.files[0][1]): rank for rank, case in enumerate(found.cases) if is_test(case) and case.files}
    compared = sorted(compared, key=lambda item: ranks[item["path"]])
    compared_to = [item for item in compared if isinstance(item["apart"], dict)]
    others = [item for item in compared_to if item["apart"] and "adobe" not in _exact(item["apart"])]
    worst = max(others, key=lambda item: item["apart"]["adobe"][0], default=None)
    summary: dict[str, Any] = {
        "pictures": len(compared),
        "foregrounds": len({item["fg"] for item in compared} - {None}) or None,
        "first": compared[0]["name"],
        "last": compared[-1]["name"],
        **{name: sum(name in _exact(item["apart"]) for item in compared_to) for name in COMPOSITORS},
        "neither": sum(not _exact(item["apart"]) for item in compared_to),
        "untold": len(compared) - len(compared_to),
        "fitted": sum(item["fitted"] for item in compared_to),
        **_apart(others),
        "worst": worst["path"] if worst else None,
    }
    for role in ("alpha", "trimap", "bg"):
        known = [item[role] for item in compared if item[role] is not None]
        summary[{"bg": "backgrounds"}.get(role, f"{role}s")] = [sum(known), len(known)]
    findings, folder = [], folder_of_tests(found.root)
    foreign = [item for item in others if _exact(item["apart"])]
    if foreign:
        names = " or ".join(sorted({name for item in foreign for name in _exact(item["apart"])}))
        number = f"{len(foreign)} of {len(compared_to)}"
        message = f"{number} pictures are exactly what {names} makes, not Adobe's script: scores do not"
        how_far = "{mean:.2g} grey levels apart in the mean, {max} at most".format(**_apart(foreign))
        message += f" compare with published ones; {how_far}{', by the blending alone' * bool(summary['fitted'])}"
        findings.append(finding("compositor", folder, message, severity="warning"))
    why = next((item["apart"] for item in compared if isinstance(item["apart"], str)), None)
    if why:
        message = f"{summary['untold']} of {len(compared)} pictures could not be made again to compare: {why}"
        findings.append(finding("source", folder, message, severity="note"))
    return findings, summary
