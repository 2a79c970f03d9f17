from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepmat.cli.options import Engine, Workers, finish, finish_together, notify, progress_bar, say, stderr
from deepmat.cli.tables import choice
from deepmat.errors import ConfigError

if TYPE_CHECKING:
    from deepmat.data.composite import Composites

Split = Annotated[
    str | None,
    typer.Option(
        metavar=choice("data.composite", "SPLITS"),
        help="What to make [both for Adobe's layout, train for plain folders].",
    ),
]
Compositor = Annotated[
    str,
    typer.Option(
        metavar=choice("imaging.blend", "COMPOSITORS"), help="How to fit and blend backgrounds; scores differ."
    ),
]
Layout = Annotated[
    str,
    typer.Option(
        metavar=choice("data.compositing.making", "LAYOUTS"),
        help="full: also fg, bg and alpha of each, for other tools; 3 times the space.",
    ),
]
Format = Annotated[
    str,
    typer.Option(
        "--format",
        metavar=choice("data.compositing.build", "FORMATS"),
        help="Of training composites; jpg is lossy, at a fifth of the size.",
    ),
]


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
    split: Split = None,
    per_foreground: Annotated[
        int | None, typer.Option(help="Backgrounds for each foreground [100 for train, 20 for test].", min=1)
    ] = None,
    compositor: Compositor = "adobe",
    layout: Layout = "composites",
    format_: Format = "png",
    seed: Annotated[
        int | None, typer.Option(help="Plain folders: chooses the backgrounds of each foreground [0].", min=0)
    ] = None,
    preview: Annotated[
        Path | None, typer.Option(help="Write only a sheet of some composites to this file, to look at first.")
    ] = None,
    workers: Workers = None,
    engine: Engine = "processes",
) -> None:
    """Composite foregrounds over backgrounds: build a data set.

    Writes train/ and test/, each with image/ (test also alpha/ and trimap/) and manifest.jsonl, which names the
    sources. After a stop the same command continues. Training needs no composites: see `deepmat train --data`.
    """
    from deepmat.data.composite import composite as prepare
    from deepmat.data.composite import preview_composites

    if out is None and preview is None:
        raise ConfigError("--out DIR: where the data set goes (or --preview FILE.png to look first)")
    plan: dict[str, Any] = {"bg": bg, "test_bg": test_bg, "alpha": alpha, "split": split, "seed": seed}
    plan |= {"per_foreground": per_foreground, "compositor": compositor}
    if preview and engine != "processes":
        raise ConfigError("--engine: one process draws the preview; leave it out")
    if preview:
        shown = preview_composites(source, preview, **plan)
        notify(shown["notices"])
        where = f" in {preview}" if shown["shown"] else ", so there is no picture"
        finish(shown["failures"], f"{shown['shown']} of {shown['planned']} composites{where}")
    elif out:
        _build(prepare(source, out, layout=layout, format=format_, workers=workers, engine=engine, **plan), out)


def _build(work: "Composites", out: Path) -> None:
    """Run the job behind a progress bar for each split."""
    notify(work.notices)
    failures: dict[str, str] = {}
    counts: Counter[str] = Counter()
    try:
        with progress_bar(stderr()) as bar:
            tasks = {name: bar.add_task(f"composite {name}", total=len(plan)) for name, plan in work.plans}
            for record in work:
                bar.advance(tasks[record["split"]])
                if "error" in record:
                    failures[f"{record['split']}/{record['name']}"] = record["error"]
                else:
                    counts["done"] += 1
                    counts["skipped"] += record.get("skipped", False)
    except KeyboardInterrupt:
        say(f"stopped with {counts['done']} composites in {out}; the same command continues")
        raise typer.Exit(130) from None

    def done(total: Counter[str], failed: int) -> str:
        return f"{total['done']} composites in {out}" + (f" ({total['skipped']} from before)" * bool(total["skipped"]))

    finish_together(failures, counts, done)
