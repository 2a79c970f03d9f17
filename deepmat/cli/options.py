"""Options that several commands share, and how commands show their work."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepmat.cli.tables import choice, names, recipes
from deepmat.runtime.records import to_json

if TYPE_CHECKING:  # rich takes a fifth of the time of --help
    from rich.console import Console
    from rich.progress import Progress

    from deepmat.inference.batch import CutOuts
    from deepmat.runtime.work import Work

Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        "-w",
        help="best.safetensors of a run, a published DIM file, an exported .onnx, closed-form,"
        " or USER/NAME of the hub [lite].",
    ),
]
Device = Annotated[str, typer.Option(help="auto (the first of cuda, mps, cpu), cuda, cuda:1, mps or cpu.")]
Precision = Annotated[
    str,
    typer.Option(
        metavar=choice("runtime.devices", "PRECISIONS", "auto"),
        help="Arithmetic of the network; auto is bf16 where that is faster, else fp32. int8: only DIM, on a CPU.",
    ),
]
Workers = Annotated[int | None, typer.Option(help="Pictures at a time [number of cores].", min=1)]
Mode = Annotated[
    str | None,
    typer.Option(
        metavar=choice("inference.modes", "MODES"), help="How much the network sees at a time [auto; eval: whole]."
    ),
]
MaxSize = Annotated[
    int | None,
    typer.Option(help="Mode whole, which it implies: shrink the longer side to this, a multiple of 32 [1600]."),
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
        help="Published DIM files: trained with or without skip connections [with, if conv6 is 3x3].",
    ),
]

Save = Annotated[
    list[str],
    typer.Option(
        metavar="KIND[.EXT],...",
        help="What to write, composite.jpg as JPEG: " + ", ".join(names("inference.outputs", "OUTPUTS")) + ".",
    ),
]
Background = Annotated[
    str | None, typer.Option(help="For composite: a colour (#1188ff), a picture or a folder of pictures [white].")
]
Colours = Annotated[
    str,
    typer.Option(
        metavar=choice("inference.batch", "COLOURS"),
        help="Foreground colours without the background, or as they are.",
    ),
]
Include = Annotated[
    list[str] | None, typer.Option(metavar="PATTERN", help="Only these pictures or folders, say '*.jpg' or shoes.")
]
Exclude = Annotated[list[str] | None, typer.Option(metavar="PATTERN", help="Not these pictures or folders.")]
Memory = Annotated[
    float | None, typer.Option(help="Mode auto: GB that the process may use in all [half of the free memory].")
]
MaxMegapixels = Annotated[int, typer.Option(help="Refuse larger pictures: a small file can hold a huge one.", min=1)]
Crop = Annotated[
    str | None,
    typer.Option(
        metavar="[MARGIN]", help="Crop to the subject; MARGIN, or 0 without one, is in pixels (20) or a share (5%)."
    ),
]
Square = Annotated[bool, typer.Option("--square", help="With --crop: to a square.")]
Engine = Annotated[
    str,
    typer.Option(
        metavar=choice("runtime.sharing", "ENGINES") + "[:CORES]",
        help="Who works: this process or those of a launcher; or a Ray cluster, with so many cores a worker.",
    ),
]
SkipExisting = Annotated[
    bool, typer.Option("--skip-existing", help="Skip pictures whose files all exist; without it they are replaced.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object per picture on stdout.")]

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
        task = bar.add_task(title, total=work.total or None)
        for record in work:
            bar.advance(task)
            notify(record.get("notices", []))
            if json:
                print(to_json(record), flush=True)
            failures.pop(record.get("name", ""), None)  # it may have been done again, under `cut --watch`
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
        console.print(f"note: {plain(message)}", style="yellow", highlight=False, markup=False, soft_wrap=True)


def summarise(failures: Mapping[str, str], done: str) -> None:
    """Print the last lines of a batch: what was done, unless that is empty, and what failed."""
    if done:
        say(done)
    if failures:
        console = stderr()
        console.print(f"{len(failures)} failed:", style="red", highlight=False)
        for message, count in sorted(Counter(failures.values()).items()):
            times = f" ({count} times)" if count > 1 else ""
            console.print(f"  {plain(message)}{times}", style="red", highlight=False, markup=False, soft_wrap=True)


def finish(failures: Mapping[str, str], done: str) -> None:
    """Print the last lines of a batch (`summarise`), and exit with code 1 if anything failed."""
    summarise(failures, done)
    if failures:
        raise typer.Exit(1)


def finish_together(
    failures: Mapping[str, str], counts: "Counter[str]", done: Callable[["Counter[str]", int], str]
) -> None:
    """Print the last lines of a batch that the processes of a launcher share; the first process prints those of all.

    failures, counts: of this process. done: makes the line from the counts and the number of failures of all. Exit code
    1 of all processes if anything failed.
    """
    from deepmat.runtime import distributed

    everyone = distributed.gather((dict(failures), counts))
    failed = {name: message for each, _ in everyone for name, message in each.items()}
    if not distributed.rank():
        total: Counter[str] = Counter()
        for _, each in everyone:
            total.update(each)
        summarise(failed, done(total, len(failed)))
    distributed.gather(None)  # a launcher ends all processes with the first that exits with an error
    if failed:
        raise typer.Exit(1)


def show_batch(
    work: "CutOuts", out: Path | None, title: str, json: bool, *, quiet: bool = False, endless: bool = False
) -> None:
    """Do this process's share of a batch of pictures, and show the result of all processes.

    out: where the outputs go; None for beside the pictures. quiet: shows notices and failures only. endless: Ctrl-C is
    the usual end. Exit code 1 if a picture failed.
    """
    from deepmat.runtime import distributed

    finders: Counter[tuple[str, str]] = Counter()

    def steps() -> Iterator[Any]:
        try:
            for record in work:
                finders[record.get("finder", ""), record.get("why", "")] += 1
                if endless:
                    say(f"{record['name']}: " + (record.get("error") or ", ".join(record["paths"].values())))
                yield record
        except KeyboardInterrupt:
            if not endless:
                say(f"{out or 'the disk'} keeps what is done; the same command with --skip-existing goes on")
                raise

    own = do(replace(work, steps=steps, about=work.about * (not quiet)), title, json)
    everyone = distributed.gather((finders, work.existing, own))
    failures = {name: message for _, _, failed in everyone for name, message in failed.items()}
    if distributed.rank() == 0:
        used = sum((found for found, _, _ in everyone), Counter[tuple[str, str]]())
        existing = sum(each for _, each, _ in everyone)
        if not quiet:
            show_finders(used)
        where = f"in {out}" if out else "beside them"
        done = f"{used.total() - len(failures)} of {used.total()} pictures cut out {where}"
        if existing:
            nothing = f"nothing to do: all outputs exist {where} ({existing} pictures)"
            done = f"{done} ({existing} more existed)" if used else nothing
        summarise(failures, "" if quiet else done)
    distributed.gather(None)  # a launcher ends all processes with the first that exits with an error
    if failures:
        raise typer.Exit(1)


def show_finders(counts: Mapping[tuple[str, str], int]) -> None:
    """Print which finders were used, and why. counts: of pictures by finder and reason; empty without a finder."""
    for finder in sorted({name for name, _ in counts if name}):
        reasons = [why for name, why in counts if name == finder]
        pictures = sum(count for (name, _), count in counts.items() if name == finder)
        times = f" for {pictures} pictures" if pictures > 1 else ""
        say(f"finder {finder}{times}" + (f": {reasons[0]}" if len(reasons) == 1 else ""))
