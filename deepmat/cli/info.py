from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepmat.cli.options import plain

if TYPE_CHECKING:
    from deepmat.models.weights import Info

SHOWN = 5
LONG = 300


def info(
    weights: Annotated[Path, typer.Argument(help="Weights of any tool, a run's state, a .onnx, lite, USER/NAME.")],
    json: Annotated[bool, typer.Option("--json", help="All of it as one JSON object.")] = False,
) -> None:
    """Show what is in a weights file.

    Format, network, parts, precision, checksum, and what the file says of itself: run, step, scores, source, licence.
    Of networks that deepmat does not know, the first tensors. The exit code is 1 if the file is broken.
    """
    from deepmat.models.weights import info as describe
    from deepmat.runtime.records import to_json

    record = describe(weights)
    if json:
        print(to_json(record))
        return
    lines = list(_lines(record))
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        print(plain(f"{name:<{width}}  {value}"))


def _lines(record: "Info") -> Iterator[tuple[str, str]]:
    yield "file", record["file"]
    yield "format", record["format"]
    if record["network"]:
        assumed = "".join(f"; {option} is assumed, weights do not show it" for option in record["assumed"])
        yield "network", record["network"] + assumed
    if record["problem"]:
        yield "problem", record["problem"]
    if record["dtypes"]:  # a graph's are not listed
        yield "tensors", ", ".join(f"{count} {dtype}" for dtype, count in record["dtypes"].items())
        yield "parameters", f"{record['parameters']:,}"
    for name, count in record["parts"].items():
        yield f"  {name}", f"{count:,}"
    if record["format"] == "unknown":
        for key, shape in list(record["shapes"].items())[:SHOWN]:
            yield f"  {key}", str(shape)
    yield "bytes", f"{record['bytes']:,}"
    yield "sha256", record["sha256"]
    yield from _about(record["about"])


def _about(about: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """What a file says of itself, one line for each value; of long texts, such as a config, the number of lines."""
    for key, value in about.items():
        if isinstance(value, dict):
            yield from _about(value, f"{prefix}{key} ")
        else:
            text = str(value)
            lines = len(text.splitlines())
            yield f"{prefix}{key}", text if lines < 2 or len(text) <= LONG else f"{lines} lines (--json shows them)"
