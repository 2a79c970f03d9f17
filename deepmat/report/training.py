"""What a training run shows: a live display in a terminal, plain lines in a pipe, a log, grids of pictures."""

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from deepmat.errors import DataError
from deepmat.imaging import encode_lossy
from deepmat.imaging.sheets import sheet
from deepmat.report.board import Board
from deepmat.report.tables import format_score
from deepmat.runtime.files import append_line, write_bytes
from deepmat.runtime.records import to_json

LOG, SAMPLES, BOARD = "log.jsonl", "samples", "tensorboard"
UNLOGGED = ("caching", "testing", "sample")
WAITING = 0.1
"""Of its time, from which on a run is said to wait for data."""
TILE, QUALITY = 320, 75
"""Side of a picture in a grid, in pixels, and of its JPEG: 40 kB a row of photo, trimap, alpha and prediction."""


def format_number(value: float | None) -> str:
    """In a few characters, whatever its size."""
    if value is None:
        return "nan"
    return f"{value:.4f}" if value == 0 or 0.01 <= abs(value) < 1000 else f"{value:.3g}"


def _scores(record: Mapping[str, Any]) -> list[str]:
    return [format_score(metric, record[metric]) for metric in ("sad", "mse")]


def _in_words(record: Mapping[str, Any]) -> str:
    return "SAD {}  MSE {}".format(*_scores(record))


