from pathlib import Path
from typing import Annotated

import typer

from deepmat.cli.options import Skip, notify, plain, say


def import_weights(
    weights: Annotated[
        Path, typer.Argument(help="A checkpoint of pytorch-deep-image-matting, or of MMagic's or MMEditing's DIM.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="[weights/NAME.safetensors where you stand]")
    ] = None,
    skip: Skip = None,
    licence: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The licence, kept beside the weights [what the file states].")
    ] = None,
) -> None:
    """Convert another tool's weights to deepmat's format.

    The network follows from the names and shapes of the tensors. The result is a safetensors file that holds the
    network's options, source, checksum and licence too. No code from the file ever runs.
    """
    from deepmat.models.weights import UNSTATED
    from deepmat.models.weights import import_weights as run

    record = run(weights, out, assume={"skip": skip}, licence=licence)
    source = record["source"]
    if record["licence"] == UNSTATED:
        notify([f"licence: {UNSTATED}"])
    if skip is None and record["model"]["skip"]:
        notify(["weights do not show skip connections; 3x3 ones are taken to have them (--no-skip: without)"])
    score = f", best SAD {source['best_sad']:.2f}" if "best_sad" in source else ""
    say(plain(f"{weights}: {source['format']}{score}"))
    say(plain(f"{record['path']}: {record['network']}"))
