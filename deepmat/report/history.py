"""Read the logs of training runs."""

import json
import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from deepmat.errors import DataError
from deepmat.report.records import LOG

BROKEN = "is no record of a training run; mend or remove the file"


class RunSummary(TypedDict):
    """A training run in numbers; None where its log does not say."""

    run: str
    """Its name."""
    folder: str
    state: str
    """finished, stopped, or unfinished: running or interrupted."""
    age: float
    """Seconds since the last record."""
    step: int
    steps: int | None
    device: str | None
    precision: str | None
    processes: int | None
    batch: int | None
    parameters: int | None
    pictures: int | None
    began_sad: float | None
    """SAD of the initial weights."""
    best_sad: float | None
    best_step: int | None
    best_mse: float | None
    loss: float | None
    """The last total loss."""
    samples_per_s: float | None
    """The median."""
    skipped: int | None


@dataclass
class History:
    """A run as its log describes it. Numbers that were not finite are NaN."""

    summary: RunSummary
    losses: list[tuple[int, float]]
    """Step and total loss of each step record."""
    tests: list[tuple[int, float]]
    """Step and SAD of the initial weights and of each test."""


class _Steps(TypedDict):
    loss: float
    samples_per_s: float
    skipped: int | None


class _Scores(TypedDict):
    step: int
    sad: float
    mse: float


@dataclass
class _Log:
    """What is read of a log, record by record."""

    start: dict[str, Any] = field(default_factory=dict)
    began: _Scores | None = None
    steps: dict[int, _Steps] = field(default_factory=dict)
    tests: dict[int, _Scores] = field(default_factory=dict)
    step: int = 0
    state: str = "unfinished"

    def add(self, record: dict[str, Any]) -> None:
        """Take in a record. Raises KeyError, TypeError, ValueError or OverflowError for one that is broken."""
        event = record["event"]
        self.step = int(record.get("step", self.step))
        if event == "start":
            self._begin(record)
        elif event == "step":
            self.steps[self.step] = {
                "loss": _value(record["loss"]["total"]),
                "samples_per_s": _value(record["samples_per_s"]),
                "skipped": int(record["skipped"]) if "skipped" in record else None,
            }
        elif event == "test":
            self.tests[self.step] = self._scores(record)
        elif event == "began":
            self.began = self._scores(record)
        elif event in ("end", "stopped"):
            self.state = "finished" if event == "end" else event

    def _begin(self, record: dict[str, Any]) -> None:
        """Forget what a run that continues from this step repeats; at step 0, another run of the name."""
        self.start, self.state = record, "unfinished"
        self.began = self.began if self.step else None
        self.steps = {at: each for at, each in self.steps.items() if at <= self.step and self.step}
        self.tests = {at: each for at, each in self.tests.items() if at <= self.step and self.step}

    def _scores(self, record: dict[str, Any]) -> _Scores:
        return {"step": self.step, "sad": _value(record["sad"]), "mse": _value(record["mse"])}


def _value(number: float | None) -> float:
    """Return a number of a log, in which those that are not finite are null."""
    return math.nan if number is None else float(number)


def _records(log: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line numbers and records of a log. Raises DataError if it cannot be read.

    A kill can cut a line short: the last one, or the last one before a new start.
    """
    try:
        lines = log.read_bytes().splitlines()
    except OSError as error:
        raise DataError(f"{log}: cannot be read ({error.strerror or error}); check the path") from error
    cut = 0
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            begins = record["event"] == "start"
        except (ValueError, TypeError, KeyError):
            cut = cut or number
            continue
        if cut and not begins:
            raise DataError(f"{log}: line {cut} {BROKEN}")
        cut = 0
        yield number, record


def read_run(folder: Path, name: str) -> History:
    """Read the log of a run. Raises DataError if it is broken, empty or of another command.

    A run that continues from a saved step repeats the later ones; only their last records count.
    """
    path = folder / LOG
    log = _Log()
    for number, record in _records(path):
        try:
            log.add(record)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{path}: line {number} {BROKEN}") from error
    if not log.start:
        raise DataError(f"{path}: has no start of a training run; remove the file or name another folder")
    losses = [(at, log.steps[at]["loss"]) for at in sorted(log.steps)]
    began = [log.began] if log.began else []
    tests = [(each["step"], each["sad"]) for each in (*began, *log.tests.values())]
    return History(_summary(log, path, name), losses, tests)


def _summary(log: _Log, path: Path, name: str) -> RunSummary:
    scored = [each for each in log.tests.values() if math.isfinite(each["sad"])]
    best = min(scored, key=lambda each: each["sad"], default=None)
    last = log.steps[max(log.steps)] if log.steps else None
    speeds = [each["samples_per_s"] for each in log.steps.values() if math.isfinite(each["samples_per_s"])]
    return {
        "run": name,
        "folder": str(path.parent),
        "state": log.state,
        "age": max(0.0, time.time() - path.stat().st_mtime),
        "step": log.step,
        "steps": log.start.get("steps"),
        "device": log.start.get("device"),
        "precision": log.start.get("precision"),
        "processes": log.start.get("processes"),
        "batch": log.start.get("batch"),
        "parameters": log.start.get("parameters"),
        "pictures": log.start.get("pictures"),
        "began_sad": log.began["sad"] if log.began else None,
        "best_sad": best["sad"] if best else None,
        "best_step": best["step"] if best else None,
        "best_mse": best["mse"] if best else None,
        "loss": last["loss"] if last else None,
        "samples_per_s": statistics.median(speeds) if speeds else None,
        "skipped": last["skipped"] if last else None,
    }
