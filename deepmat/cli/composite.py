from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepmat.cli.options import Workers, finish, notify, progress_bar, say, stderr
from deepmat.errors import ConfigError, DataError
from deepmat.runtime.files import refuse_inside
from deepmat.runtime.processes import cores

if TYPE_CHECKING:
    from deepmat.data.compositing import Entry

PREVIEWED = 12


def composite(
    source: Annotated[
        Path, typer.Argument(help="Adobe's data set (Training_set/, Test_set/) or any folder of foregrounds.")
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Data set to write: train/ and test/.")] = None,
    bg: Annotated[
        Path | None, typer.Option(help="Backgrounds: COCO 2014 or 2017 for Adobe's list [SOURCE/bg_train].")
    ] = None,
    test_bg: Annotated[
        Path | None, typer.Option(help="Test backgrounds: VOC 2012 for Adobe's [SOURCE/bg_test].")
    ] = None,
    alpha: Annotated[
        Path | None, typer.Option(help="Plain folders: alphas, paired with SOURCE by name; without it SOURCE is RGBA.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="train|test|both", help="What to make [both for Adobe's layout, train for plain folders]."
        ),
    ] = None,
    per_foreground: Annotated[
        int | None, typer.Option(help="Backgrounds for each foreground [100 for train, 20 for test].", min=1)
    ] = None,
    compositor: Annotated[
        str, typer.Option(metavar="adobe|cv2", help="How to fit and blend; scores differ.")
    ] = "adobe",
    layout: Annotated[
        str,
        typer.Option(
            metavar="composites|full", help="full: also fg, bg and alpha of each, for other tools; 3 times the space."
        ),
    ] = "composites",
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="png|jpg|webp",
            help="Of training composites; jpg loses a little for a fifth of the size.",
        ),
    ] = "png",
    seed: Annotated[
        int | None, typer.Option(help="Plain folders: which backgrounds go with which foreground [0].", min=0)
    ] = None,
    preview: Annotated[
        Path | None, typer.Option(help="Write a sheet of some composites to this file, to look at, and nothing else.")
    ] = None,
    workers: Workers = None,
) -> None:
    """Put foregrounds over backgrounds: a data set.

    Writes train/ and test/, each with image/ (test also alpha/ and trimap/) and manifest.jsonl, from which the rest
    follows. Started again, it goes on where it stopped. Training needs no composites: see `deepmat train --data`.
    """
    from deepmat.data.compositing import composite as run

    if out is None and preview is None:
        raise ConfigError("--out DIR: where the data set goes (or --preview FILE.png to look first)")
    for option, place in (("--out", out), ("--preview", preview)):
        if place:
            refuse_inside(option, place, (source, alpha, bg, test_bg))
    plans = _plans(source, bg, test_bg, alpha, split, per_foreground, compositor, seed)
    if preview:
        _write_preview(preview, [entry for _, plan in plans for entry in plan])
        return
    assert out
    failures: dict[str, str] = {}
    done = skipped = 0
    try:
        with progress_bar(stderr()) as bar:
            for name, plan in plans:
                task = bar.add_task(f"composite {name}", total=len(plan))
                for record in run(plan, out, workers or cores(), layout=layout, image_format=format_):
                    bar.advance(task)
                    if "error" in record:
                        failures[f"{name}/{record['name']}"] = record["error"]
                    else:
                        done += 1
                        skipped += record.get("skipped", False)
    except KeyboardInterrupt:
        say(f"stopped with {done} composites in {out}; the same command goes on")
        raise typer.Exit(130) from None
    finish(failures, f"{done} composites in {out}" + (f" ({skipped} from before)" if skipped else ""))


def _plans(
    source: Path,
    bg: Path | None,
    test_bg: Path | None,
    alpha: Path | None,
    split: str | None,
    per_foreground: int | None,
    compositor: str,
    seed: int | None,
) -> "list[tuple[str, list[Entry]]]":
    """The splits to make and the plan of each, from what was asked for."""
    from deepmat.data.compositing import BACKGROUNDS_PER_FOREGROUND, plan_adobe, plan_folders
    from deepmat.data.layouts import background_folder, find_foregrounds, layout_of

    kind = layout_of(source)
    adobe = kind == "adobe"
    if kind == "composites":
        raise DataError(f"{source}: holds composites already; give the folder of their foregrounds")
    splits = {"both": ["train", "test"], "train": ["train"], "test": ["test"]}
    split = split or ("both" if adobe else "train")
    if split not in splits:
        raise ConfigError(f"--split {split}: unknown; known: {', '.join(splits)}")
    if not adobe and split == "both":
        raise ConfigError("--split both: plain folders make one split; run once for train and once for test")
    if not adobe:
        find_foregrounds(source, alpha)  # so that an empty source is told before a missing background
        if test_bg and split == "train":
            raise ConfigError("--test-bg: plain folders take --bg for either split; leave it out")
    if adobe and seed is not None:
        raise ConfigError("--seed: Adobe's lists say which background goes where; leave it out")
    if adobe and alpha:
        raise ConfigError("--alpha: Adobe's layout has its own alphas; leave it out")
    given = {"train": bg, "test": test_bg or (bg if split == "test" else None)}
    plans = []
    for name in splits[split]:
        count = per_foreground or BACKGROUNDS_PER_FOREGROUND[name]
        folder = given[name] or background_folder(source, name) or source / "bg"
        if not folder.is_dir():
            option = "--test-bg" if adobe and name == "test" else "--bg"
            wrong = "is not a folder" if folder.exists() else "no such folder"
            raise DataError(f"{folder}: {wrong}; give one of {name} backgrounds with {option} DIR")
        if adobe:
            plans.append((name, plan_adobe(source, name, folder, count, compositor)))
        else:
            plan, notices = plan_folders(source, alpha, folder, name, count, seed or 0, compositor)
            notify(notices)
            plans.append((name, plan))
    return plans


def _write_preview(path: Path, plan: "list[Entry]") -> None:
    from deepmat.data.compositing import preview
    from deepmat.imaging import write_image
    from deepmat.imaging.sheets import sheet

    rows, failures = [], {}
    for record in preview(plan, PREVIEWED):
        if "error" in record:
            failures[record["name"]] = record["error"]
        else:
            rows.append((record["name"], [record[kind] for kind in ("image", "trimap", "alpha")]))
    if rows:
        write_image(path, sheet(rows, ("composite", "trimap", "alpha")))
    finish(failures, f"{len(rows)} of {len(plan)} composites" + (f" in {path}" if rows else ", so there is no picture"))
