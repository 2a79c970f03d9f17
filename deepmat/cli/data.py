from pathlib import Path
from typing import Annotated

import typer

from deepmat.cli.options import Augment, Backgrounds, Set, finish, notify
from deepmat.cli.style import STYLE

data = typer.Typer(help="Look at training data.", no_args_is_help=True, **STYLE)


@data.callback()
def _group() -> None:
    pass


@data.command()
def show(
    root: Annotated[
        Path | None, typer.Argument(metavar="[DATA]", help="As for train --data; not needed with --set data.synth=1.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture to write.")] = Path("samples.png"),
    bg: Backgrounds = None,
    augment: Augment = None,
    count: Annotated[int, typer.Option(help="Samples to show.", min=1)] = 12,
    seed: Annotated[int, typer.Option(help="Chooses the samples.", min=0)] = 0,
    set_: Set = None,
) -> None:
    """Write a sheet of training samples, to find mistakes by eye.

    It shows input, trimap, alpha, foreground and background, as `deepmat train` with the same options makes them.
    """
    from deepmat.data.show import show_samples

    found = show_samples(root, out, bg=bg, augment=augment, count=count, seed=seed, settings=set_ or ())
    notify(found["notices"])
    where = f" in {out}" if found["shown"] else ": no picture"
    finish(found["failures"], f"{found['shown']} samples of {found['samples']} an epoch{where}")
