"""Records as tables on the screen, as CSV and as JSON."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from deepmat.files import write_text

TITLES = {"sad": "SAD", "mse": "MSE", "grad": "Grad", "conn": "Conn"}


def format_score(name: str, value: float) -> str:
    return f"{value:.5f}" if name == "mse" else f"{value:.3f}"


def scores_table(records: Sequence[Mapping[str, Any]], means: Mapping[str, float]) -> Table:
    """One row per picture and the means below them; failed pictures are left out."""
    table = Table("picture", "size", *(TITLES.get(name, name) for name in means), "seconds", show_footer=True)
    scored = [record for record in records if "error" not in record]
    for record in scored:
        scores = (format_score(name, record[name]) for name in means)
        size = f"{record['width']}x{record['height']}"
        table.add_row(record["name"], size, *scores, f"{record['seconds']:.2f}")
    footers = [f"mean of {len(scored)}", "", *(format_score(name, value) for name, value in means.items()), ""]
    for column, footer in zip(table.columns, footers, strict=True):
        column.footer = footer
        column.justify = "left" if column is table.columns[0] else "right"
    return table


def write_csv(path: Path, records: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """The named columns of each record as CSV; what a record lacks stays empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    write_text(path, text.getvalue())


def to_json(value: Any) -> str:
    """Strict JSON: numbers that are not finite become null."""

    def finite(item: Any) -> Any:
        if isinstance(item, Mapping):
            return {key: finite(inner) for key, inner in item.items()}
        if isinstance(item, (list, tuple)):
            return [finite(inner) for inner in item]
        return None if isinstance(item, float) and not math.isfinite(item) else item

    return json.dumps(finite(value), indent=None)
