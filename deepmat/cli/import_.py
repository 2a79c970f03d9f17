from pathlib import Path
from typing import Annotated

import typer

from deepmat.cli.options import Skip, notify, plain, say

SUFFIXES = (".tar", ".pth", ".pt", ".ckpt", ".bin", ".safetensors")


def import_weights(
    weights: Annotated[
        Path, typer.Argument(help="A checkpoint of pytorch-deep-image-matting, or of MMagic's or MMEditing's DIM.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="[weights/NAME.safetensors where you stand]")
    ] = None,
    skip: Skip = None,
    licence: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Their licence, kept beside them [what the file says].")
    ] = None,
) -> None:
    """Make another tool's weights deepmat's own.

    They are told by their keys and shapes, and written as safetensors with their network, source, checksum and licence
    inside. No code from the file ever runs.
    """
    from deepmat.models.weights import UNSTATED
    from deepmat.models.weights import import_weights as run

    out = out or Path("weights") / f"{_stem(weights)}.safetensors"
    record = run(weights, out, assume={"skip": skip}, licence=licence)
    source = record["source"]
    if record["licence"] == UNSTATED:
        notify([f"licence: {UNSTATED}"])
    if skip is None and record["model"]["skip"]:
        notify(
            ["skip connections leave no trace in weights; 3x3 ones are taken to have them, --no-skip says otherwise"]
        )
    score = f", best SAD {source['best_sad']:.2f}" if "best_sad" in source else ""
    say(plain(f"{weights}: {source['format']}{score}"))
    say(plain(f"{out}: {record['network']}"))


def _stem(path: Path) -> str:
    """The file's name without what says that it is a checkpoint: "stage1" of stage1.pth.tar."""
    while path.suffix in SUFFIXES:
        path = path.with_suffix("")
    return path.name
