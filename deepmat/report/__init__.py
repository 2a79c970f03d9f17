"""Records -> what people look at: tables, CSV, curves, sheets of pictures, a page, the display of a training run."""

from deepmat.report.curves import draw_curves, require_plots
from deepmat.report.page import Page
from deepmat.report.sheets import SCORED_TITLES, sheet
from deepmat.report.tables import (
    compared,
    curves_table,
    format_score,
    protocols_table,
    regions_table,
    runs_table,
    scores_table,
    to_json,
    write_csv,
)
from deepmat.report.training import TrainingDisplay

__all__ = [
    "SCORED_TITLES",
    "Page",
    "TrainingDisplay",
    "compared",
    "curves_table",
    "draw_curves",
    "format_score",
    "protocols_table",
    "regions_table",
    "require_plots",
    "runs_table",
    "scores_table",
    "sheet",
    "to_json",
    "write_csv",
]
