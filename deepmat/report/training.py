"""What a training run shows: a live display in a terminal, plain lines in a pipe, a log."""

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import Progress
from rich.table import Table

from deepmat.files import append_line
from deepmat.report.tables import to_json


class TrainingDisplay:
    """Shows the records of `engine.train`: live in a terminal, as plain lines in a pipe; all of them go to a JSONL log.

    Use as a context manager and call `show` with each record.
    """

    def __init__(self, console: Console, bar: Progress, name: str, log: Path) -> None:
        self.console, self.name, self.log = console, name, log
        self.bar = bar
        self.task = self.bar.add_task(name, total=None)
        self.caching = self.bar.add_task("decode", total=None, visible=False)
        self.testing = self.bar.add_task("test", total=None, visible=False)
        self.losses = ""
        self.tests: deque[Mapping[str, Any]] = deque(maxlen=10)
        self.best: Mapping[str, Any] = {}
        self.live = Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def __enter__(self) -> "TrainingDisplay":
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.live.stop()
        if self.console.is_terminal and self.tests:
            self.console.print(self._tests_table())

    def show(self, record: Mapping[str, Any]) -> None:
        if record["event"] not in ("testing", "caching", "sample"):
            append_line(self.log, to_json(record))
        handler = getattr(self, f"_show_{record['event']}", None)
        if handler:
            handler(record)

    def _line(self, text: str) -> None:
        """To a pipe only: in a terminal the live display shows it."""
        if not self.console.is_terminal:
            self._say(text)

    def _say(self, text: str, style: str | None = None) -> None:
        self.console.print(text, style=style, highlight=False, markup=False, soft_wrap=not self.console.is_terminal)

    def _show_start(self, record: Mapping[str, Any]) -> None:
        self.steps = record["steps"]
        self.bar.update(self.task, total=record["steps"], completed=record["step"])
        size = f"{record['parameters'] / 1e6:.1f} M trained parameters"
        pictures = f"{record['pictures']:,} samples, {record['tests']:,} test pictures"
        steps = f"{record['steps']:,} steps of {record['steps_per_epoch']:,} an epoch"
        self._say(f"{self.name} on {record['device']}: {steps}, {pictures}, {size}")
        for notice in record["notices"]:
            self._say(notice)

    def _show_step(self, record: Mapping[str, Any]) -> None:
        terms = "  ".join(f"{name} {value:.4f}" for name, value in record["loss"].items())
        self.losses = f"{terms}  lr {record['lr']:g}  {record['samples_per_s']:.2f} samples/s"
        self.bar.update(self.task, completed=record["step"])
        self._line(f"{self.name} step {record['step']}/{self.steps} epoch {record['epoch']}  {self.losses}")

    def _show_caching(self, record: Mapping[str, Any]) -> None:
        unfinished = record["done"] < record["of"]
        self.bar.update(self.caching, total=record["of"], completed=record["done"], visible=unfinished)

    def _show_testing(self, record: Mapping[str, Any]) -> None:
        unfinished = record["done"] < record["of"]
        self.bar.update(self.testing, total=record["of"], completed=record["done"], visible=unfinished)

    def _show_test(self, record: Mapping[str, Any]) -> None:
        self.tests.append(record)
        self.best = record if record["best"] else self.best
        best = "  best" if record["best"] else ""
        self._line(f"{self.name} test at step {record['step']}  SAD {record['sad']:.3f}  MSE {record['mse']:.5f}{best}")
        for message in record["failed"]:
            self._say(f"not scored: {message}", style="yellow")

    def _tests_table(self) -> Table:
        table = Table("step", "SAD", "MSE", "", title=f"{self.name}: last tests")
        for record in self.tests:
            mark = "[green]best[/]" if record is self.best else ""
            table.add_row(f"{record['step']:,}", f"{record['sad']:.3f}", f"{record['mse']:.5f}", mark)
        return table

    def _render(self) -> Group:
        return Group(*([self._tests_table()] if self.tests else []), self.losses, self.bar)
