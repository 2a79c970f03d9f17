"""The command `deepmat predict`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepmat.cli.options import Device, Fit, MaxSize, Mode, Precision, Set, Skip, Weights, do, say, summarise
from deepmat.cli.tables import choice, names

if TYPE_CHECKING:
    from deepmat.inference.folders import CutOuts

Save = Annotated[
    str, typer.Option(metavar="KIND[.EXT],...", help=", ".join(names("inference.outputs", "OUTPUTS")) + ".")
]
Trimaps = Annotated[
    Path | None,
    typer.Option("--trimaps", "--trimap", "-t", help="Folder of trimaps, paired by name; or one trimap file."),
]
Masks = Annotated[
    Path | None, typer.Option("--masks", "--mask", help="In place of trimaps: masks or rough alphas, folder or file.")
]
Width = Annotated[
    str | None,
    typer.Option(help="Unknown band on each side of a mask's edge: pixels (20) or share of the longer side (2%) [2%]."),
]
Background = Annotated[
    str | None, typer.Option(help="For composite: a colour (white, #1188ff), a picture or a folder of pictures.")
]
Colours = Annotated[
    str,
    typer.Option(
        metavar=choice("inference.folders", "COLOURS"),
        help="Foreground colours without the background, or as they are.",
    ),
]
Include = Annotated[
    list[str] | None, typer.Option(metavar="PATTERN", help="Only these pictures, say '*.jpg' or 'shoes/*'.")
]
Exclude = Annotated[list[str] | None, typer.Option(metavar="PATTERN", help="Not these pictures.")]
Memory = Annotated[
    float | None, typer.Option(help="Mode auto: GB that the process may use in all [half of the free memory].")
]
MaxMegapixels = Annotated[int, typer.Option(help="Refuse larger pictures: a small file can hold a huge one.", min=1)]


def predict(
    inputs: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them with all their subfolders.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results: OUT/alpha/NAME.png and so on.")],
    weights: Weights = None,
    trimaps: Trimaps = None,
    masks: Masks = None,
    width: Width = None,
    save: Save = "alpha,cutout",
    background: Background = None,
    colours: Colours = "estimated",
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Skip pictures whose files all exist.")
    ] = False,
    include: Include = None,
    exclude: Exclude = None,
    mode: Mode = None,
    max_size: MaxSize = None,
    fit: Fit = None,
    precision: Precision = "auto",
    memory: Memory = None,
    max_megapixels: MaxMegapixels = 500,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per picture on stdout.")] = False,
    device: Device = "auto",
    skip: Skip = None,
    set_: Set = None,
) -> None:
    """Cut pictures out: image + trimap -> alpha.

    Without weights the network is lite, which comes with deepmat. Trimaps or masks are paired by name; without either,
    the alpha channels of the pictures are the masks. Pictures that fail are listed at the end; OUT/log.jsonl has a
    line for each picture. To go on after a stop, repeat the command with --skip-existing. Under torchrun or accelerate
    launch the processes share the pictures.
    """
    from deepmat.inference.folders import cut_out

    work = cut_out(
        inputs,
        out,
        weights=weights,
        trimaps=trimaps,
        masks=masks,
        width=width,
        save=save,
        background=background,
        colours=colours,
        skip_existing=skip_existing,
        include=include or (),
        exclude=exclude or (),
        mode=mode,
        max_size=max_size,
        fit=fit,
        precision=precision,
        memory=memory,
        max_megapixels=max_megapixels,
        device=device,
        assume={"skip": skip},
        settings=set_ or (),
    )
    _show(work, out, json)


def _show(work: "CutOuts", out: Path, json: bool) -> None:
    """Do the work of this process, and show the result of all processes. Exit code 1 if a picture failed."""
    from deepmat.runtime import distributed

    distributed.meet()
    try:
        own = do(work, "predict", json)
    except KeyboardInterrupt:
        say(f"{out} keeps what is done; the same command with --skip-existing goes on")
        raise
    everyone = distributed.gather((work.total, work.existing, own))
    failures = {name: message for _, _, failed in everyone for name, message in failed.items()}
    if distributed.rank() == 0:
        total, existing = (sum(each[index] for each in everyone) for index in (0, 1))
        before = f" ({existing} more existed)" if existing else ""
        summarise(failures, f"{total - len(failures)} of {total} pictures cut out in {out}{before}")
    distributed.gather(None)  # a launcher ends all processes with the first that exits with an error
    if failures:
        raise typer.Exit(1)
