from pathlib import Path
from typing import Annotated

import typer

from deepmat.cli.options import Skip, notify, say


def export(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The ONNX file to write.")],
    weights: Annotated[
        Path | None,
        typer.Option("--weights", "-w", help="Of lite or DIM: best.safetensors of a run, a published DIM file [lite]."),
    ] = None,
    skip: Skip = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per size on stdout.")] = False,
) -> None:
    """Write a network as an ONNX file.

    It runs without deepmat and torch: picture and trimap of any size in, alpha out. The file is compared with the
    network at five sizes before it is written; the exit code is 1, and there is no file, if they differ by more than
    0.001.
    """
    from deepmat.inference.exporting import export as run
    from deepmat.runtime.records import to_json

    work = run(weights, out, assume={"skip": skip})
    say(work.about)
    differences = []
    for record in work:
        largest = record["largest"]
        differences += [] if largest is None else [largest]
        notify(record["notices"])
        if json:
            print(to_json(record))
        elif largest is not None:
            say(f"  {record['name']:>9}  largest difference {largest:.1e}  mean {record['mean']:.1e}")
    within = f"alpha within {max(differences):.1e} of the network's" if differences else "not compared with the network"
    say(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {within}")
