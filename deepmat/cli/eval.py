from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepmat.cli.options import (
    Device,
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

if TYPE_CHECKING:
    from deepmat.inference.evaluation import Evaluation
    from deepmat.scoring.results import Summary


def evaluate(
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            "--weights",
            "-w",
            help="best.safetensors of a run, or a published DIM file; repeatable [lite].",
        ),
    ] = None,
    predictions: Annotated[
        list[str] | None,
        typer.Option(
            "--predictions",
            "-p",
            metavar="[NAME=]DIR",
            help="Mattes of any tool; repeatable, compared with the first run.",
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Test set (image/, trimap/, alpha/) or data set.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of pictures, in place of DATA/image.")] = None,
    trimaps: Annotated[Path | None, typer.Option(help="Folder of trimaps, in place of DATA/trimap.")] = None,
    alphas: Annotated[Path | None, typer.Option(help="Folder of true alphas, in place of DATA/alpha.")] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            metavar="matlab|mmagic|reference|port|whole|all",
            help="The way to score [matlab, the benchmark's]; repeatable, the first one for report and comparisons; "
            "all compares them.",
        ),
    ] = None,
    regions: Annotated[
        bool, typer.Option("--regions", help="Also over the whole picture and over its fine parts alone.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for scores.csv, scores.json and, if asked for, alphas.")
    ] = None,
    save_alphas: Annotated[
        bool, typer.Option("--save-alphas", help="Write the network's alphas to OUT/prediction.")
    ] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Take alphas that --save-alphas wrote before, of the same weights.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="HTML page to write, with its larger pictures in a folder beside it.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option("--sheet", help="Picture to write: eight, with trimap, truth and the first run's alpha."),
    ] = None,
    trimap_sweep: Annotated[bool, typer.Option("--trimap-sweep", help="Score with trimaps of several widths.")] = False,
    jpeg_sweep: Annotated[bool, typer.Option("--jpeg-sweep", help="Score with images that went through JPEG.")] = False,
    noise_sweep: Annotated[bool, typer.Option("--noise-sweep", help="Score with noise on the images.")] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout in place of tables.")] = False,
    mode: Mode = None,
    max_size: MaxSize = None,
    fit: Fit = None,
    precision: Precision = "fp32",
    device: Device = "auto",
    skip: Skip = None,
    workers: Workers = None,
    set_: Set = None,
) -> None:
    """Score weights or saved mattes.

    Without either it scores lite, the network that comes with deepmat. SAD, MSE, Grad, Conn and MAD over the unknown
    region of pictures with known alpha, by the benchmark's protocol or another one; SAD, Grad and Conn in thousands.
    The sweeps score weights on pictures made harder step by step; with -o they are drawn.
    """
    from deepmat.inference.evaluation import evaluate as prepare
    from deepmat.inference.sweeping import AXES, refuse_for_a_sweep

    asked = (trimap_sweep, jpeg_sweep, noise_sweep)
    axes = [axis for axis, wanted in zip(AXES, asked, strict=True) if wanted]
    data_and_network: dict[str, Any] = {
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
        refuse_for_a_sweep({**unused, "--sheet": picture, "--save-alphas": save_alphas})
        _sweep(weights, axes, data_and_network, json)
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
        **data_and_network,
    )
    _show_progress_and_result(work, json)


def _show_progress_and_result(work: "Evaluation", json: bool) -> None:
    from deepmat.runtime import distributed

    notify(work.notices)
    if work.about:
        say(work.about)
    distributed.meet()
    stopped = False
    with progress_bar(stderr()) as bar:
        task = bar.add_task("eval", total=work.total)
        try:
            for scored in work:
                bar.advance(task)
                notify([*scored.case.notices, *scored.case.doubts] if scored.case else [])
        except KeyboardInterrupt:
            if distributed.world() > 1:
                raise
            stopped = True
    summary, notices = work.summarise()
    if distributed.rank():
        return  # the first process writes and shows for all
    notify(notices)
    written: list[Path] = []
    try:
        if not stopped:  # files are of whole sets
            written = work.write(summary)
    finally:  # scores are shown even if the disk is full, and files are written even if nobody reads the table
        _show(summary, json)
    results = work.results
    if stopped:
        kept = (
            "; the alphas so far are kept, the same command with --skip-existing goes on" if work.files.alphas else ""
        )
        say(f"stopped, with scores of {results.usable} of {len(work.pictures)} pictures{kept}")
        raise typer.Exit(130)
    done = len({each["name"] for each in results.records if "error" not in each})
    see = f"; see {', '.join(map(str, written))}" if written else ""
    finish(results.failures, f"{done} picture{'' if done == 1 else 's'} scored{see}")


def _show(summary: "Summary", json: bool) -> None:
    from deepmat.report import summary_tables
    from deepmat.runtime.records import to_json
    from deepmat.scoring.metrics import METRICS, REGIONS

    if json:
        print(to_json(summary))
        return
    for part in summary_tables(summary, tuple(METRICS), tuple(REGIONS)):
        stdout().print(part, highlight=False, markup=False, soft_wrap=isinstance(part, str))


def _sweep(weights: list[Path] | None, axes: list[str], options: Mapping[str, Any], json: bool) -> None:
    from deepmat.inference.sweeping import METRICS, sweep
    from deepmat.report import curves_table
    from deepmat.runtime.records import to_json

    work = sweep(weights, axes=axes, **options)
    notify(work.notices)
    say(work.about)
    with progress_bar(stderr()) as bar:
        task = bar.add_task("sweep", total=work.total)
        for _ in work:
            bar.advance(task)
    found = work.summarise()
    try:
        drawn = work.write(found)
    finally:
        if json:
            print(to_json(found))
        elif found["curves"]:
            stdout().print(curves_table(found["curves"], METRICS))
    failures = {each["name"]: each["error"] for each in found["pictures"] if "error" in each}
    scored = f"{work.total - len(failures)} pictures, {len(found['curves'])} ways each"
    finish(failures, scored + (f"; see {drawn}" if drawn else "; -o DIR draws it"))
