"""`deepmat eval`: score weights and saved mattes."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepmat.cli.options import (
    Device,
    Engine,
    Fit,
    MaxSize,
    Mode,
    Precision,
    Set,
    Skip,
    Workers,
    finish,
    notify,
    progress_bar,
    say,
    stderr,
    stdout,
)
from deepmat.cli.tables import names
from deepmat.errors import ConfigError

if TYPE_CHECKING:
    from deepmat.inference.evaluation import Evaluation
    from deepmat.scoring.records import Summary

PROTOCOLS = [name for name in names("scoring.protocols", "PROTOCOLS") if "-" not in name]
"""Without those that vary a single choice of another."""


Networks = Annotated[
    list[Path] | None,
    typer.Option(
        "--weights",
        "-w",
        help="best.safetensors of a run, a published DIM file, an exported .onnx, closed-form, or USER/NAME of the"
        " hub; repeatable [lite].",
    ),
]
Predictions = Annotated[
    list[str] | None,
    typer.Option(
        "--predictions",
        "-p",
        metavar="[NAME=]DIR",
        help="Folder of mattes that any tool saved; repeatable. Runs are compared with the first.",
    ),
]
Data = Annotated[Path | None, typer.Option(help="Test set (image/, trimap/, alpha/), or a data set with one in test/.")]
Images = Annotated[Path | None, typer.Option(help="Folder of images, instead of DATA/image.")]
Trimaps = Annotated[Path | None, typer.Option(help="Folder of trimaps, instead of DATA/trimap.")]
Alphas = Annotated[Path | None, typer.Option(help="Folder of true alphas, instead of DATA/alpha.")]
Protocol = Annotated[
    list[str] | None,
    typer.Option(
        metavar="|".join([*PROTOCOLS, "all"]),
        help="Protocol of the scores [matlab, the benchmark's]; repeatable. Report and comparisons use the first.",
    ),
]
Regions = Annotated[
    bool, typer.Option("--regions", help="Also score the whole picture and its fine parts (hair, meshes).")
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for scores.csv, scores.json and saved alphas.")]
SaveAlphas = Annotated[bool, typer.Option("--save-alphas", help="Write the network's alphas to OUT/prediction.")]
SkipExisting = Annotated[
    bool, typer.Option("--skip-existing", help="Reuse alphas that --save-alphas wrote with the same weights.")
]
Report = Annotated[Path | None, typer.Option(help="HTML page to write, with its pictures in a folder beside it.")]
Sheet = Annotated[
    Path | None,
    typer.Option("--sheet", help="Picture to write: eight images with trimap, true alpha and that of the first run."),
]
TrimapSweep = Annotated[bool, typer.Option("--trimap-sweep", help="Score a network with trimaps of several widths.")]
JpegSweep = Annotated[bool, typer.Option("--jpeg-sweep", help="Score a network on JPEGs of several qualities.")]
NoiseSweep = Annotated[bool, typer.Option("--noise-sweep", help="Score a network on images with noise.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout instead of tables.")]


def evaluate(
    weights: Networks = None,
    predictions: Predictions = None,
    data: Data = None,
    images: Images = None,
    trimaps: Trimaps = None,
    alphas: Alphas = None,
    protocol: Protocol = None,
    regions: Regions = False,
    out: Out = None,
    save_alphas: SaveAlphas = False,
    skip_existing: SkipExisting = False,
    report: Report = None,
    picture: Sheet = None,
    trimap_sweep: TrimapSweep = False,
    jpeg_sweep: JpegSweep = False,
    noise_sweep: NoiseSweep = False,
    json: AsJson = False,
    mode: Mode = None,
    max_size: MaxSize = None,
    fit: Fit = None,
    precision: Precision = "fp32",
    device: Device = "auto",
    skip: Skip = None,
    workers: Workers = None,
    engine: Engine = "processes",
    set_: Set = None,
) -> None:
    """Score weights or saved mattes.

    Computes SAD, MSE, Grad, Conn and MAD over the unknown region of pictures with known alpha, by the benchmark's
    protocol or another one; SAD, Grad and Conn in thousands. Without weights and mattes it scores lite, the network
    that comes with deepmat. The sweeps score a network on pictures that get harder step by step; -o draws them.
    """
    from deepmat.inference.evaluation import evaluate as prepare

    asked = {"trimap": trimap_sweep, "jpeg": jpeg_sweep, "noise": noise_sweep}
    axes = [axis for axis, wanted in asked.items() if wanted]
    shared: dict[str, Any] = {
        "data": data,
        "images": images,
        "trimaps": trimaps,
        "alphas": alphas,
        "out": out,
        "mode": mode,
        "max_size": max_size,
        "fit": fit,
        "precision": precision,
        "device": device,
        "assume": {"skip": skip},
        "settings": set_ or (),
    }
    if axes:
        unused = {"--predictions": predictions, "--protocol": protocol, "--regions": regions, "--report": report}
        unused |= {"--engine": engine != "processes"}
        unused |= {"--sheet": picture, "--save-alphas": save_alphas, "--skip-existing": skip_existing}
        _sweep(weights, axes, shared, unused, json)
        return
    work = prepare(
        weights,
        predictions or (),
        protocol=protocol or (),
        regions=regions,
        save_alphas=save_alphas,
        skip_existing=skip_existing,
        report=report,
        sheet=picture,
        workers=workers,
        engine=engine,
        **shared,
    )
    _show(work, json, save_alphas)


def _show(work: "Evaluation", json: bool, save_alphas: bool) -> None:
    """Do the work, then show the scores. Exit code 1 if a picture failed, 130 if Ctrl-C stopped it."""
    from deepmat.runtime import distributed

    if work.about:
        say(work.about)
    if not distributed.rank():
        notify(work.notices)
    stopped = False
    try:
        _score(work)
    except KeyboardInterrupt:
        if distributed.world() > 1:
            raise
        stopped = True
    finally:
        # Scores are shown even if a file cannot be written, for instance on a full disk.
        if (work.complete or stopped) and not distributed.rank():
            notify(work.results.notices)
            _print(work.summary, json)
    if distributed.rank():
        return  # the first process shows the scores of all
    scored = work.results.scored
    if stopped:
        kept = "; the alphas so far are kept, the same command with --skip-existing continues" if save_alphas else ""
        say(f"stopped, with scores of {scored} of {work.total} pictures{kept}")
        raise typer.Exit(130)
    see = f"; see {', '.join(map(str, work.written))}" if work.written else ""
    finish(work.results.failures, f"{scored} picture{'' if scored == 1 else 's'} scored{see}")


def _score(work: "Evaluation") -> None:
    with progress_bar(stderr()) as bar:
        task = bar.add_task("eval", total=work.total)
        for scored in work:
            bar.advance(task)
            notify(scored.notices)


def _print(summary: "Summary", json: bool) -> None:
    from deepmat.report import summary_tables
    from deepmat.runtime.records import to_json

    if json:
        print(to_json(summary))
        return
    for part in summary_tables(summary):
        stdout().print(part, highlight=False, markup=False, soft_wrap=isinstance(part, str))


def _sweep(
    weights: list[Path] | None,
    axes: list[str],
    options: Mapping[str, Any],
    unused: Mapping[str, Any],
    json: bool,
) -> None:
    """Do a sweep, then show its curves. Raises ConfigError for a given option that a sweep does not use."""
    for flag, given in unused.items():
        if given:
            raise ConfigError(f"{flag}: a sweep does not use it; leave it out")

    from deepmat.inference.sweeping import METRICS, sweep
    from deepmat.report import curves_table
    from deepmat.runtime.records import to_json

    work = sweep(weights, axes=axes, **options)
    say(work.about)
    notify(work.notices)
    try:
        with progress_bar(stderr()) as bar:
            task = bar.add_task("sweep", total=work.total)
            for _ in work:
                bar.advance(task)
    finally:
        if work.complete and json:
            print(to_json(work.summary))
        elif work.complete and work.summary["curves"]:
            stdout().print(curves_table(work.summary["curves"], METRICS))
    scored = f"{work.total - len(work.failures)} pictures, {len(work.summary['curves'])} variants each"
    finish(work.failures, f"{scored}; see {work.written[-1]}" if work.written else f"{scored}; -o DIR draws it")
