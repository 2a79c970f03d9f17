"""A copy of a data folder in which everything that can be repaired safely is repaired."""

import os
import shutil
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from deepmat import imaging
from deepmat.checks.adobe import coco_names
from deepmat.checks.findings import CHECKS, LAYOUTS, SEVERITIES, Case, Finding, Survey
from deepmat.checks.listing import within
from deepmat.checks.pictures import is_binary_scale
from deepmat.checks.reading import CHUNK, spread_items
from deepmat.data.layouts import ADOBE_FOLDERS, adobe_foregrounds, read_names
from deepmat.errors import ConfigError, DataError
from deepmat.imaging import trimap
from deepmat.runtime import distributed
from deepmat.runtime.cluster import LIVES
from deepmat.runtime.files import remove_leftovers, whole_file, write_text
from deepmat.runtime.paths import is_folder, is_there
from deepmat.runtime.sharing import Batch, Engine, do_for_all
from deepmat.runtime.storage import addressed
from deepmat.runtime.work import Work


def settle(found: Survey, findings: Iterable[Finding]) -> list[Finding]:
    """All findings, the worst first. A fix that would not be safe in the folder as a whole is removed."""
    roles = {path: role for case in found.cases for role, path in case.files}
    names = Counter(path.with_suffix("") for path in roles)

    def safe(item: Finding) -> bool:
        path = addressed(item["path"])
        if isinstance(found.homes, str) or not any(home in path.parents for home, _ in found.homes):
            return False
        if item["fix"] == "re-encoded":  # the place of the PNG must be free
            return _as_png(path) == path or (names[path.with_suffix("")] == 1 and not _as_png(path).exists())
        return (
            found.layout != "adobe" or roles.get(path) != "bg"
        )  # one name less would shift the backgrounds of all foregrounds after it

    settled = [item if not item["fix"] or safe(item) else _unfixed(item) for item in findings]
    gone = left_out(found, settled)
    kept = {(case.kind, case.split) for case in found.cases if not _touches(case, gone)}
    if kept < {(case.kind, case.split) for case in found.cases}:  # nothing of one kind would be left
        settled = [_unfixed(item) if item["fix"] == "left out" else item for item in settled]
    order = list(CHECKS)

    def rank(item: Finding) -> tuple[int, int, str, str]:
        return SEVERITIES.index(item["severity"]), order.index(item["check"]), item["path"], item["message"]

    return sorted(settled, key=rank)


def _unfixed(item: Finding) -> Finding:
    return {**item, "fix": None}


def _as_png(path: Path) -> Path:
    return path if path.suffix.lower() == ".png" else path.with_suffix(".png")


def _touches(case: Case, gone: Container[Path]) -> bool:
    return any(path in gone for _, path in case.files)


def _mended(role: str, path: Path) -> np.ndarray:
    """The repaired pixels of a file, uint8."""
    if role == "trimap":
        return trimap.quantise(imaging.read_levels(path))[0]
    if role == "alpha":
        grey = imaging.read_grey(path)
        return grey * np.uint8(255) if is_binary_scale(grey, imaging.describe(path)["deep"]) else grey
    colour, alpha = imaging.read_rgba(path)
    if alpha is None:
        return colour
    return np.dstack((colour, alpha * np.uint8(255) if role == "rgba" and is_binary_scale(alpha, False) else alpha))


def _write(jobs: Sequence[tuple[Path, Path, str | None]]) -> list[str]:
    """Copy each (source, place, role), or re-encode it if it has a role. Returns what was done."""
    for source, place, role in jobs:
        if role:
            imaging.write_image(place, _mended(role, source))
        else:
            with whole_file(place) as part:
                shutil.copyfile(source, part)
    return ["re-encoded" if role else "copied" for _, _, role in jobs]


def left_out(found: Survey, findings: Iterable[Finding]) -> dict[Path, str]:
    """The files that a mended copy leaves out, and why: a finding on them or on a partner."""
    unfit = [item for item in findings if item["fix"] == "left out"]
    gone = {addressed(item["path"]): item["message"].partition("; ")[0] for item in unfit}
    lost = [case for case in found.cases if _touches(case, gone)]
    kept = {path for case in found.cases if not _touches(case, gone) for _, path in case.files}
    for case in lost:
        reason = next(path for _, path in case.files if path in gone)
        for _, path in case.files:
            if path not in gone and path not in kept:
                gone[path] = f"goes with {reason.name}"
    return gone


