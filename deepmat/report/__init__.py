"""Records -> what people look at: tables, CSV, curves, a page, the display of a training run."""

from deepmat.report.board import require_tensorboard
from deepmat.report.curves import draw_curves, draw_runs, require_plots
from deepmat.report.history import History, find_runs, name_runs, read_run, runs_table
from deepmat.report.page import Page
from deepmat.report.tables import curves_table, format_score, scores_table, summary_tables, write_csv
from deepmat.report.training import TrainingDisplay

__all__ = [
    "History",
    "Page",
    "TrainingDisplay",
    "curves_table",
    "draw_curves",
    "draw_runs",
    "find_runs",
    "format_score",
    "name_runs",
    "read_run",
    "require_plots",
    "require_tensorboard",
    "runs_table",
    "scores_table",
    "summary_tables",
    "write_csv",
]
