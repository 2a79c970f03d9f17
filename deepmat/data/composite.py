"""Composite a data set: what `deepmat composite` does."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from deepmat import imaging
from deepmat.data.compositing import (
    BACKGROUNDS_PER_FOREGROUND,
    Built,
    Entry,
    build_composites,
    check_plan,
    plan_adobe,
    plan_folders,
    preview,
)
from deepmat.data.layouts import background_folder, find_foregrounds, layout_of
from deepmat.errors import ConfigError, DataError
from deepmat.imaging.sheets import sheet
from deepmat.runtime import distributed
from deepmat.runtime.files import AnyPath, as_path, as_path_or_none, refuse_inside
from deepmat.runtime.paths import is_folder, is_there
from deepmat.runtime.sharing import parse_engine, refuse_storage
from deepmat.runtime.storage import Address, check_bucket
from deepmat.runtime.work import Work

SPLITS = {"both": ("train", "test"), "train": ("train",), "test": ("test",)}
PREVIEWED = 12
"""Number of composites on a preview."""


class Composited(Built, total=False):
    """The record of a composite of one of the splits."""

    split: str


class Previewed(TypedDict):
    """The result of a preview."""

    shown: int
    """Number of composites on the sheet; without any, no sheet is written."""
    planned: int
    """Number of composites that the same arguments make."""
    failures: dict[str, str]
    """Error messages by name."""
    notices: list[str]


Plans = list[tuple[str, list[Entry]]]


@dataclass(frozen=True)
class Composites(Work[Composited]):
    """A data set that is ready to be written. Iterating writes it; composites come in the order of completion."""

    plans: tuple[tuple[str, list[Entry]], ...] = ()
    """The splits with the composites of each."""


def composite(
    source: AnyPath,
    out: AnyPath,
    *,
    bg: AnyPath | None = None,
    test_bg: AnyPath | None = None,
    alpha: AnyPath | None = None,
    split: str | None = None,
    per_foreground: int | None = None,
    compositor: str = "adobe",
    layout: str = "composites",
    format: str = "png",
    seed: int | None = None,
    workers: int | None = None,
    engine: str = "processes",
) -> Composites:
    """Composite foregrounds over backgrounds: what `deepmat composite` does.

    source: Adobe's data set or any folder of foregrounds. out: gets train/ and test/, each with image/ (test also
    alpha/ and trimap/) and manifest.jsonl. bg, test_bg: folders of backgrounds, in place of those in source. alpha:
    folder of the alphas of plain foregrounds; without it they are RGBA. split: "train", "test" or "both", by default
    both for Adobe's layout and train for plain folders. per_foreground: number of backgrounds for each foreground, by
    default 100 for train and 20 for test. compositor: a name of imaging.blend.COMPOSITORS. layout: "composites", or
    "full" to write fg/, bg/ and alpha/ as well. format: of training composites, "png", "jpg" or "webp". seed: chooses
    the backgrounds of each foreground of plain folders. workers: number of threads, by default the number of cores.
    engine: "processes", or "ray" for the workers of a Ray cluster (`runtime.sharing`).

    Raises ConfigError and DataError before any work. The same call continues after a stop. Iterating yields a record
    for each composite; one that fails has "error". The processes of a launcher share the composites
    (`runtime.distributed`).
    """
    runs_on = parse_engine(engine)
    source, out = as_path(source, "source"), as_path(out, "out")
    bg, test_bg, alpha = _folders(bg=bg, test_bg=test_bg, alpha=alpha)
    refuse_inside("--out", out, (source, alpha, bg, test_bg))
    refuse_storage(runs_on, [out])
    if isinstance(out, Address):
        check_bucket(out)
    plans, notices = plan_splits(source, bg, test_bg, alpha, split, per_foreground, compositor, seed)
    for _, plan in plans:
        check_plan(plan, layout, format)

    def steps() -> Iterator[Composited]:
        for name, plan in plans:
            made = build_composites(plan, out, workers, layout=layout, image_format=format, engine=runs_on)
            for record in made:
                yield {"split": name, **record}

    total = sum(len(distributed.share(plan)) for _, plan in plans)
    return Composites(total, steps, [] if distributed.rank() else notices, plans=tuple(plans))


def preview_composites(
    source: AnyPath,
    path: AnyPath,
    *,
    bg: AnyPath | None = None,
    test_bg: AnyPath | None = None,
    alpha: AnyPath | None = None,
    split: str | None = None,
    per_foreground: int | None = None,
    compositor: str = "adobe",
    seed: int | None = None,
) -> Previewed:
    """Write a sheet of some composites to the picture `path`, and no data set. Arguments as for `composite`."""
    source, path = as_path(source, "source"), as_path(path, "path")
    bg, test_bg, alpha = _folders(bg=bg, test_bg=test_bg, alpha=alpha)
    refuse_inside("--preview", path, (source, alpha, bg, test_bg))
    plans, notices = plan_splits(source, bg, test_bg, alpha, split, per_foreground, compositor, seed)
    entries = [entry for _, plan in plans for entry in plan]
    rows, failures = [], {}
    for name, pictures in preview(entries, PREVIEWED):
        if isinstance(pictures, DataError):
            failures[name] = str(pictures)
        else:
            rows.append((name, [pictures[kind] for kind in ("image", "trimap", "alpha")]))
    if rows:
        imaging.write_image(path, sheet(rows, ("composite", "trimap", "alpha")))
    return {"shown": len(rows), "planned": len(entries), "failures": failures, "notices": notices}


def _folders(**given: AnyPath | None) -> list[Path | None]:
    return [as_path_or_none(path, name) for name, path in given.items()]


def plan_splits(
    source: Path,
    bg: Path | None,
    test_bg: Path | None,
    alpha: Path | None,
    split: str | None,
    per_foreground: int | None,
    compositor: str,
    seed: int | None,
) -> tuple[Plans, list[str]]:
    """The splits to make with the plan of each, and notices. Arguments as for `composite`."""
    adobe = layout_of(source) == "adobe"
    if layout_of(source) == "composites":
        raise DataError(f"{source}: holds composites already; give the folder of their foregrounds")
    split = split or ("both" if adobe else "train")
    _check(source, adobe, split, alpha, test_bg, seed)
    given = {"train": bg, "test": test_bg or (bg if split == "test" else None)}
    plans: Plans = []
    notices: list[str] = []
    for name in SPLITS[split]:
        count = per_foreground or BACKGROUNDS_PER_FOREGROUND[name]
        folder = _backgrounds(source, adobe, name, given[name])
        if adobe:
            plans.append((name, plan_adobe(source, name, folder, count, compositor)))
        else:
            plan, more = plan_folders(source, alpha, folder, name, count, seed or 0, compositor)
            notices += more
            plans.append((name, plan))
    return plans, notices


def _check(source: Path, adobe: bool, split: str, alpha: Path | None, test_bg: Path | None, seed: int | None) -> None:
    if split not in SPLITS:
        raise ConfigError(f"--split {split}: unknown; known: {', '.join(SPLITS)}")
    if adobe and seed is not None:
        raise ConfigError("--seed: Adobe's lists say which background goes where; leave it out")
    if adobe and alpha:
        raise ConfigError("--alpha: Adobe's layout has its own alphas; leave it out")
    if adobe:
        return
    if split == "both":
        raise ConfigError("--split both: plain folders make one split; run once for train and once for test")
    find_foregrounds(source, alpha)  # an empty source is reported before a missing background
    if test_bg and split == "train":
        raise ConfigError("--test-bg: plain folders take --bg for either split; leave it out")


def _backgrounds(source: Path, adobe: bool, split: str, given: Path | None) -> Path:
    folder = given or background_folder(source, split) or source / "bg"
    if not is_folder(folder):
        option = "--test-bg" if adobe and split == "test" else "--bg"
        wrong = "is not a folder" if is_there(folder) else "no such folder"
        raise DataError(f"{folder}: {wrong}; give one of {split} backgrounds with {option} DIR")
    return folder