class TrainingDisplay:
    """Shows the records of `training.loop.train`: live in a terminal, as plain lines in a pipe.

    All but `UNLOGGED` go to FOLDER/log.jsonl, the sample records before a test as a grid to FOLDER/samples, and with
    `tensorboard` scalars and grids to FOLDER/tensorboard. Use as a context manager and call `show` with each record.
    DataError if the log cannot be written; the rest fails with a warning.
    """

    def __init__(self, console: Console, bar: Progress, name: str, folder: Path, tensorboard: bool = False) -> None:
        self.console, self.name, self.folder, self.tensorboard = console, name, folder, tensorboard
        self.bar = bar
        self.task = self.bar.add_task(name, total=None)
        self.caching = self.bar.add_task("decode", total=None, visible=False)
        self.testing = self.bar.add_task("test", total=None, visible=False)
        self.losses = Text()
        self.began: Mapping[str, Any] = {}
        self.tests: deque[Mapping[str, Any]] = deque(maxlen=10)
        self.best: Mapping[str, Any] = {}
        self.samples: list[Mapping[str, Any]] = []
        self.board: Board | None = None
        self.live = Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def __enter__(self) -> "TrainingDisplay":
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.live.stop()
        if self.console.is_terminal and (self.began or self.tests):
            self.console.print(self._tests_table(self.tests.maxlen or 0))
        if self.board:
            with suppress(OSError):
                self.board.close()

    def show(self, record: Mapping[str, Any]) -> None:
        if record["event"] not in UNLOGGED:
            append_line(self.folder / LOG, to_json(record))
        handler = getattr(self, f"_show_{record['event']}", None)
        if handler:
            handler(record)
        grid = self._write_grid(record["step"]) if record["event"] in ("began", "test") and self.samples else None
        if self.tensorboard:
            self._to_board(record, grid)

    def _to_board(self, record: Mapping[str, Any], grid: np.ndarray | None) -> None:
        try:
            if record["event"] == "start":
                self.board = Board(self.folder / BOARD, record["step"])
            if self.board:
                self.board.show(record, grid)
        except OSError as error:
            self._say(f"{self.folder / BOARD}: {error.strerror or error}; goes on without TensorBoard", "yellow")
            self.board = None

    def _line(self, text: str) -> None:
        """To a pipe only: in a terminal the live display shows it."""
        if not self.console.is_terminal:
            self._say(text)

    def _say(self, text: str, style: str | None = None) -> None:
        self.console.print(text, style=style, highlight=False, markup=False, soft_wrap=not self.console.is_terminal)

    def _show_start(self, record: Mapping[str, Any]) -> None:
        self.steps, self.pictures = record["steps"], record["tests"]
        self.bar.update(self.task, total=record["steps"], completed=record["step"])
        size = f"{record['parameters'] / 1e6:.1f} M trained parameters"
        pictures = f"{record['pictures']:,} samples, {record['tests']:,} test pictures"
        steps = f"{record['steps']:,} steps of {record['steps_per_epoch']:,} an epoch"
        several = f"{record['processes']} processes" if record.get("processes", 1) > 1 else ""
        batch = f"batch {record['batch']}" if "batch" in record else ""
        how = ", ".join(filter(None, (record["device"], several, record.get("precision"), batch)))
        self._say(f"{self.name} on {how}: {steps}, {pictures}, {size}")
        for notice in record["notices"]:
            self._say(notice)
        self._forget(record["step"])

    def _forget(self, step: int) -> None:
        """Remove the grids of tests that are done again: those after `step`, or of an earlier run of this name."""
        for path in (self.folder / SAMPLES).glob("step-*.jpg"):
            with suppress(ValueError, OSError):
                if not step or int(path.stem.removeprefix("step-")) > step:
                    path.unlink()

    def _show_step(self, record: Mapping[str, Any]) -> None:
        numbers = {**record["loss"], "lr": record["lr"], "grad": record.get("grad_norm")}
        told = "  ".join(f"{name} {format_number(value)}" for name, value in numbers.items())
        self.losses = Text(f"{told}  {record['samples_per_s']:.2f} samples/s")
        if record.get("waiting", 0) >= WAITING:
            self.losses.append(f"  waits for data {record['waiting']:.0%}", "yellow")
        if record.get("skipped"):
            self.losses.append(f"  {record['skipped']} skipped", "yellow")
        self.bar.update(self.task, completed=record["step"])
        self._line(f"{self.name} step {record['step']}/{self.steps} epoch {record['epoch']}  {self.losses}")

    def _show_caching(self, record: Mapping[str, Any]) -> None:
        unfinished = record["done"] < record["of"]
        self.bar.update(self.caching, total=record["of"], completed=record["done"], visible=unfinished)

    def _show_testing(self, record: Mapping[str, Any]) -> None:
        unfinished = record["done"] < record["of"]
        self.bar.update(self.testing, total=record["of"], completed=record["done"], visible=unfinished)

    def _show_began(self, record: Mapping[str, Any]) -> None:
        self.began = record
        self._line(f"{self.name} begins with {record['path']}  {_in_words(record)}")

    def _show_sample(self, record: Mapping[str, Any]) -> None:
        self.samples.append(record)

    def _show_test(self, record: Mapping[str, Any]) -> None:
        self.tests.append(record)
        self.best = record if record["best"] else self.best
        best = "  best" if record["best"] else ""
        over = f"  over {record['pictures']} of {self.pictures} pictures" if record["failed"] else ""
        self._line(f"{self.name} test at step {record['step']}  {_in_words(record)}{over}{best}")
        for message in record["failed"]:
            self._say(f"not scored: {message}", style="yellow")

    def _show_warning(self, record: Mapping[str, Any]) -> None:
        self._say(record["text"], style="yellow")

    def _write_grid(self, step: int) -> np.ndarray:
        """The samples since the last one, a row each: image, trimap, ground truth, prediction. uint8 RGB."""
        kinds = ("image", "trimap", "alpha", "prediction")
        grid = sheet([(each["name"], [each[kind] for kind in kinds]) for each in self.samples], side=TILE)
        self.samples = []
        path = self.folder / SAMPLES / f"step-{step:07}.jpg"
        try:
            write_bytes(path, encode_lossy(grid, path.suffix, QUALITY))
        except DataError as error:
            self._say(str(error), "yellow")
        return grid

    def _tests_table(self, rows: int) -> Table:
        """What the run began with and the last tests, of which there are `rows` at most."""
        table = Table("step", "SAD", "MSE", "", title=f"{self.name}: last tests")
        if self.began:
            table.add_row("began", *_scores(self.began), "")
        for record in list(self.tests)[-rows:]:
            table.add_row(f"{record['step']:,}", *_scores(record), "[green]best[/]" if record is self.best else "")
        return table

    def _render(self) -> Group:
        # What does not fit would push the bar out of sight.
        rows = max(1, self.console.height - 13)
        tests: list[RenderableType] = [self._tests_table(rows)] if self.began or self.tests else []
        return Group(*tests, self.losses, self.bar)
