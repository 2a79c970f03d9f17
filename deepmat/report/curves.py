"""Curves of sweeps and of training runs, drawn by Matplotlib (`pip install 'deepmat[plots]'`)."""

import io
import math
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deepmat.errors import ConfigError
from deepmat.report.history import History
from deepmat.runtime.files import write_bytes
from deepmat.scoring.records import SweepPoint, format_score, score_of, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXIS_TITLES = {
    "trimap": "unknown band, pixels on each side",
    "jpeg": "JPEG quality",
    "noise": "noise, standard deviation of 255",
}
SPARSE = 40
"""Up to so many points of a curve are marked."""
DECADES = 20
"""Ratio of values from which on an axis is logarithmic."""


def require_plots() -> None:
    """Raise ConfigError, which says what to install, if Matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ConfigError("drawing curves needs Matplotlib: pip install 'deepmat[plots]'") from error


def draw_curves(path: Path, points: Sequence[SweepPoint], metric: str, caption: str) -> None:
    """Draw a metric over the levels of each axis of a sweep, with its value for unchanged pictures as a line.

    points: as `sweeps.curves` returns them. Raises ConfigError without Matplotlib.
    """
    require_plots()
    from matplotlib.figure import Figure

    unchanged = next((score_of(point, metric) for point in points if point["axis"] is None), None)
    axes = list(dict.fromkeys(point["axis"] for point in points if point["axis"]))
    figure = Figure(figsize=(4.2 * len(axes), 3.4), layout="constrained")
    for panel, axis in zip(figure.subplots(1, len(axes), sharey=True, squeeze=False)[0], axes, strict=True):
        curve = [(each["level"] or 0, score_of(each, metric)) for each in points if each["axis"] == axis]
        _draw_axis(panel, axis, curve, unchanged)
    figure.axes[0].set_ylabel(title(metric))
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.suptitle(caption, fontsize=10)
    _write(path, figure)


def _draw_axis(panel: "Axes", axis: str, curve: Sequence[tuple[int, float]], unchanged: float | None) -> None:
    levels, values = zip(*curve, strict=True)
    panel.plot(levels, values, marker="o", color="#0b6e8a")
    for level, value in curve:
        panel.annotate(f"{value:.3g}", (level, value), (0, 6), textcoords="offset points", ha="center", fontsize=8)
    if unchanged is not None:
        panel.axhline(unchanged, color="#888888", linestyle="--", linewidth=1, label="unchanged")
    if axis == "jpeg":
        panel.invert_xaxis()  # harder to the right, as on the other axes
    else:
        panel.set_xscale("log")
        panel.set_xticks(levels, [str(level) for level in levels])
        panel.minorticks_off()
    panel.set_xlabel(AXIS_TITLES.get(axis, axis))
    panel.set_ylim(bottom=0)
    panel.margins(y=0.15)
    _style(panel)


def _style(panel: "Axes") -> None:
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="y", color="#dddddd", linewidth=0.6)


def _write(path: Path, figure: "Figure") -> None:
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a name in a script that the font lacks
        figure.savefig(drawn, format="png", dpi=150)
    write_bytes(path, drawn.getvalue())


class _Curves(NamedTuple):
    """The curves of one run, float64 [N, 2]: place and value."""

    losses: np.ndarray
    tests: np.ndarray
    best: tuple[float, float] | None
    """Place and SAD of the best test."""


def draw_runs(path: Path, runs: Sequence[History]) -> None:
    """Draw the losses of training runs, raw and smoothed, and their test scores with the best marked.

    Curves are over steps, or over samples where the runs have different batch sizes. Raises ConfigError without
    Matplotlib.
    """
    require_plots()
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    batches = [run.summary["batch"] for run in runs]
    by_samples = len(set(batches)) > 1 and all(isinstance(batch, int) for batch in batches)
    drawn = [_curves(run, batch if by_samples and batch else 1) for run, batch in zip(runs, batches, strict=True)]
    spread = np.linspace(0.05, 0.95, len(runs))
    colours = colormaps["tab10"](np.arange(len(runs))) if len(runs) <= 10 else colormaps["turbo"](spread)
    names = [run.summary["run"][-100:] for run in runs]
    columns = min(4, max(1, 140 // (26 + max(map(len, names)))))
    figure = Figure(figsize=(11, 4.2 + 0.2 * math.ceil(len(runs) / columns)), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_losses(left, [each.losses for each in drawn], colours)
    _draw_tests(right, drawn, colours)
    curves = [curve for each in drawn for curve in (each.losses, each.tests) if len(curve)]
    end = max((curve[:, 0].max() for curve in curves), default=0) or 1
    for panel, name, shown in (
        (left, "loss", [each.losses for each in drawn]),
        (right, "SAD on the test pictures", [each.tests for each in drawn]),
    ):
        _finish_panel(panel, name, shown, "samples" if by_samples else "steps", end)
    _draw_legend(figure, names, drawn, colours, columns)
    _write(path, figure)


def _curves(run: History, scale: int) -> _Curves:
    """The curves of a run. scale: samples per step, or 1."""
    losses, tests = (np.array(curve, np.float64).reshape(-1, 2) * (scale, 1) for curve in (run.losses, run.tests))
    best, step = run.summary["best_sad"], run.summary["best_step"]
    return _Curves(losses, tests, None if best is None or step is None else (step * scale, best))


def _draw_losses(panel: "Axes", curves: Sequence[np.ndarray], colours: np.ndarray) -> None:
    wide = _is_wide(curves)
    for loss, colour in zip(curves, colours, strict=True):
        if len(loss) > SPARSE:
            panel.plot(*loss.T, color=colour, alpha=0.25 if len(curves) <= 4 else 0.1, linewidth=0.7)
        if len(loss):
            with np.errstate(divide="ignore", invalid="ignore"):
                smooth = np.exp(_smooth(np.log(loss[:, 1]))) if wide else _smooth(loss[:, 1])
            panel.plot(loss[:, 0], smooth, color=colour, linewidth=1.5, **_markers(loss))


def _draw_tests(panel: "Axes", runs: Sequence[_Curves], colours: np.ndarray) -> None:
    for run, colour in zip(runs, colours, strict=True):
        panel.plot(*run.tests.T, color=colour, linewidth=1.5, **_markers(run.tests))
        if run.best:
            panel.plot(*run.best, marker="*", markersize=14, color=colour, markeredgecolor="white", zorder=3)


def _smooth(values: np.ndarray) -> np.ndarray:
    """The mean over a fortieth of the curve around each value, float64 [N]; NaN where nothing around is finite."""
    width = 2 * (len(values) // 80) + 1
    known = np.isfinite(values)
    sums = np.convolve(np.where(known, values, 0), np.ones(width), "same")
    counts = np.convolve(known, np.ones(width), "same")
    return np.where(counts > 0.5, sums / np.maximum(counts, 1), np.nan)


def _is_wide(curves: Iterable[np.ndarray]) -> bool:
    """Whether the values span decades, so that a logarithmic axis shows them better."""
    values = np.concatenate([curve[:, 1] for curve in curves])
    positive = values[np.isfinite(values) & (values > 0)]
    return len(positive) > 0 and positive.max() > DECADES * positive.min()


def _markers(curve: np.ndarray) -> dict[str, Any]:
    """Markers for a curve of few points: a line through a single point would not be visible."""
    return {"marker": "o", "markersize": 3} if np.isfinite(curve[:, 1]).sum() <= SPARSE else {}


def _finish_panel(panel: "Axes", name: str, curves: Sequence[np.ndarray], unit: str, end: float) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    if _is_wide(curves):
        panel.set_yscale("log")
    if not any(np.isfinite(curve[:, 1]).any() for curve in curves):
        panel.text(0.5, 0.5, "none", transform=panel.transAxes, ha="center", color="#888888")
        panel.set_yticks([])
    panel.set_title(name, fontsize=10)
    panel.set_xlabel(unit)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.xaxis.set_major_formatter(EngFormatter(sep=""))
    panel.set_xlim(-0.02 * end, 1.02 * end)
    _style(panel)


def _draw_legend(
    figure: "Figure", names: Sequence[str], runs: Sequence[_Curves], colours: np.ndarray, columns: int
) -> None:
    from matplotlib.lines import Line2D

    labels = [
        name + (f": best SAD {format_score('sad', run.best[1])}" if run.best else "")
        for name, run in zip(names, runs, strict=True)
    ]
    handles = [Line2D([], [], color=colour, linewidth=2) for colour in colours]
    # Matplotlib leaves out labels that begin with _.
    shown = [f" {label}" for label in labels]
    legend = figure.legend(handles, shown, loc="outside lower left", ncols=columns, frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)
