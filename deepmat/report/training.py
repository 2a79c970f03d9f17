"""Show a training run: a live display in a terminal, plain lines in a pipe."""

from collections import deque
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import Progress, TaskID
from rich.table import Table
from rich.text import Text

from deepmat.report.records import Began, Caching, Start, Step, Tested, Testing, TrainingRecord
from deepmat.scoring.records import format_score

WAITING = 0.1
"""Share of the time spent waiting for data from which on it is shown."""


def format_number(value: float | None) -> str:
    """Format a number of any size in a few characters."""
    if value is None:
        return "nan"
    return f"{value:.4f}" if value == 0 or 0.01 <= abs(value) < 1000 else f"{value:.3g}"


def _scores(record: Began | Tested) -> tuple[str, str]:
    return format_score("sad", record["sad"]), format_score("mse", record["mse"])


def _scores_line(record: Began | Tested) -> str:
    return "SAD {}  MSE {}".format(*_scores(record))


class TrainingDisplay:
    """Shows the records of one training run. Use as a context manager and call `show` with each record."""

    def __init__(self, console: Console, bar: Progress, name: str) -> None:
        self.console, self.name, self.bar = console, name, bar
        self.task = self.bar.add_task(name, total=None)
        self.caching = self.bar.add_task("decode", total=None, visible=False)
        self.testing = self.bar.add_task("test", total=None, visible=False)
        self.steps = self.pictures = 0
        self.losses = Text()
        self.began: Began | None = None
        self.tests: deque[Tested] = deque(maxlen=10)
        self.best: Tested | None = None
        self.live = Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def __enter__(self) -> "TrainingDisplay":
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.live.stop()
        if self.console.is_terminal and (self.began or self.tests):
            self.console.print(self._tests_table(self.tests.maxlen or 0))

    def show(self, record: TrainingRecord) -> None:
        """Show what a record of the run says."""
        match record["event"]:
            case "start":
                self._show_start(record)
            case "step":
                self._show_step(record)
            case "caching":
                self._show_progress(self.caching, record)
            case "testing":
                self._show_progress(self.testing, record)
            case "began":
                self.began = record
                self._line(f"{self.name} begins with {record['path']}  {_scores_line(record)}")
            case "test":
                self._show_test(record)
            case "warning":
                self._say(record["text"], style="yellow")

    def _line(self, text: str) -> None:
        """Print a line into a pipe. In a terminal the live display shows the same."""
        if not self.console.is_terminal:
            self._say(text)

    def _say(self, text: str, style: str | None = None) -> None:
        self.console.print(text, style=style, highlight=False, markup=False, soft_wrap=not self.console.is_terminal)

    def _show_start(self, record: Start) -> None:
        self.steps, self.pictures = record["steps"], record["tests"]
        self.bar.update(self.task, total=record["steps"], completed=record["step"])
        size = f"{record['parameters'] / 1e6:.1f} M trained parameters"
        pictures = f"{record['pictures']:,} samples, {record['tests']:,} test pictures"
        steps = f"{record['steps']:,} steps of {record['steps_per_epoch']:,} an epoch"
        several = f"{record['processes']} processes" if record["processes"] > 1 else ""
        how = ", ".join(filter(None, (record["device"], several, record["precision"], f"batch {record['batch']}")))
        self._say(f"{self.name} on {how}: {steps}, {pictures}, {size}")
        for notice in record["notices"]:
            self._say(notice)

    def _show_step(self, record: Step) -> None:
        numbers = {**record["loss"], "lr": record["lr"], "grad": record["grad_norm"]}
        shown = "  ".join(f"{name} {format_number(value)}" for name, value in numbers.items())
        self.losses = Text(f"{shown}  {record['samples_per_s']:.2f} samples/s")
        if record["waiting"] >= WAITING:
            self.losses.append(f"  waits for data {record['waiting']:.0%}", "yellow")
        if record["skipped"]:
            self.losses.append(f"  {record['skipped']} skipped", "yellow")
        self.bar.update(self.task, completed=record["step"])
        self._line(f"{self.name} step {record['step']}/{self.steps} epoch {record['epoch']}  {self.losses}")

    def _show_progress(self, task: TaskID, record: Caching | Testing) -> None:
        self.bar.update(task, total=record["of"], completed=record["done"], visible=record["done"] < record["of"])

    def _show_test(self, record: Tested) -> None:
        self.tests.append(record)
        self.best = record if record["best"] else self.best
        best = "  best" if record["best"] else ""
        over = f"  over {record['pictures']} of {self.pictures} pictures" if record["failed"] else ""
        self._line(f"{self.name} test at step {record['step']}  {_scores_line(record)}{over}{best}")
        for message in record["failed"]:
            self._say(f"not scored: {message}", style="yellow")

    def _tests_table(self, rows: int) -> Table:
        """Return the scores of the initial weights and of the last tests, at most `rows` of them."""
        table = Table("step", "SAD", "MSE", "", title=f"{self.name}: last tests")
        if self.began:
            table.add_row("began", *_scores(self.began), "")
        for record in list(self.tests)[-rows:]:
            table.add_row(f"{record['step']:,}", *_scores(record), "[green]best[/]" if record is self.best else "")
        return table

    def _render(self) -> Group:
        # The table leaves room for the bar: what exceeds the terminal's height is cut off.
        rows = max(1, self.console.height - 13)
        tests: list[RenderableType] = [self._tests_table(rows)] if self.began or self.tests else []
        return Group(*tests, self.losses, self.bar)
