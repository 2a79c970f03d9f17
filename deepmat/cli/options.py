"""Options that several commands share, and how commands show their work."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepmat.cli.tables import choice, recipes
from deepmat.runtime.records import to_json

if TYPE_CHECKING:  # rich takes a fifth of the time of --help
    from rich.console import Console
    from rich.progress import Progress

    from deepmat.runtime.work import Work

Weights = Annotated[
    Path | None,
    typer.Option("--weights", "-w", help="best.safetensors of a run, a published DIM file, or closed-form [lite]."),
]
Device = Annotated[str, typer.Option(help="auto (the first of cuda, mps, cpu), cuda, cuda:1, mps or cpu.")]
Precision = Annotated[
    str,
    typer.Option(
        metavar=choice("runtime.devices", "PRECISIONS", "auto"),
        help="Arithmetic of the network; auto is bf16 where that is faster. DIM in int8 is twice as fast on most CPUs.",
    ),
]
Workers = Annotated[int | None, typer.Option(help="Pictures at a time [number of cores].", min=1)]
Mode = Annotated[
    str | None,
    typer.Option(
        metavar=choice("inference.modes", "MODES"), help="How much the network sees at a time [whole; predict: auto]."
    ),
]
MaxSize = Annotated[
    int | None, typer.Option(help="Mode whole: shrink the longer side to this, a multiple of 32 [1600].")
]
Fit = Annotated[
    str | None,
    typer.Option(metavar="keep|stretch", help="Mode whole: keep the aspect ratio, or fit each side alone [keep]."),
]
Data = Annotated[
    Path | None, typer.Option(help="Foregrounds and backgrounds, paired on the fly, or composites of them.")
]
Backgrounds = Annotated[Path | None, typer.Option(help="Backgrounds [DATA/bg_train or DATA/bg, else procedural].")]
Augment = Annotated[
    str | None,
    typer.Option(metavar=f"{recipes('augment')}|FILE", help="How samples are made from pictures [reference]."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any config key, say test.tile=512 or train.lr=3e-5; repeatable."),
]
Skip = Annotated[
    bool | None,
    typer.Option(
        "--skip/--no-skip",
        help="Published checkpoints: trained with or without skip connections [with, if conv6 is 3x3].",
    ),
]


MOST_NOTES = 20
"""Notices shown before the rest is only counted."""
PIPE_WIDTH = 1000
"""Columns of a table in a pipe."""


def stdout() -> "Console":
    """Return the console for results. In a pipe it is wide enough to cut no number, unless COLUMNS is set."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=PIPE_WIDTH)


def stderr() -> "Console":
    """Return the console for everything but results."""
    from rich.console import Console

    return Console(stderr=True)


def progress_bar(console: "Console") -> "Progress":
    """Return a progress bar with counts and time left. It shows nothing in a pipe."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

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


def do(work: "Work[Any]", title: str, json: bool = False) -> dict[str, str]:
    """Do a batch under a progress bar. Returns the error of each failed item by its name.

    Shows what the work uses, its notices and those of its records; json: also prints the records on stdout.
    """
    if work.about:
        say(work.about)
    notify(work.notices)
    failures: dict[str, str] = {}
    with progress_bar(stderr()) as bar:
        task = bar.add_task(title, total=work.total)
        for record in work:
            bar.advance(task)
            notify(record.get("notices", []))
            if json:
                print(to_json(record), flush=True)
            if "error" in record:
                failures[record["name"]] = record["error"]
    return failures


def plain(text: str) -> str:
    """Escape line feeds and other control characters, which names and texts in files may contain."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def say(message: str) -> None:
    """Print one plain line on stderr."""
    stderr().print(message, highlight=False, markup=False, soft_wrap=True)


def notify(messages: Iterable[str]) -> None:
    """Print notices on stderr, so that stdout holds the result alone."""
    console = stderr()
    messages = list(messages)
    more = [f"and {len(messages) - MOST_NOTES} more notices"] if len(messages) > MOST_NOTES else []
    for message in messages[:MOST_NOTES] + more:
        console.print(f"note: {message}", style="yellow", highlight=False, markup=False, soft_wrap=True)


def summarise(failures: Mapping[str, str], done: str) -> None:
    """Print the last lines of a batch: what was done and what failed."""
    say(done)
    if failures:
        console = stderr()
        console.print(f"{len(failures)} failed:", style="red", highlight=False)
        for message, count in sorted(Counter(failures.values()).items()):
            times = f" ({count} times)" if count > 1 else ""
            console.print(f"  {message}{times}", style="red", highlight=False, markup=False, soft_wrap=True)


def finish(failures: Mapping[str, str], done: str) -> None:
    """Print the last lines of a batch (`summarise`), and exit with code 1 if anything failed."""
    summarise(failures, done)
    if failures:
        raise typer.Exit(1)
