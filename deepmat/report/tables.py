"""Scores as tables on the screen and as CSV."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from deepmat.runtime.files import write_text
from deepmat.scoring.metrics import METRICS, REGIONS
from deepmat.scoring.records import Comparison, Mean, Means, Scores, Summary, SweepPoint, format_score, score_of, title

FEW = 5
"""Up to so many foregrounds a comparison is shown with a warning."""


def _right(table: Table, names: int = 1) -> Table:
    """The table with numbers aligned right and never cut. The first columns hold names, which wrap if necessary."""
    for number, column in enumerate(table.columns):
        if number < names:
            column.overflow = "fold"
        else:
            column.justify, column.no_wrap = "right", True
    return table


def scores_table(records: Sequence[Scores], means: Mapping[str, float]) -> Table:
    """One row per picture, with the means below. Pictures without scores are left out."""
    scored = [record for record in records if "error" not in record]
    timed = ["seconds"] if any("seconds" in record for record in scored) else []
    table = Table("picture", "size", *map(title, means), *timed, show_footer=True)
    for record in scored:
        scores = [format_score(name, score_of(record, name)) for name in means]
        size = f"{record['width']}x{record['height']}"
        times = [f"{record['seconds']:.2f}" if "seconds" in record else "" for _ in timed]
        table.add_row(Text(record["name"]), size, *scores, *times)
    footers = [f"mean of {len(scored)}", "", *(format_score(name, value) for name, value in means.items())]
    for column, footer in zip(table.columns, footers, strict=False):
        column.footer = footer
    return _right(table)


def protocols_table(means: Sequence[Means], metrics: Sequence[str]) -> Table:
    """Two lines per protocol of each run: its means, and their differences from those of the first protocol."""
    several = len({each["run"] for each in means}) > 1
    table = Table("protocol", *(["run"] if several else []), *map(title, metrics))
    first: dict[str, Mapping[str, Mean]] = {}
    for each in means:
        base = first.setdefault(each["run"], each["mean"])
        cells = []
        for name in metrics:
            value, difference = each["mean"][name]["mean"], each["mean"][name]["mean"] - base[name]["mean"]
            below = "" if base is each["mean"] else f"\n{_signed(name, difference)}"
            cells.append(format_score(name, value) + below)
        table.add_row(each["protocol"], *([Text(each["run"])] if several else []), *cells)
    return _right(table, 2 if several else 1)


def _signed(name: str, value: float) -> str:
    text = format_score(name, abs(value))
    return "=" if not float(text) else f"{'+' if value > 0 else '-'}{text}"


def runs_table(means: Sequence[Means], metrics: Sequence[str]) -> Table:
    """One row per metric and run: the mean and its interval."""
    table = Table("", "run", "mean", "95 %", "pictures")
    for metric in metrics:
        for each in means:
            mean = each["mean"][metric]
            numbers = format_score(metric, mean["mean"]), _interval(metric, mean), str(each["pictures"])
            table.add_row(title(metric), Text(each["run"]), *numbers, end_section=each is means[-1])
    return _right(table, 2)


def differences_table(comparisons: Sequence[Comparison], metrics: Sequence[str]) -> Table:
    """One row per metric and run but the first: the difference from the first run, and pictures lower and higher."""
    table = Table("", "run - first", "difference", "95 %", "p", "lower", "higher")
    for metric in metrics:
        for each in (each for each in comparisons if each["metric"] == metric):
            numbers = _signed(metric, each["difference"]), _interval(metric, each), f"{each['p']:.2g}"
            runs = Text(f"{each['run']} - {each['against']}")
            table.add_row(title(metric), runs, *numbers, str(each["better"]), str(each["worse"]))
        table.add_section()
    return _right(table, 2)


def _interval(metric: str, of: Mean | Comparison) -> str:
    return f"{format_score(metric, of['low'])}, {format_score(metric, of['high'])}"


def regions_table(means: Sequence[Means], metrics: Sequence[str], regions: Sequence[str]) -> Table:
    """One row per region of each run and protocol."""
    table = Table("run", "protocol", "region", *map(title, metrics))
    for each in means:
        for region in regions:
            scores = [format_score(name, each["mean"][f"{name}_{region}"]["mean"]) for name in metrics]
            table.add_row(Text(each["run"]), each["protocol"], region, *scores, end_section=region == regions[-1])
    return _right(table, 3)


def curves_table(points: Sequence[SweepPoint], metrics: Sequence[str]) -> Table:
    """One row per level of each axis of a sweep."""
    table = Table("axis", "level", *map(title, metrics))
    for point in points:
        level = "" if point["level"] is None else str(point["level"])
        table.add_row(
            point["axis"] or "unchanged", level, *(format_score(name, score_of(point, name)) for name in metrics)
        )
    return _right(table)


def summary_tables(summary: Summary) -> Iterator[Table | str]:
    """The summary of an evaluation as tables and lines.

    A table of pictures for one run by one protocol, of runs or protocols where there are several, of regions where they
    were scored; then what the scores are and whether they compare with published ones. Nothing without scores.
    """
    means = summary["means"]
    if not means:
        return
    metrics = tuple(METRICS)
    protocols = list(dict.fromkeys(each["protocol"] for each in means))
    firsts = [each for each in means if each["protocol"] == protocols[0]]
    if len(means) == 1:
        yield scores_table(summary["pictures"], {name: means[0]["mean"][name]["mean"] for name in metrics})
    if len(firsts) > 1:
        yield runs_table(firsts, metrics)
        yield differences_table(summary["comparisons"], metrics)
        if (number := means[0]["foregrounds"]) <= FEW:
            yield f"of {number} foregrounds or pictures, p is {2 ** (1 - number):.2g} at least, and intervals are rough"
    if len(protocols) > 1:
        yield protocols_table(means, metrics)
    if len(summary["metrics"]) > len(metrics):
        yield regions_table(means, metrics, tuple(REGIONS))
    yield from _lines(summary, protocols)


def _lines(summary: Summary, protocols: Sequence[str]) -> Iterator[str]:
    """What the scores are, and whether they compare with published ones."""
    settings = summary["settings"]
    chosen = {"protocol": ", ".join(protocols), "compositor": settings["compositor"], "trimaps": settings["trimaps"]}
    chosen |= {key: settings[key] for key in ("mode", "fit", "max_size", "precision") if key in settings}
    yield ", ".join(f"{key.replace('_', '-')} {value}" for key, value in chosen.items())
    yield f"checksum {settings['checksum']} of {summary['means'][0]['pictures']} pictures"
    verdict = "comparable to published Composition-1k"
    yield f"{'' if summary['comparable'] else 'not '}{verdict}: {'; '.join(summary['remarks'])}"


def write_csv(path: Path, records: Iterable[Mapping[str, object]], columns: Sequence[str]) -> None:
    """Write the named columns of the records as CSV. A value that a record lacks stays empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    write_text(path, text.getvalue())
