"""Which compositor made a test set: composite each picture again from its sources with every compositor, and compare.

The sources are Adobe's if its data set is given; else those of the manifest; else the files in fg/, alpha/ and bg/
beside image/. Those backgrounds are stored at their final size, so that only the blending is compared.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict, cast

import cv2
import numpy as np

from deepmat import imaging
from deepmat.checks.findings import LAYOUTS, Case, Comparison, Finding, Survey, finding
from deepmat.data.compositing import COMPOSITORS, Entry, is_unchanged, plan_adobe
from deepmat.data.compositing.manifest import Kind
from deepmat.data.layouts import ADOBE_FOLDERS, adobe_foregrounds, background_folder, layout_of, read_names
from deepmat.errors import ConfigError, DataError
from deepmat.imaging import trimap
from deepmat.runtime.listing import key_of
from deepmat.runtime.storage import addressed

WHOLE = (1000, 50)
"""Pictures and foregrounds of Adobe's test set."""

Layers = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Colours, alpha and background of one composite, uint8."""
Opener = Callable[[Path, Path | None], tuple[np.ndarray, np.ndarray]]
"""`layouts.read_foreground`, perhaps cached."""
Pixels = dict[str, tuple[Path, np.ndarray]]
"""The files of one case by role."""
Distances = dict[str, tuple[float, int]]
"""{compositor: (mean, largest)} in grey levels, 0 if exact; empty where picture and foreground differ in size."""


class Compared(NamedTuple):
    """A test picture compared with its sources."""

    name: str
    path: str
    fg: str | None
    """Its foreground, if a manifest or Adobe's lists name one."""
    apart: Distances | str
    """Or why there are none."""
    fitted: bool
    """Whether the background was stored at its final size, so that only the blending was compared."""
    equal: dict[str, bool | None]
    """Whether alpha, trimap and bg are those of the sources; None where that is not known."""


class Apart(TypedDict):
    """Differences over several pictures, in grey levels."""

    mean: float
    max: int


def folder_of_tests(root: Path) -> Path:
    """The folder of the test set in a data folder."""
    return root if (root / "image").is_dir() else root / "test"


def official_plan(root: Path, backgrounds: Path | None) -> dict[str, Entry]:
    """The composites of Adobe's test set by name.

    backgrounds: for a data set without its own. ConfigError if `root` has another layout, DataError if files of it are
    missing.
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
    """Return whether the case is a composite of the test split."""
    return case.kind == "composite" and case.split == "test"


def _name(case: Case, folder: Path) -> str:
    return str(case.entry["name"]) if case.entry else key_of(case.files[0][1], folder / "image")


def as_adobes(cases: list[Case], folder: Path, official: dict[str, Entry]) -> tuple[list[Case], list[Finding]]:
    """The cases with the entries of Adobe's test set, and findings on what differs by names only.

    official: Adobe's plan by name; empty if its data set is not given.
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
        for which, message in ((lacking, "of Adobe's are missing"), (strange, "are not in Adobe's; remove them")):
            if which:
                message = f"{len(which)} pictures, {which[0]} for one, {message}"
                findings.append(finding("benchmark", folder, message, severity="warning"))
    return cases, findings


def _are_kept(entry: Entry, *kinds: Kind) -> bool:
    """Whether these sources of a composite exist and have not changed since it was made."""
    stamps = entry.get("sources", {})
    files = [(entry[kind], stamps.get(kind)) for kind in kinds]
    return all(is_unchanged(path, before) if before else addressed(path).is_file() for path, before in files if path)


def _foreground(sources: Entry, opened: Opener) -> tuple[np.ndarray, np.ndarray]:
    return opened(addressed(sources["fg"]), addressed(sources["alpha"]) if sources["alpha"] else None)


def _layers(sources: Entry, opened: Opener) -> Layers:
    return *_foreground(sources, opened), imaging.read_image(addressed(sources["bg"]))


def _distances(image: np.ndarray, layers: Layers) -> Distances:
    """The difference of a composite from that of each compositor. DataError if its layers cannot be composited."""
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
    """Distances by the sources in the manifest or the folders; None if there are none."""
    image, entry = pixels["image"][1], case.entry
    try:
        if entry and _are_kept(entry, "fg", "alpha", "bg"):
            return _distances(image, _layers(entry, opened))
        if {"fg", "alpha", "bg"} <= pixels.keys():
            return _distances(image, (pixels["fg"][1], pixels["alpha"][1], pixels["bg"][1]))
    except DataError as error:
        return str(error)
    return "the sources changed since or are missing" if entry else None


