"""Options that several commands share, and what the commands do alike."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from deepmat.config import merge
from deepmat.errors import CheckpointError

if TYPE_CHECKING:
    from torch import nn

Weights = Annotated[
    Path | None,
    typer.Option("--weights", "-w", help="Weights: best.safetensors of a run, or a published DIM checkpoint."),
]
Device = Annotated[str, typer.Option(help="auto (the first of cuda, mps, cpu), cuda, cuda:1, mps or cpu.")]
Workers = Annotated[int | None, typer.Option(help="Processes; one per core by default.", min=1)]
Mode = Annotated[
    str | None, typer.Option(help="whole (default), tile, crop or resize: what the network sees of a picture.")
]
MaxSize = Annotated[
    int | None, typer.Option(help="Mode whole: shrink the longer side to this, a multiple of 32 [1600].")
]
Fit = Annotated[
    str | None,
    typer.Option(help="Mode whole: keep (aspect ratio, default) or stretch (each side by itself, as the old tool)."),
]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="Any config key, say test.tile=512 or train.lr=3e-5; repeatable.")
]
Skip = Annotated[
    bool | None,
    typer.Option(
        "--skip/--no-skip", help="Published checkpoints: trained with skip connections or not [with, if conv6 is 3x3]."
    ),
]


def stdout() -> Console:
    return Console()


def stderr() -> Console:
    return Console(stderr=True)


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def progress_bar(console: Console) -> Progress:
    """A bar with counts and time left; nothing at all in a pipe."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


def open_model(weights: Path | None, device: str, skip: bool | None, settings: str) -> "nn.Module":
    """The network in a weights file on its device, told on stderr. CheckpointError also if none was given."""
    if weights is None:
        raise CheckpointError("no weights: give --weights FILE; `deepmat train` makes runs/NAME/best.safetensors")

    from deepmat.devices import describe_device, pick_device
    from deepmat.models import describe_model, load_model

    chosen = pick_device(device)
    model = load_model(weights, device=chosen, skip=skip)
    say(f"{weights}: {describe_model(model)} on {describe_device(chosen)}, {settings}")
    return model


def flags(values: Mapping[str, Any]) -> dict[str, Any]:
    """{"train.lr": 3e-5, "train.seed": None} to {"train": {"lr": 3e-5}}: the named flags that were given."""
    nested: dict[str, Any] = {}
    for dotted, value in values.items():
        if value is not None:
            for part in reversed(dotted.split(".")):
                value = {part: value}
            nested = merge(nested, value)
    return nested


def say(message: str) -> None:
    """One plain line on stderr."""
    stderr().print(message, highlight=False, markup=False, soft_wrap=True)


def notify(messages: Iterable[str]) -> None:
    """Notices go to stderr, so that stdout stays the result."""
    console = stderr()
    for message in messages:
        console.print(f"note: {message}", style="yellow", highlight=False, markup=False, soft_wrap=True)


def finish(failures: Mapping[str, str], done: str) -> None:
    """The last lines of a batch: what was done and what failed; exit code 1 if anything did."""
    say(done)
    if failures:
        console = stderr()
        console.print(f"{len(failures)} failed:", style="red", highlight=False)
        for message in dict.fromkeys(failures.values()):
            console.print(f"  {message}", style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(1)
