"""Curves over an axis, drawn by Matplotlib (`pip install 'deepmat[plots]'`)."""

import io
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmat.errors import ConfigError
from deepmat.report.history import History
from deepmat.report.tables import format_score, title
from deepmat.runtime.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AXIS_TITLES = {"trimap": "unknown within, pixels", "jpeg": "JPEG quality", "noise": "noise, standard deviation of 255"}
SPARSE, DECADES = 40, 20
"""Up to how many points a curve shows each; from which ratio on an axis is logarithmic."""


def require_plots() -> None:
    """ConfigError, which says what installs it, where Matplotlib is not there."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ConfigError("drawing curves needs Matplotlib: pip install 'deepmat[plots]'") from error


def draw_curves(path: Path, points: Sequence[Mapping[str, Any]], metric: str, caption: str) -> None:
    """A picture of a metric over the level of each axis, and of what it is with pictures as they are.

    points: as `robustness.curves` gives them. ConfigError without Matplotlib.
    """
    require_plots()
    from matplotlib.figure import Figure

    plain = next((point[metric] for point in points if point["axis"] is None), None)
    axes = list(dict.fromkeys(point["axis"] for point in points if point["axis"]))
    figure = Figure(figsize=(4.2 * len(axes), 3.4), layout="constrained")
    for panel, axis in zip(figure.subplots(1, len(axes), sharey=True, squeeze=False)[0], axes, strict=True):
        levels, values = zip(*((each["level"], each[metric]) for each in points if each["axis"] == axis), strict=True)
        panel.plot(levels, values, marker="o", color="#0b6e8a")
        for level, value in zip(levels, values, strict=True):
            panel.annotate(f"{value:.3g}", (level, value), (0, 6), textcoords="offset points", ha="center", fontsize=8)
        if plain is not None:
            panel.axhline(plain, color="#888888", linestyle="--", linewidth=1, label="as it is")
        if axis == "jpeg":
            panel.invert_xaxis()  # harder to the right, as on the other axes
        else:
            panel.set_xscale("log")
            panel.set_xticks(levels, [str(level) for level in levels])
            panel.minorticks_off()
        panel.set_xlabel(AXIS_TITLES[axis])
        panel.set_ylim(bottom=0)
        panel.margins(y=0.15)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(axis="y", color="#dddddd", linewidth=0.6)
    figure.axes[0].set_ylabel(title(metric))
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.suptitle(caption, fontsize=10)
    _write(path, figure)


def _write(path: Path, figure: "Figure") -> None:
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a name in a script that the font lacks
        figure.savefig(drawn, format="png", dpi=150)
    write_bytes(path, drawn.getvalue())


def _smooth(values: np.ndarray) -> np.ndarray:
    """The mean over a fortieth of the curve around each value, float64 [N]; NaN where nothing around is known."""
    width = 2 * (len(values) // 80) + 1
    known = np.isfinite(values)
    sums = np.convolve(np.where(known, values, 0), np.ones(width), "same")
    counts = np.convolve(known, np.ones(width), "same")
    return np.where(counts > 0.5, sums / np.maximum(counts, 1), np.nan)


def _is_wide(curves: Iterable[np.ndarray]) -> bool:
    """Whether values (rows of place and value) span decades, so that their axis is better logarithmic."""
    values = np.concatenate([curve[:, 1] for curve in curves])
    positive = values[np.isfinite(values) & (values > 0)]
    return len(positive) > 0 and positive.max() > DECADES * positive.min()


def _dots(curve: np.ndarray) -> dict[str, Any]:
    """Few points are shown each; a line through one alone would not be seen."""
    return {"marker": "o", "markersize": 3} if np.isfinite(curve[:, 1]).sum() <= SPARSE else {}


def draw_runs(path: Path, runs: Sequence[History]) -> None:
    """A picture of the losses of runs, as they are and smoothed, and of their test scores, the best marked.

    Over steps, or over samples where a step of one run has more than one of another. ConfigError without Matplotlib.
    """
    require_plots()
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import EngFormatter, MaxNLocator

    batches = [run.summary["batch"] for run in runs]
    by_samples = len(set(batches)) > 1 and all(isinstance(batch, int) for batch in batches)
    scales = [(batch if by_samples else 1, 1) for batch in batches]
    losses, tests = (
        [np.array(curve, np.float64).reshape(-1, 2) * scale for curve, scale in zip(curves, scales, strict=True)]
        for curves in ([run.losses for run in runs], [run.tests for run in runs])
    )
    places = np.linspace(0.05, 0.95, len(runs))
    colours = colormaps["tab10"](np.arange(len(runs))) if len(runs) <= 10 else colormaps["turbo"](places)
    faint = 0.25 if len(runs) <= 4 else 0.1
    labels, handles = [], [Line2D([], [], color=colour, linewidth=2) for colour in colours]
    names = [run.summary["run"][-100:] for run in runs]
    columns = min(4, max(1, 140 // (26 + max(map(len, names)))))
    figure = Figure(figsize=(11, 4.2 + 0.2 * math.ceil(len(runs) / columns)), layout="constrained")
    left, right = figure.subplots(1, 2)
    wide = _is_wide(losses)
    for run, label, colour, loss, test, (scale, _) in zip(runs, names, colours, losses, tests, scales, strict=True):
        if len(loss) > SPARSE:
            left.plot(*loss.T, color=colour, alpha=faint, linewidth=0.7)
        if len(loss):
            with np.errstate(divide="ignore", invalid="ignore"):
                smooth = np.exp(_smooth(np.log(loss[:, 1]))) if wide else _smooth(loss[:, 1])
            left.plot(loss[:, 0], smooth, color=colour, linewidth=1.5, **_dots(loss))
        right.plot(*test.T, color=colour, linewidth=1.5, **_dots(test))
        best = run.summary["best_sad"]
        if best is not None:
            place = run.summary["best_step"] * scale, best
            right.plot(*place, marker="*", markersize=14, color=colour, markeredgecolor="white", zorder=3)
            label += f": best SAD {format_score('sad', best)}"
        labels.append(label)
    end = max((curve[:, 0].max() for curve in [*losses, *tests] if len(curve)), default=0) or 1
    for panel, name, curves in ((left, "loss", losses), (right, "SAD on the test pictures", tests)):
        if _is_wide(curves):
            panel.set_yscale("log")
        if not any(np.isfinite(curve[:, 1]).any() for curve in curves):
            panel.text(0.5, 0.5, "none", transform=panel.transAxes, ha="center", color="#888888")
            panel.set_yticks([])
        panel.set_title(name, fontsize=10)
        panel.set_xlabel("samples" if by_samples else "steps")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.xaxis.set_major_formatter(EngFormatter(sep=""))
        panel.set_xlim(-0.02 * end, 1.02 * end)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(axis="y", color="#dddddd", linewidth=0.6)
    # A label that begins with _ would be left out.
    shown = [f" {label}" for label in labels]
    legend = figure.legend(handles, shown, loc="outside lower left", ncols=columns, frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)
    _write(path, figure)
