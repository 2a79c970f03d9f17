from pathlib import Path
from typing import Annotated

import typer

from deepmat import config as configs
from deepmat.cli.options import Augment, Backgrounds, Set, finish, notify
from deepmat.config import flags, layer
from deepmat.runtime.files import refuse_inside

data = typer.Typer(help="Look at training data.", no_args_is_help=True, rich_markup_mode=None)
KINDS = {"image": "input", "trimap": "trimap", "alpha": "alpha", "fg": "foreground", "bg": "background"}


@data.callback()
def _group() -> None:
    pass


@data.command()
def show(
    root: Annotated[
        Path | None, typer.Argument(metavar="[DATA]", help="As for train --data; none with --set data.synth=1.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture to write.")] = Path("samples.png"),
    bg: Backgrounds = None,
    augment: Augment = None,
    count: Annotated[int, typer.Option(help="Samples to show.", min=1)] = 12,
    seed: Annotated[int, typer.Option(help="Other samples.", min=0)] = 0,
    set_: Set = None,
) -> None:
    """Write a sheet of training samples, to look at.

    What the network will see, trimap, alpha, foreground, background, as `deepmat train` with the same options would
    make them: to catch mistakes by eye.
    """
    import numpy as np

    from deepmat.data.origins import find_origins
    from deepmat.data.samples import TrainingSet, times_at
    from deepmat.imaging import write_image
    from deepmat.imaging.sheets import sheet

    refuse_inside("--out", out, (root, bg))
    given = flags({"data.root": str(root) if root else None, "data.bg": str(bg) if bg else None})
    given = configs.merge(given, {"data": {"cache": None}})  # a look needs none
    config = configs.load(layer("augment", augment), flags=given, overrides=set_ or [])
    origins, notices = find_origins(config.data)
    notify(notices)
    samples = TrainingSet(origins, config.data, seed)
    rows, failures = [], {}
    for row, index in enumerate(np.random.default_rng(seed).permutation(len(samples))[:count]):
        sample = samples[0, int(index), times_at(row, config.data.large)]
        if isinstance(sample, dict):
            rows.append((sample["name"], [sample[kind] for kind in KINDS]))
        else:
            failures[str(index)] = str(sample)
    if rows:
        write_image(out, sheet(rows, tuple(KINDS.values()), side=256))
    finish(failures, f"{len(rows)} samples of {len(samples)} an epoch" + (f" in {out}" if rows else ": no picture"))
