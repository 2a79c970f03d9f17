"""Records as tables on the screen, as CSV and as JSON."""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from deepmat.files import write_text

TITLES = {"sad": "SAD", "mse": "MSE", "grad": "Grad", "conn": "Conn", "mad": "MAD"}


def format_score(name: str, value: float) -> str:
    return f"{value:.5f}" if name.startswith(("mse", "mad")) else f"{value:.3f}"


def _right(table: Table) -> Table:
    """Numbers to the right; names are not cut, however narrow it gets."""
    table.columns[0].overflow, table.columns[0].no_wrap = "fold", True
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def scores_table(records: Sequence[Mapping[str, Any]], means: Mapping[str, float]) -> Table:
    """One row per picture and the means below them; failed pictures are left out."""
    scored = [record for record in records if "error" not in record]
    timed = ["seconds"] if any("seconds" in record for record in scored) else []
    table = Table("picture", "size", *(TITLES.get(name, name) for name in means), *timed, show_footer=True)
    for record in scored:
        scores = [format_score(name, record[name]) for name in means]
        size = f"{record['width']}x{record['height']}"
        table.add_row(record["name"], size, *scores, *(f"{record[name]:.2f}" for name in timed))
    footers = [f"mean of {len(scored)}", "", *(format_score(name, value) for name, value in means.items()), *timed]
    for column, footer in zip(table.columns, footers, strict=True):
        column.footer = footer if footer != "seconds" else ""
    return _right(table)


def protocols_table(means: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Table:
    """One row per protocol of each run: its means and, below the first, how far they are from it."""
    several = len({each["run"] for each in means}) > 1
    table = Table("protocol", *(["run"] if several else []), *(TITLES.get(name, name) for name in metrics))
    first: dict[str, Mapping[str, Any]] = {}
    for each in means:
        base = first.setdefault(each["run"], each["mean"])
        cells = []
        for name in metrics:
            value, apart = each["mean"][name]["mean"], each["mean"][name]["mean"] - base[name]["mean"]
            told = "" if base is each["mean"] else f"  {_signed(name, apart)}"
            cells.append(format_score(name, value) + told)
        table.add_row(each["protocol"], *([each["run"]] if several else []), *cells)
    return _right(table)


def _signed(name: str, value: float) -> str:
    text = format_score(name, abs(value))
    return "=" if not float(text) else f"{'+' if value > 0 else '-'}{text}"


def runs_table(means: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Table:
    """One row per run: each mean with its interval."""
    table = Table("run", "pictures", *(TITLES.get(name, name) for name in metrics))
    for each in means:
        cells = []
        for name in metrics:
            value, low, high = (format_score(name, each["mean"][name][key]) for key in ("mean", "low", "high"))
            cells.append(f"{value} [{low}, {high}]")
        table.add_row(each["run"], str(each["pictures"]), *cells)
    return _right(table)


def regions_table(means: Mapping[str, float], metrics: Sequence[str], regions: Sequence[str]) -> Table:
    """One row per region; means: by name of metric and region, "sad_fine"."""
    table = Table("region", *(TITLES.get(name, name) for name in metrics))
    for region in regions:
        table.add_row(region, *(format_score(name, means[f"{name}_{region}"]) for name in metrics))
    return _right(table)


def curves_table(points: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Table:
    """One row per level of each axis."""
    table = Table("axis", "level", *(TITLES.get(name, name) for name in metrics))
    for point in points:
        level = "" if point["level"] is None else str(point["level"])
        table.add_row(point["axis"] or "as it is", level, *(format_score(name, point[name]) for name in metrics))
    return _right(table)


def compared(comparisons: Sequence[Mapping[str, Any]], metric: str) -> list[str]:
    """In words, how each run differs from the first by a metric."""
    lines = []
    for each in comparisons:
        if each["metric"] == metric:
            apart, low, high = (format_score(metric, each[key]) for key in ("difference", "low", "high"))
            lines.append(
                f"{each['run']} - {each['against']}: {TITLES.get(metric, metric)} {apart} [{low}, {high}], "
                f"p = {each['p']:.2g}, lower on {each['better']} of {each['pictures']}, higher on {each['worse']}"
            )
    return lines


def summary_tables(summary: Mapping[str, Any], metrics: Sequence[str], regions: Sequence[str]) -> Iterator[Table | str]:
    """What `evaluation.Results.summary` holds: of pictures for one run, of runs or protocols where there are several.

    Then of regions where they were scored, and in words of what the scores are and whether they compare.
    """
    means = summary["means"]
    if not means:
        return
    first = {name: each["mean"] for name, each in means[0]["mean"].items()}
    protocol = means[0]["protocol"]
    if len(means) == 1:
        yield scores_table(summary["pictures"], {name: first[name] for name in metrics})
    elif all(each["protocol"] == protocol for each in means):
        yield runs_table(means, metrics)
        yield from compared(summary["comparisons"], "sad")
    else:
        yield protocols_table(means, metrics)
    if len(summary["metrics"]) > len(metrics):
        scores = {f"{name}_unknown": first[name] for name in metrics} | first
        yield regions_table(scores, metrics, regions)
    told = ("protocol", "compositor", "trimaps", "mode", "fit", "max_size", "precision", "checksum")
    settings = summary["settings"]
    yield ", ".join(f"{key.replace('_', '-')} {settings[key]}" for key in told if key in settings)
    verdict = "comparable to published Composition-1k"
    yield f"{'' if summary['comparable'] else 'not '}{verdict}: {'; '.join(summary['remarks'])}"


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