def refuse_copy(found: Survey, out: Path) -> None:
    """ConfigError if no mended copy of a data folder can be written to `out`."""
    if isinstance(found.homes, str):
        raise ConfigError(f"--fix: {found.root} is {LAYOUTS[found.layout]}; {found.homes}")
    if is_folder(out) and any(out.iterdir()):
        raise ConfigError(f"--fix {out}: is not empty; choose a new folder")
    if is_there(out) and not is_folder(out):
        raise ConfigError(f"--fix {out}: is not a folder; choose a new one")
    for home, _ in found.homes:
        if within(out, home) or within(home, out):
            raise ConfigError(f"--fix {out}: overlaps {home}, which is read; choose a folder beside it")


def _lost(job: tuple[Path, Path, str | None], why: str) -> str:
    raise DataError(f"{job[0]}: copying it ended {LIVES} workers ({why}); leave it out, remove {job[1]} and begin anew")


def mend(
    found: Survey, findings: Sequence[Finding], out: Path, workers: int | None = 1, engine: Engine = Engine()
) -> Work[str]:
    """Write a copy of a data folder in which every finding with a fix is fixed; the folder itself is only read.

    findings: those of `settle`. Iterating yields "copied" or "re-encoded" for each file; those of `left_out` are not
    copied. The processes of a launcher share the files, and each yields the records of all. ConfigError if no copy can
    be written to `out`, DataError if a file cannot be written.
    """
    refuse_copy(found, out)
    assert not isinstance(found.homes, str)
    gone = left_out(found, findings)
    roles = {path: role for case in found.cases for role, path in case.files}
    anew = {path: roles[path] for item in findings if item["fix"] == "re-encoded" for path in [addressed(item["path"])]}
    if found.layout == "adobe":
        for case in found.cases:  # an alpha has its foreground's name, or is a PNG
            files = dict(case.files)
            if files.get("fg") in anew and "alpha" in files and _as_png(files["fg"]) != files["fg"]:
                anew[files["alpha"]] = "alpha"
    jobs: dict[Path, tuple[Path, Path, str | None]] = {}
    taken = {place for _, place in found.homes[1:]}
    lists = _names_lists(found, gone, anew) if found.layout == "adobe" else {}
    for home, place in found.homes:
        for source in _files(home):
            inside = source.relative_to(home)
            if source in gone or source in lists or (place == "." and inside.parts[0] in taken):
                continue
            role = anew.get(source)
            target = out / place / (_as_png(inside) if role else inside)
            if role or target not in jobs:
                jobs[target] = source, target, role

    def steps() -> Iterator[str]:
        distributed.gather(None)  # nobody writes before all have found the folder empty
        for path, text in lists.items() if not distributed.rank() else ():
            write_text(out / path.relative_to(found.root), text)
        own = distributed.share(list(jobs.values()), CHUNK)
        yield from do_for_all(Batch(own, partial(spread_items, _write, workers), _lost), engine)
        if engine.is_cluster:
            remove_leftovers(out)  # of workers that were killed

    return Work(len(jobs), steps)


def _files(folder: Path) -> Iterator[Path]:
    """Every readable file below a folder, except hidden ones."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(parent, name) for name in sorted(names) if not name.startswith(".")):
            if path.is_file() and os.access(path, os.R_OK):
                yield path


def _names_lists(found: Survey, gone: dict[Path, str], anew: dict[Path, str]) -> dict[Path, str]:
    """Adobe's names lists, without the foregrounds that are left out and their backgrounds, with new names of files."""
    scenes = {path.name for path, role in anew.items() if role == "bg"}
    lists = {}
    for split, (folder, _, prefix) in ADOBE_FOLDERS.items():
        if not is_folder(found.root / folder):
            continue
        fg_list, bg_list = (found.root / folder / f"{prefix}_{what}_names.txt" for what in ("fg", "bg"))
        names, backgrounds = read_names(fg_list), read_names(bg_list)
        each = len(backgrounds) // len(names)
        kept: list[str] = []
        behind: list[str] = []
        for index, (name, fg) in enumerate(zip(names, adobe_foregrounds(found.root, split), strict=True)):
            if fg.fg in gone:
                continue
            kept.append(_as_png(Path(name)).as_posix() if fg.fg in anew else name)
            for other in backgrounds[index * each : (index + 1) * each]:
                renamed = next((match for match in coco_names(other) if match in scenes), None)
                behind.append(_as_png(Path(renamed)).name if renamed else other)
        lists[fg_list], lists[bg_list] = ("".join(f"{line}\n" for line in lines) for lines in (kept, behind))
    return lists
