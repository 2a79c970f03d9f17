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
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            help="fp32; fp16: half the bytes, faster on GPUs with such units; int8: weights of a byte, the same speed.",
        ),
    ] = "fp32",
    skip: Skip = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per size on stdout.")] = False,
) -> None:
    """Write a network as an ONNX file.

    It runs without deepmat and torch: picture and trimap of any size in, alpha out. The file is compared with the
    network, in float32, at five sizes before it is written; the exit code is 1, and there is no file, if they differ
    by more than 0.001 (fp16: 0.05, or 0.001 on average; int8: 0.5, or 1/255). Of DIM one pixel in a hundred may
    differ by more, where rounding moves a maximum.
    """
    from deepmat.inference.exporting import export as run
    from deepmat.runtime.records import to_json

    work = run(weights, out, precision=precision, assume={"skip": skip})
    say(work.about)
    compared = []
    for record in work:
        largest = record["largest"]
        compared += [] if largest is None else [record]
        notify(record["notices"])
        if json:
            print(to_json(record))
        elif largest is not None:
            say(f"  {record['name']:>9}  largest difference {largest:.1e}  mean {record['mean']:.1e}")
    within = "not compared with the network"
    if compared:
        most = (max(record[kind] or 0 for record in compared) for kind in ("largest", "mean"))
        within = "alpha within {:.1e} of the network's, on average {:.1e} or less".format(*most)
    say(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {within}")
