"""Records -> what people look at: tables, CSV, sheets of pictures, a page, the display of a training run."""

from deepmat.report.page import Page
from deepmat.report.sheets import SCORED_TITLES, sheet
from deepmat.report.tables import format_score, scores_table, to_json, write_csv
from deepmat.report.training import TrainingDisplay

__all__ = ["SCORED_TITLES", "Page", "TrainingDisplay", "format_score", "scores_table", "sheet", "to_json", "write_csv"]
