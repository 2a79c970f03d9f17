"""What the log of a training run says: how far it came, its scores, its curves. Runs beside one another."""

import json
import math
import re
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from deepmat.errors import DataError
from deepmat.report.tables import format_score
from deepmat.report.training import LOG, format_number
from deepmat.runtime.files import real

BROKEN = "is no record of a training run; mend or remove the file"
BEST = "best\nSAD"


@dataclass
class History:
    """A run as its log tells it.

    summary: {"run" (its name), "folder", "state" ("finished", "stopped", or "unfinished": running or interrupted),
    "age" (seconds since the last record), "step", "steps", "device", "precision", "processes", "batch",
    "parameters", "pictures", "began_sad", "best_sad", "best_step", "best_mse", "loss" (the last total),
    "samples_per_s" (the median), "skipped"}, None where the log does not say.
    losses: step and total loss of each step record; tests: step and SAD of each test, with what the run began with.
    Numbers that were not finite are NaN.
    """

    summary: dict[str, Any]
    losses: list[tuple[int, float]]
    tests: list[tuple[int, float]]


def _in_order(name: str) -> list[str | int]:
    """run2 comes before run10."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split("([0-9]+)", name))]


def find_runs(folder: Path) -> list[Path]:
    """The run folders that `folder` is or has in it, by name. DataError if there is none."""
    if (folder / LOG).is_file():
        return [folder]
    if not folder.is_dir():
        raise DataError(f"{folder}: {'is not a folder' if folder.exists() else 'no such folder'}; name a run's folder")
    runs = sorted((log.parent for log in folder.glob(f"*/{LOG}")), key=lambda run: _in_order(run.name))
    if not runs:
        raise DataError(f"{folder}: no run in it; expected {LOG}, as `deepmat train` writes it, or folders with one")
    return runs


def name_runs(folders: Iterable[Path]) -> dict[Path, str]:
    """Each folder once, and its name; its path where another one has the same name."""
    unique: dict[Path, Path] = {}
    for folder in folders:
        unique.setdefault(real(folder), folder)
    names = Counter(place.name for place in unique)
    return {folder: place.name if names[place.name] == 1 else str(folder) for place, folder in unique.items()}


def _records(log: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbers and records of a log's lines. DataError if it cannot be read.

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


def _value(number: float | None) -> float:
    """JSON has no numbers that are not finite: they are null."""
    return math.nan if number is None else float(number)


def read_run(folder: Path, name: str) -> History:
    """What the log of a run tells. DataError, which names it, if it is broken, empty or of another command.

    A run that goes on from step s takes the steps after it again: what was logged of them before is left out.
    """
    log = folder / LOG
    start: dict[str, Any] = {}
    began: dict[str, Any] = {}
    steps: dict[int, dict[str, Any]] = {}
    tests: dict[int, dict[str, Any]] = {}
    step, state = 0, "unfinished"
    for number, record in _records(log):
        try:
            event = record["event"]
            step = int(record.get("step", step))
            if event == "start":
                start, state = record, "unfinished"
                # At step 0 begins another run of the name.
                began = began if step else {}
                steps = {at: each for at, each in steps.items() if at <= step and step}
                tests = {at: each for at, each in tests.items() if at <= step and step}
            elif event == "step":
                steps[step] = {
                    "loss": _value(record["loss"]["total"]),
                    "samples_per_s": _value(record["samples_per_s"]),
                    "skipped": int(record["skipped"]) if "skipped" in record else None,
                }
            elif event in ("test", "began"):
                scores = {"step": step, "sad": _value(record["sad"]), "mse": _value(record["mse"])}
                if event == "test":
                    tests[step] = scores
                else:
                    began = scores
            elif event in ("end", "stopped"):
                state = "finished" if event == "end" else event
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{log}: line {number} {BROKEN}") from error
    if not start:
        raise DataError(f"{log}: has no start of a training run; remove the file or name another folder")
    scored = [each for each in tests.values() if math.isfinite(each["sad"])]
    best = min(scored, key=lambda each: each["sad"], default={})
    last = steps[max(steps)] if steps else {}
    speeds = [each["samples_per_s"] for each in steps.values() if math.isfinite(each["samples_per_s"])]
    asked = ("steps", "device", "precision", "processes", "batch", "parameters", "pictures")
    summary = {
        "run": name,
        "folder": str(folder),
        "state": state,
        "age": max(0.0, time.time() - log.stat().st_mtime),
        "step": step,
        **{key: start.get(key) for key in asked},
        "began_sad": began.get("sad"),
        "best_sad": best.get("sad"),
        "best_step": best.get("step"),
        "best_mse": best.get("mse"),
        "loss": last.get("loss"),
        "samples_per_s": statistics.median(speeds) if speeds else None,
        "skipped": last.get("skipped"),
    }
    losses = [(at, steps[at]["loss"]) for at in sorted(steps)]
    return History(summary, losses, [(each["step"], each["sad"]) for each in [began, *tests.values()] if each])


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def _cells(run: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    def number(key: str, form: str) -> str:
        return "" if run[key] is None else format(run[key], form)

    def score(key: str) -> str:
        return "" if run[key] is None else format_score(key.partition("_")[2], run[key])

    yield "run", run["run"]
    yield "state", run["state"] + (f", {_age(run['age'])}" if run["state"] == "unfinished" else "")
    yield "step", f"{run['step']}/{'?' if run['steps'] is None else run['steps']}"
    yield BEST, score("best_sad")
    yield "at\nstep", number("best_step", "d")
    yield "MSE", score("best_mse")
    yield "began\nSAD", score("began_sad")
    yield "loss", "" if run["loss"] is None else format_number(run["loss"])
    yield "samples\n/s", number("samples_per_s", ".2f")
    yield "skipped", number("skipped", "d") if run["skipped"] else ""


def runs_table(runs: Sequence[History]) -> Table:
    """One row per run; columns that no run fills are left out."""
    rows = [dict(_cells(run.summary)) for run in runs]
    lowest = min((run.summary["best_sad"] for run in runs if run.summary["best_sad"] is not None), default=None)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    shown = [name for name in rows[0] if any(row[name] for row in rows)]
    for name in shown:
        words = [word for text in (name, *(row[name] for row in rows)) for word in text.split()]
        # Where it gets narrow, names give way.
        table.add_column(name, overflow="fold", min_width=8 if name == "run" else max(map(len, words)))
        table.columns[-1].justify = "left" if name in ("run", "state") else "right"
    for run, row in zip(runs, rows, strict=True):
        best = len(runs) > 1 and lowest is not None and run.summary["best_sad"] == lowest
        table.add_row(*(Text(row[name], "green" if best and name == BEST else "") for name in shown))
    return table
