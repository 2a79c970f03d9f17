"""Records of a check: findings, cases, the survey of a folder."""

from pathlib import Path
from typing import NamedTuple, TypedDict

from deepmat.data.compositing import Entry
from deepmat.errors import DataError

CHECKS = {
    "unreadable": "files that cannot be read",
    "place": "folders that cannot be used",
    "stray": "files that are not used",
    "name": "pictures that share a name",
    "partner": "pictures without the partners they need",
    "list": "names lists that do not fit the files",
    "manifest": "composites that do not fit their manifest",
    "source": "sources that changed since they were composited",
    "composite": "composites that are not what a compositor makes of their sources",
    "copy": "alphas and trimaps that are not those of their sources",
    "compositor": "test sets of another compositor than Adobe's",
    "benchmark": "test sets that are not Adobe's",
    "size": "partners of different sizes",
    "small": "small pictures",
    "edge": "alphas without an edge",
    "scale": "alphas that do not reach from 0 to 255",
    "mask": "alphas that are masks, without a soft edge",
    "levels": "alphas of few levels",
    "inverted": "alphas that look inverted",
    "colours": "alphas with colours in them",
    "lossy": "alphas kept as JPEG",
    "deep": "alphas of more than 8 bits",
    "channels": "grey alphas kept as colours",
    "labels": "trimaps of labels",
    "greys": "trimaps of other levels than 0, 128, 255",
    "known": "trimaps with nothing to find out, or nothing to go by",
    "contradiction": "trimaps that contradict the alpha",
    "fringe": "foreground colours mixed with black or white at the edge",
    "profile": "colour profiles and gammas that other programs may apply",
    "orientation": "pictures that only EXIF turns upright",
    "mode": "pictures of unusual kinds",
    "duplicate": "duplicate pictures",
    "leak": "training pictures that are in the test set too",
    "changed": "files that are not what their checksums say",
    "missing": "files that have a checksum but are not there",
    "unlisted": "files that have no checksum",
}
LAYOUTS = {
    "adobe": "Adobe's layout",
    "composites": "a data set",
    "folders": "own folders",
    "pictures": "pictures",
}
SEVERITIES = ("error", "warning", "note")


class Finding(TypedDict):
    """Something about a file or folder that is worth a line."""

    severity: str
    """One of SEVERITIES. "error": training or scores fail or come out wrong; "warning": usable, but worth a look."""
    check: str
    """One of CHECKS."""
    path: str
    message: str
    """What is wrong and how to fix it."""
    fix: str | None
    """What a mended copy does about it: "re-encoded", "left out" or None."""


class Case(NamedTuple):
    """Files that are used together."""

    kind: str
    """foreground, background or composite."""
    split: str
    files: tuple[tuple[str, Path], ...]
    """(role, path); roles are fg, rgba (colours and alpha in one file), alpha, trimap, bg and image."""
    entry: Entry | None = None
    """The composite's line in the manifest, if there is one."""
    official: Entry | None = None
    """The line of that composite in Adobe's own test set, if that is given."""


class Survey(NamedTuple):
    """The content of a data folder by names only."""

    root: Path
    layout: str
    """One of LAYOUTS."""
    cases: list[Case]
    findings: list[Finding]
    homes: list[tuple[Path, str]] | str
    """The folders that a mended copy takes, each with its place in the copy; or why there can be no copy."""


Counts = TypedDict(
    "Counts",
    {
        "foregrounds": int,
        "test foregrounds": int,
        "backgrounds": int,
        "test backgrounds": int,
        "training pictures": int,
        "test pictures": int,
        "alphas": int,
        "trimaps": int,
    },
    total=False,
)
"""Numbers of files; kinds without files are absent."""


class Comparison(TypedDict):
    """How the pictures of a composited test set compare with what each compositor makes of their sources."""

    pictures: int
    foregrounds: int | None
    """None without a manifest."""
    first: str
    last: str
    """Names of the first and the last picture."""
    adobe: int
    cv2: int
    """Pictures that are exactly what this compositor makes; a picture can be both."""
    neither: int
    untold: int
    """Pictures that could not be composited again."""
    fitted: int
    """Pictures whose backgrounds are stored at their final size, so that only the blending was compared."""
    mean: float
    max: int
    """Differences from Adobe's, in grey levels, of the pictures that are not exactly Adobe's."""
    worst: str | None
    """The picture that differs most from Adobe's."""
    alphas: list[int]
    trimaps: list[int]
    backgrounds: list[int]
    """[number equal to their sources, number that could be compared]."""


class Checked(NamedTuple):
    """A record of a check: of a case, of the whole folder, or of the checksum of a file."""

    findings: list[Finding]
    pixels: int = 0
    comparison: Comparison | None = None
    """Of the whole folder, if it holds a composited test set."""
    checksum: str | None = None
    """Of a checksum: "intact" or the check of its finding."""


def finding(check: str, path: Path | str, message: str, *, severity: str = "error", fix: str | None = None) -> Finding:
    """A Finding; an error without a fix by default."""
    return {"severity": severity, "check": check, "path": str(path), "message": message, "fix": fix}


def message_of(error: DataError, path: Path) -> str:
    """The message of an error, without the path that a finding names already."""
    return str(error).removeprefix(f"{path}: ")
