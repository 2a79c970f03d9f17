"""Records -> what people look at: tables, CSV, curves, sheets of pictures, a page, the display of a training run."""

from deepmat.report.curves import draw_curves, require_plots
from deepmat.report.page import Page
from deepmat.report.sheets import SCORED_TITLES, sheet
from deepmat.report.tables import (
    curves_table,
    format_score,
    scores_table,
    summary_tables,
    to_json,
    write_csv,
)
from deepmat.report.training import TrainingDisplay

__all__ = [
    "SCORED_TITLES",
    "Page",
    "TrainingDisplay",
    "curves_table",
    "draw_curves",
    "format_score",
    "require_plots",
    "scores_table",
    "sheet",
    "summary_tables",
    "to_json",
    "write_csv",
]
