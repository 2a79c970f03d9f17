"""`deepmat.list_runs`: compare training runs by their logs."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from deepmat.errors import ConfigError, DataError
from deepmat.report.curves import draw_runs, require_plots
from deepmat.report.history import History, RunSummary, read_run
from deepmat.report.records import LOG
from deepmat.report.training import format_number
from deepmat.runtime.files import AnyPath, as_path_or_none, as_paths, real
from deepmat.runtime.paths import is_file, is_folder, is_there
from deepmat.scoring.records import format_score

BEST = "best\nSAD"


@dataclass(frozen=True)
class Runs:
    """Training runs, sorted by name within each folder given."""

    histories: list[History]
    failures: dict[str, str]
    """Folders that cannot be read, and why."""

    @property
    def summaries(self) -> list[RunSummary]:
        """The runs in numbers, as `deepmat runs --json` prints them."""
        return [history.summary for history in self.histories]


def list_runs(folders: AnyPath | Iterable[AnyPath] = ("runs",), out: AnyPath | None = None) -> Runs:
    """Read the logs of training runs: what `deepmat runs` does. Runs in progress are read too.

    folders: run folders, or folders that contain some. out: a .png, for curves of losses and test scores.

    Raises ConfigError for another name or without Matplotlib. A folder that cannot be read is listed in `failures`.
    """
    given, out = as_paths(folders, "folders"), as_path_or_none(out, "out")
    if out:
        if out.suffix.lower() != ".png":
            raise ConfigError(f"-o {out}: curves are drawn as .png; choose such a name")
        require_plots()
    failures: dict[str, str] = {}
    found: list[Path] = []
    for folder in given:
        try:
            found += _find(folder)
        except DataError as error:
            failures[str(folder)] = str(error)
    histories = []
    for folder, name in _names(found).items():
        try:
            histories.append(read_run(folder, name))
        except DataError as error:
            failures[str(folder)] = str(error)
    if out and histories:
        draw_runs(out, histories)
    return Runs(histories, failures)


def _sort_key(name: str) -> list[str | int]:
    """Sort run2 before run10."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split("([0-9]+)", name))]


def _find(folder: Path) -> list[Path]:
    """Return `folder` if it is a run, else the runs in it by name. Raises DataError if there is none."""
    if is_file(folder / LOG):
        return [folder]
    if not is_folder(folder):
        raise DataError(f"{folder}: {'is not a folder' if is_there(folder) else 'no such folder'}; name a run's folder")
    runs = sorted((log.parent for log in folder.glob(f"*/{LOG}")), key=lambda run: _sort_key(run.name))
    if not runs:
        raise DataError(f"{folder}: no run in it; expected {LOG}, as `deepmat train` writes it, or folders with one")
    return runs


def _names(folders: Iterable[Path]) -> dict[Path, str]:
    """Return each folder once, with its name, or its path if another one has the same name."""
    unique: dict[Path, Path] = {}
    for folder in folders:
        unique.setdefault(real(folder), folder)
    names = Counter(place.name for place in unique)
    return {folder: place.name if names[place.name] == 1 else str(folder) for place, folder in unique.items()}


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def _cells(run: RunSummary) -> Iterator[tuple[str, str]]:
    """Yield title and text of each cell in a run's row."""

    def score(metric: str, value: float | None) -> str:
        return "" if value is None else format_score(metric, value)

    yield "run", run["run"]
    yield "state", run["state"] + (f", {_age(run['age'])}" if run["state"] == "unfinished" else "")
    yield "step", f"{run['step']}/{'?' if run['steps'] is None else run['steps']}"
    yield BEST, score("sad", run["best_sad"])
    yield "at\nstep", "" if run["best_step"] is None else str(run["best_step"])
    yield "MSE", score("mse", run["best_mse"])
    yield "began\nSAD", score("sad", run["began_sad"])
    yield "loss", "" if run["loss"] is None else format_number(run["loss"])
    yield "samples\n/s", "" if run["samples_per_s"] is None else f"{run['samples_per_s']:.2f}"
    yield "skipped", str(run["skipped"]) if run["skipped"] else ""


def runs_table(runs: Sequence[RunSummary]) -> Table:
    """Return a table with a row per run; columns that are empty for all runs are left out."""
    rows = [dict(_cells(run)) for run in runs]
    lowest = min((run["best_sad"] for run in runs if run["best_sad"] is not None), default=None)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    shown = [name for name in rows[0] if any(row[name] for row in rows)]
    for name in shown:
        words = [word for text in (name, *(row[name] for row in rows)) for word in text.split()]
        # In a narrow terminal only the names are folded.
        table.add_column(name, overflow="fold", min_width=8 if name == "run" else max(map(len, words)))
        table.columns[-1].justify = "left" if name in ("run", "state") else "right"
    for run, row in zip(runs, rows, strict=True):
        best = len(runs) > 1 and lowest is not None and run["best_sad"] == lowest
        table.add_row(*(Text(row[name], "green" if best and name == BEST else "") for name in shown))
    return table
