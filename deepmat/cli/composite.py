from pathlib import Path
from typing import Annotated

import typer

from deepmat.cli.options import Workers, finish, notify, progress_bar, say, stderr
from deepmat.errors import ConfigError, DataError
from deepmat.files import find_pictures
from deepmat.processes import cores


def composite(
    source: Annotated[
        Path, typer.Argument(help="Adobe's data set (Training_set/, Test_set/) or any folder of foregrounds.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Data set to write: train/ and test/.")],
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
    seed: Annotated[
        int | None, typer.Option(help="Plain folders: which backgrounds go with which foreground [0].", min=0)
    ] = None,
    workers: Workers = None,
) -> None:
    """Put foregrounds over backgrounds: a data set.

    Writes train/ and test/, each with image/, alpha/, fg/, bg/ (test also trimap/) and manifest.jsonl. Started again,
    it goes on where it stopped.
    """
    from deepmat.compositing import ADOBE_FOLDERS, BACKGROUNDS_PER_FOREGROUND, plan_adobe, plan_folders
    from deepmat.compositing import composite as run

    if not source.exists():
        raise DataError(f"{source}: no such folder; `deepmat synth {source}` makes a procedural data set there")
    adobe = any((source / folder).is_dir() for folder, _, _ in ADOBE_FOLDERS.values())
    splits = {"both": ["train", "test"], "train": ["train"], "test": ["test"]}
    split = split or ("both" if adobe else "train")
    if split not in splits:
        raise ConfigError(f"--split {split}: unknown; known: {', '.join(splits)}")
    if not adobe and split == "both":
        raise ConfigError("--split both: plain folders make one split; run once for train and once for test")
    if not adobe:
        find_pictures(source)
        for folder in filter(None, (source, alpha, bg, test_bg)):
            if folder.resolve() in (out.resolve(), *out.resolve().parents):
                raise ConfigError(f"--out {out}: lies in {folder}, which is read; choose a folder beside it")
    if adobe and seed is not None:
        raise ConfigError("--seed: Adobe's lists say which background goes where; leave it out")
    if adobe and alpha:
        raise ConfigError("--alpha: Adobe's layout has its own alphas; leave it out")
    backgrounds = {"train": bg, "test": test_bg or (bg if split == "test" else None)}
    plans = []
    for name in splits[split]:
        count = per_foreground or BACKGROUNDS_PER_FOREGROUND[name]
        folder = backgrounds[name] or source / f"bg_{name}"
        if not folder.is_dir():
            option = "--test-bg" if name == "test" else "--bg"
            raise DataError(f"{folder}: no such folder; give one of {name} backgrounds with {option} DIR")
        if adobe:
            plans.append(plan_adobe(source, name, folder, count, compositor))
        else:
            plan, notices = plan_folders(source, alpha, folder, name, count, seed or 0, compositor)
            notify(notices)
            plans.append(plan)
    failures: dict[str, str] = {}
    done = skipped = 0
    try:
        with progress_bar(stderr()) as bar:
            for name, plan in zip(splits[split], plans, strict=True):
                task = bar.add_task(f"composite {name}", total=len(plan))
                for record in run(plan, out, workers or cores()):
                    bar.advance(task)
                    if "error" in record:
                        failures[record["name"]] = record["error"]
                    else:
                        done += 1
                        skipped += record.get("skipped", False)
    except KeyboardInterrupt:
        say(f"stopped with {done} composites in {out}; the same command goes on")
        raise typer.Exit(130) from None
    finish(failures, f"{done} composites in {out}" + (f" ({skipped} from before)" if skipped else ""))