def compare(case: Case, pixels: Pixels, opened: Opener) -> tuple[list[Finding], Compared | None]:
    """Compare a test picture with its sources. Returns findings, and the comparison; None without sources.

    pixels: those of its files, the image among them.
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
    equal: dict[str, bool | None] = {"bg": True if official and _exact(theirs) else None}
    findings = list(_wrong(case, path, own, theirs))
    if official and entry and Path(entry["bg"]).name != Path(official["bg"]).name:
        equal["bg"] = False
        message = f"over {Path(entry['bg']).name}, where Adobe's list says {Path(official['bg']).name}"
        findings.append(finding("benchmark", path, message, severity="warning"))
    for role in ("alpha", "trimap"):
        equal[role] = _is_sources(role, case, pixels, opened) if role in pixels and sources else None
        if sources and equal[role] is False:
            message = f"not the {role} of {sources['fg']}; copy it from there"
            severity = "error" if role == "alpha" and not official else "warning"
            findings.append(finding("copy", pixels[role][0], message, severity=severity))
    fitted = not (official or (entry and _are_kept(entry, "fg", "alpha", "bg")))
    return findings, Compared(path.stem, str(path), sources["fg"] if sources else None, apart, fitted, equal)


def _wrong(case: Case, path: Path, own: Distances | str | None, theirs: Distances | str | None) -> Iterator[Finding]:
    """The finding on a composite that no compositor makes, or another one than its manifest says."""
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
    kinds: tuple[Kind, ...] = ("trimap",) if role == "trimap" else ("fg", "alpha")
    source = sources[kinds[0]]
    if not source or not (case.official or _are_kept(sources, *kinds)):
        return None
    try:
        if role == "trimap":
            there, here = trimap.read_trimap(addressed(source))[0], trimap.quantise(pixels[role][1])[0]
        else:
            there, here = _foreground(sources, opened)[1], pixels[role][1]
    except DataError:  # reported where that file is examined
        return None
    return np.array_equal(there, here)


def _apart(others: Sequence[Distances]) -> Apart:
    """Differences of pictures from Adobe's."""
    apart = [each["adobe"] for each in others]
    mean = sum(each for each, _ in apart) / max(len(apart), 1)
    return {"mean": round(mean, 3), "max": max((most for _, most in apart), default=0)}


def summarise(compared: Sequence[Compared], found: Survey) -> tuple[list[Finding], Comparison | None]:
    """Findings on a test set as a whole, and the summary of its comparisons; None if there are none."""
    if not compared:
        return [], None
    ranks = {str(case.files[0][1]): rank for rank, case in enumerate(found.cases) if is_test(case) and case.files}
    compared = sorted(compared, key=lambda item: ranks[item.path])
    made = [(item, item.apart) for item in compared if isinstance(item.apart, dict)]
    others = [(item, apart) for item, apart in made if apart and "adobe" not in _exact(apart)]
    worst = max(others, key=lambda pair: pair[1]["adobe"][0], default=None)
    comparison = {
        "pictures": len(compared),
        "foregrounds": len({item.fg for item in compared} - {None}) or None,
        "first": compared[0].name,
        "last": compared[-1].name,
        **{name: sum(name in _exact(apart) for _, apart in made) for name in COMPOSITORS},
        "neither": sum(not _exact(apart) for _, apart in made),
        "untold": len(compared) - len(made),
        "fitted": sum(item.fitted for item, _ in made),
        **_apart([apart for _, apart in others]),
        "worst": worst[0].path if worst else None,
    }
    for role, name in (("alpha", "alphas"), ("trimap", "trimaps"), ("bg", "backgrounds")):
        known = [item.equal[role] for item in compared if item.equal[role] is not None]
        comparison[name] = [sum(map(bool, known)), len(known)]
    summary = cast(Comparison, comparison)
    return list(_of_the_set(compared, summary, folder_of_tests(found.root))), summary


def _of_the_set(compared: Sequence[Compared], summary: Comparison, folder: Path) -> Iterator[Finding]:
    """Findings on pictures of another compositor than Adobe's, and on pictures that could not be compared."""
    made = [item.apart for item in compared if isinstance(item.apart, dict)]
    foreign = [apart for apart in made if apart and _exact(apart) and "adobe" not in _exact(apart)]
    if foreign:
        names = " or ".join(sorted({name for apart in foreign for name in _exact(apart)}))
        apart = _apart(foreign)
        message = (
            f"{len(foreign)} of {len(made)} pictures are exactly what {names} makes, not Adobe's script: scores do "
            f"not compare with published ones; {apart['mean']:.2g} grey levels apart in the mean, {apart['max']} at "
            f"most{', by the blending alone' * bool(summary['fitted'])}"
        )
        yield finding("compositor", folder, message, severity="warning")
    why = next((item.apart for item in compared if isinstance(item.apart, str)), None)
    if why:
        message = f"{summary['untold']} of {len(compared)} pictures could not be composited again to compare: {why}"
        yield finding("source", folder, message, severity="note")
