"""Curves over an axis, drawn by Matplotlib (`pip install 'deepmat[plots]'`)."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepmat.errors import ConfigError
from deepmat.files import write_bytes
from deepmat.report.tables import title

AXIS_TITLES = {"trimap": "unknown within, pixels", "jpeg": "JPEG quality", "noise": "noise, standard deviation of 255"}


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
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=150)
    write_bytes(path, drawn.getvalue())
