from pathlib import Path
from typing import Annotated

import typer

from deepmat.cli.options import notify, plain, say


def push(
    weights: Annotated[Path, typer.Argument(metavar="RUN|WEIGHTS", help="A run's folder, or a weights file.")],
    model: Annotated[str, typer.Argument(metavar="USER/NAME", help="The model of the hub; made if need be.")],
    licence: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="mit, apache-2.0 ... [what the weights state, or those they began with]."),
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(metavar="PATH", help="scores.json of `deepmat eval -o DIR`, for the card.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make the model a private one.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing; print the model card.")] = False,
) -> None:
    """Push weights to the hub, with a model card.

    The card is made from the run's config, scores, licence and from what the training began with. Log in first:
    `hf auth login`, or set HF_TOKEN. `-w USER/NAME` then takes the weights everywhere.
    """
    from deepmat.training.publishing import push as run

    pushed = run(weights, model, licence=licence, scores=scores, private=private, dry_run=dry_run)
    notify(map(plain, pushed["notices"]))
    if dry_run:
        print(pushed["card"], end="")
        return
    say(plain(f"{pushed['address']}: {pushed['bytes'] / 1e6:.1f} MB and a model card; -w {model} uses it"))
