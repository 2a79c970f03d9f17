"""Records -> what people look at: tables, CSV, sheets of pictures, the display of a training run."""

import csv
import io
import json
import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.progress import Progress
from rich.table import Table

from deepmat.files import append_line, write_text

TITLES = {"sad": "SAD", "mse": "MSE", "grad": "Grad", "conn": "Conn"}
SCORED_TITLES = ("image", "trimap", "ground truth", "prediction")


def format_score(name: str, value: float) -> str:
    return f"{value:.5f}" if name == "mse" else f"{value:.3f}"


def scores_table(records: Sequence[Mapping[str, Any]], means: Mapping[str, float]) -> Table:
    """One row per picture and the means below them; failed pictures are left out."""
    table = Table("picture", "size", *(TITLES.get(name, name) for name in means), "seconds", show_footer=True)
    scored = [record for record in records if "error" not in record]
    for record in scored:
        scores = (format_score(name, record[name]) for name in means)
        size = f"{record['width']}x{record['height']}"
        table.add_row(record["name"], size, *scores, f"{record['seconds']:.2f}")
    footers = [f"mean of {len(scored)}", "", *(format_score(name, value) for name, value in means.items()), ""]
    for column, footer in zip(table.columns, footers, strict=True):
        column.footer = footer
        column.justify = "left" if column is table.columns[0] else "right"
    return table


def write_csv(path: Path, records: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """The named columns of each record as CSV; what a record lacks stays empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    write_text(path, text.getvalue())


def to_json(value: Any) -> str:
    """Strict JSON: numbers that are not finite become null."""

    def finite(item: Any) -> Any:
        if isinstance(item, Mapping):
            return {key: finite(inner) for key, inner in item.items()}
        if isinstance(item, (list, tuple)):
            return [finite(inner) for inner in item]
        return None if isinstance(item, float) and not math.isfinite(item) else item

    return json.dumps(finite(value), indent=None)


def _panel(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """The picture as RGB, shrunk or enlarged to fit, on a grey ground of height x width."""
    if pixels.ndim == 2:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    scale = min(height / pixels.shape[0], width / pixels.shape[1])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    panel = np.full((height, width, 3), 90, np.uint8)
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    panel[top : top + small.shape[0], left : left + small.shape[1]] = small
    return panel


def _label(text: str, height: int, width: int) -> np.ndarray:
    strip = np.full((height, width, 3), 32, np.uint8)
    cv2.putText(strip, text, (6, height - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (235, 235, 235), 1, cv2.LINE_AA)
    return strip


def sheet(
    rows: Sequence[tuple[str, Sequence[np.ndarray]]], titles: Sequence[str] = SCORED_TITLES, side: int = 320
) -> np.ndarray:
    """One row of panels per (caption, pictures), each under its caption, all under the titles.

    Pictures: uint8 RGB [H, W, 3] or grey [H, W] of any sizes. Returns uint8 RGB.
    """
    gap = 6
    lines = [[_label(title, 26, side) for title in titles]]
    for caption, pictures in rows:
        lines.append([_label(caption if not column else "", 26, side) for column in range(len(pictures))])
        lines.append([_panel(pixels, side, side) for pixels in pictures])
    spaced = [[np.pad(panel, ((0, 0), (0, gap), (0, 0)), constant_values=32) for panel in line] for line in lines]
    return np.vstack([np.hstack(line) for line in spaced])


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
        if record["event"] not in ("testing", "caching"):
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
