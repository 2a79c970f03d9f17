"""Options that several commands share, and what the commands do alike."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from torch import nn

Weights = Annotated[
    Path | None,
    typer.Option("--weights", "-w", help="best.safetensors of a run, or a published DIM file [lite, deepmat's own]."),
]
Device = Annotated[str, typer.Option(help="auto (the first of cuda, mps, cpu), cuda, cuda:1, mps or cpu.")]
Precision = Annotated[
    str,
    typer.Option(
        metavar="auto|fp32|bf16|int8",
        help="Of the network's arithmetic; auto is bf16 where that is faster. DIM's int8 takes half that on most CPUs.",
    ),
]
Workers = Annotated[int | None, typer.Option(help="Pictures at a time; one per core by default.", min=1)]
Mode = Annotated[
    str | None,
    typer.Option(
        metavar="auto|whole|tile|crop|resize", help="What the network sees of a picture [whole; predict: auto]."
    ),
]
MaxSize = Annotated[
    int | None, typer.Option(help="Mode whole: shrink the longer side to this, a multiple of 32 [1600].")
]
Fit = Annotated[
    str | None,
    typer.Option(metavar="keep|stretch", help="Mode whole: the aspect ratio, or each side by itself [keep]."),
]
Data = Annotated[
    Path | None, typer.Option(help="Foregrounds and backgrounds, paired on the fly, or composites of them.")
]
Backgrounds = Annotated[Path | None, typer.Option(help="Backgrounds [DATA/bg_train or DATA/bg, else by program].")]
Augment = Annotated[
    str | None,
    typer.Option(metavar="reference|mmagic|modern|FILE", help="What makes samples of pictures [reference]."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any config key, say test.tile=512 or train.lr=3e-5; repeatable."),
]
Skip = Annotated[
    bool | None,
    typer.Option(
        "--skip/--no-skip", help="Published checkpoints: trained with skip connections or not [with, if conv6 is 3x3]."
    ),
]


NOTES, PIPE = 20, 1000
SHIPPED_IS = "trained on procedural pictures alone"


def stdout() -> Console:
    """In a pipe as wide as it takes, unless COLUMNS says otherwise: numbers are not cut."""
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=PIPE)


def stderr() -> Console:
    return Console(stderr=True)


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


def open_model(
    weights: Path | None, device: str, precision: str, skip: bool | None, settings: str
) -> tuple["nn.Module", str]:
    """The network in a weights file, ready to predict on its device, and its precision; both told on stderr.

    weights: as for models.find_weights.
    """
    from deepmat.models import SHIPPED, describe_model, find_weights, for_prediction, label_of, load_model, precisions
    from deepmat.runtime.devices import describe_device, lacking_for_int8, pick_device, pick_precision

    path, chosen = find_weights(weights), pick_device(device)
    used = pick_precision(precision, chosen)
    model = load_model(path, device=chosen, assume={"skip": skip})
    faster = precision == "auto" and "int8" in precisions(model) and not lacking_for_int8(chosen)
    hint = " (--precision int8 is faster)" if faster else ""
    ready = for_prediction(model, used)
    own = f", deepmat's own ({SHIPPED_IS})" if path in SHIPPED.values() else ""
    say(f"{label_of(path)}{own}: {describe_model(model)} on {describe_device(chosen)}, {used}{hint}, {settings}")
    return ready, used


def plain(text: str) -> str:
    """Without line feeds and other control characters, which names and texts in files may have."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def say(message: str) -> None:
    """One plain line on stderr."""
    stderr().print(message, highlight=False, markup=False, soft_wrap=True)


def notify(messages: Iterable[str]) -> None:
    """Notices go to stderr, so that stdout stays the result."""
    console = stderr()
    messages = list(messages)
    more = [f"and {len(messages) - NOTES} more like these"] if len(messages) > NOTES else []
    for message in messages[:NOTES] + more:
        console.print(f"note: {message}", style="yellow", highlight=False, markup=False, soft_wrap=True)


def tell(failures: Mapping[str, str], done: str) -> None:
    """The last lines of a batch: what was done and what failed."""
    say(done)
    if failures:
        console = stderr()
        console.print(f"{len(failures)} failed:", style="red", highlight=False)
        for message, count in sorted(Counter(failures.values()).items()):
            times = f" ({count} times)" if count > 1 else ""
            console.print(f"  {message}{times}", style="red", highlight=False, markup=False, soft_wrap=True)


def finish(failures: Mapping[str, str], done: str) -> None:
    """`tell`, and exit code 1 if anything failed."""
    tell(failures, done)
    if failures:
        raise typer.Exit(1)
