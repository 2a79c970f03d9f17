"""Show records: tables, CSV, curves, a page, the display of a training run, the list of runs."""

from deepmat.report.curves import draw_curves, draw_runs, require_plots
from deepmat.report.history import History
from deepmat.report.page import Page
from deepmat.report.runs import list_runs, runs_table
from deepmat.report.tables import curves_table, scores_table, summary_tables, write_csv
from deepmat.report.training import TrainingDisplay
from deepmat.scoring.records import format_score

__all__ = [
    "History",
    "Page",
    "TrainingDisplay",
    "curves_table",
    "draw_curves",
    "draw_runs",
    "format_score",
    "list_runs",
    "require_plots",
    "runs_table",
    "scores_table",
    "summary_tables",
    "write_csv",
]
