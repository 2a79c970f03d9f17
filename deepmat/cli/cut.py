"""The command `deepmat cut`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, BinaryIO

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
    say,
    show_batch,
    stdout,
)
from deepmat.errors import ConfigError

PIPE = Path("-")


Inputs = Annotated[
    list[Path] | None,
    typer.Argument(help="Pictures, folders of them with all their subfolders, or - for one from a pipe."),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Folder, or for one picture a file or - [NAME_cutout.png beside each picture]."),
]
Box = Annotated[
    str | None, typer.Option(metavar="LEFT,TOP,RIGHT,BOTTOM", help="The subject is in this box, in pixels.")
]
Point = Annotated[list[str] | None, typer.Option(metavar="X,Y", help="A pixel of the subject; repeatable.")]
NotPoint = Annotated[list[str] | None, typer.Option(metavar="X,Y", help="A pixel of the background; repeatable.")]
Finder = Annotated[
    str | None,
    typer.Option(metavar="NAME|FILE.onnx", help="What finds the subject [chosen by the picture]; list shows all."),
]
Masks = Annotated[
    Path | None, typer.Option("--masks", "--mask", help="Rough masks of any tool, paired by name; or one file.")
]
Watch = Annotated[bool, typer.Option("--watch", help="Go on as pictures arrive in the folders.")]


def cut(
    inputs: Inputs = None,
    out: Out = None,
    box: Box = None,
    point: Point = None,
    not_point: NotPoint = None,
    finder: Finder = None,
    masks: Masks = None,
    weights: Weights = None,
    save: Save = ["cutout"],  # noqa: B006
    background: Background = None,
    colours: Colours = "estimated",
    crop: Crop = None,
    square: Square = False,
    skip_existing: SkipExisting = False,
    watch: Watch = False,
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
    """Find the subjects of photos and cut them out.

    No trimap is needed: a finder makes a rough mask of the subject, deepmat a trimap of the mask, a network the alpha.
    Without --finder the picture decides: its own alpha channel, a plain backdrop, else a segmentation network. --box,
    --point and --not-point say which thing is meant and correct the mask, found or given. Coordinates are those of the
    upright picture, from its top left corner. Pictures that fail are listed at the end. To go on after a stop, repeat
    the command with --skip-existing.
    """
    if finder == "list":
        _list_finders()
        return
    from deepmat.inference.photos import cut_photos

    to_pipe = out == PIPE or (PIPE in (inputs or ()) and not out)
    work = cut_photos(
        [_from_pipe() if path == PIPE else path for path in inputs or ()],
        _to_pipe(json) if to_pipe else out,
        box=box,
        points=point or (),
        not_points=not_point or (),
        finder=finder,
        masks=masks,
        weights=weights,
        save=",".join(save),
        background=background,
        colours=colours,
        crop=crop,
        square=square,
        skip_existing=skip_existing,
        watch=watch,
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
        progress=_show_fetching(),
    )
    if watch:
        say(f"watching {', '.join(map(str, inputs or ()))}; Ctrl-C ends it")
    show_batch(work, out, "cut", json, quiet=to_pipe or PIPE in (inputs or ()), endless=watch)


def _from_pipe() -> bytes:
    """Return all of stdin. Raises ConfigError if nothing is piped in."""
    if not sys.stdin or sys.stdin.isatty():
        raise ConfigError(
            "-: reads a picture from a pipe, and there is none; name a file, or: deepmat cut - < photo.jpg"
        )
    return sys.stdin.buffer.read()


def _to_pipe(json: bool) -> BinaryIO:
    """Return stdout for the bytes of a picture. Raises ConfigError if it is a terminal or holds something else."""
    if json:
        raise ConfigError("--json: stdout holds the picture; give --out FILE")
    if not sys.stdout or sys.stdout.isatty():
        is_no_pipe = "is a terminal" if sys.stdout else "is closed"
        raise ConfigError(f"stdout {is_no_pipe}; write deepmat cut - > cutout.png, or give --out FILE")
    return sys.stdout.buffer


def _list_finders() -> None:
    from rich.table import Table

    from deepmat.subject.finders.choice import list_finders

    table = Table("finder", "finds", "MB", "licence", "trained on", "file", box=None)
    for each in list_finders():
        size = f"{each['megabytes']:g}" if each["megabytes"] else ""
        file = each["path"] or ("fetched at the first use" if size else "")
        table.add_row(each["name"], each["finds"], size, each["licence"], each["trained_on"], file)
    stdout().print(table)


def _show_fetching() -> Callable[[int, int], None]:
    """Return what shows on stderr how much of a network is fetched: a line for each tenth."""
    shown = -1

    def show(there: int, size: int) -> None:
        nonlocal shown
        tenth = 10 * there // max(size, 1)
        if tenth > shown:
            shown = tenth
            say(f"fetching a network that finds subjects: {10 * tenth} % of {size / 1e6:.1f} MB")

    return show
