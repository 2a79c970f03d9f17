"""The records of a check: findings, cases, the survey of a folder."""

from pathlib import Path
from typing import Any, NamedTuple

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
    "duplicate": "pictures that are there twice",
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

Finding = dict[str, Any]


class Case(NamedTuple):
    """Files that are used together.

    kind: "foreground", "background" or "composite"; files: (role, path), where a role is fg, rgba (colours and alpha
    in one file), alpha, trimap, bg or image; entry: the composite's line in the manifest, if there is one; official:
    what that line would be in Adobe's own test set, if that is at hand.
    """

    kind: str
    split: str
    files: tuple[tuple[str, Path], ...]
    entry: Entry | None = None
    official: Entry | None = None


class Survey(NamedTuple):
    """homes: the folders that a mended copy takes, each with its place in the copy, or why there can be none."""

    root: Path
    layout: str
    cases: list[Case]
    findings: list[Finding]
    homes: list[tuple[Path, str]] | str


def finding(check: str, path: Path | str, message: str, *, severity: str = "error", fix: str | None = None) -> Finding:
    return {"severity": severity, "check": check, "path": str(path), "message": message, "fix": fix}


def message_of(error: DataError, path: Path) -> str:
    """The message of an error, without the path that a finding names already."""
    return str(error).removeprefix(f"{path}: ")
