"""The command `deepmat predict`."""

from pathlib import Path
from typing import Annotated

import typer

from deepmat.cli.options import (
    Background,
    Colours,
    Crop,
    Device,
    Engine,
    Exclude,
    Fit,
    Include,
    Json,
    MaxMegapixels,
    MaxSize,
    Memory,
    Mode,
    Precision,
    Save,
    Set,
    Skip,
    SkipExisting,
    Square,
    Weights,
    show_batch,
)

Trimaps = Annotated[
    Path | None,
    typer.Option("--trimaps", "--trimap", "-t", help="Folder of trimaps, paired by name; or one trimap file."),
]
Masks = Annotated[
    Path | None, typer.Option("--masks", "--mask", help="In place of trimaps: masks or rough alphas, folder or file.")
]
Width = Annotated[
    str | None,
    typer.Option(
        help="Unknown band on each side of a mask's edge: pixels (20) or share"
        " of the longer side (2%) [2%; a network's mask: as coarse as it is]."
    ),
]


def predict(
    inputs: Annotated[
        list[Path], typer.Argument(help="Pictures, or folders of them with all their subfolders; s3://... too.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results: OUT/alpha/NAME.png and so on.")],
    weights: Weights = None,
    trimaps: Trimaps = None,
    masks: Masks = None,
    width: Width = None,
    save: Save = ["alpha,cutout"],  # noqa: B006
    background: Background = None,
    colours: Colours = "estimated",
    crop: Crop = None,
    square: Square = False,
    skip_existing: SkipExisting = False,
    include: Include = None,
    exclude: Exclude = None,
    mode: Mode = None,
    max_size: MaxSize = None,
    fit: Fit = None,
    precision: Precision = "auto",
    memory: Memory = None,
    max_megapixels: MaxMegapixels = 500,
    json: Json = False,
    device: Device = "auto",
    engine: Engine = "processes",
    skip: Skip = None,
    set_: Set = None,
) -> None:
    """Cut pictures out: image + trimap -> alpha.

    Without weights the network is lite, which comes with deepmat. Trimaps or masks are paired by name; without either,
    the alpha channels of the pictures are the masks. Pictures that fail are listed at the end; OUT/log.jsonl has a
    line for each picture. To go on after a stop, repeat the command with --skip-existing. Under torchrun or accelerate
    launch the processes share the pictures; with --engine ray the workers of a cluster do.
    """
    from deepmat.inference.folders import cut_out

    work = cut_out(
        inputs,
        out,
        weights=weights,
        trimaps=trimaps,
        masks=masks,
        width=width,
        save=",".join(save),
        background=background,
        colours=colours,
        crop=crop,
        square=square,
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
        engine=engine,
        assume={"skip": skip},
        settings=set_ or (),
    )
    show_batch(work, out, "predict", json)
