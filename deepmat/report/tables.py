"""Records as tables on the screen, as CSV and as JSON."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from deepmat.runtime.files import write_text

TITLES = {"sad": "SAD", "mse": "MSE", "grad": "Grad", "conn": "Conn", "mad": "MAD"}
FEW = 5
"""Of so few that vary by themselves, little can be said."""


def format_score(name: str, value: float) -> str:
    return f"{value:.5f}" if name.startswith(("mse", "mad")) else f"{value:.3f}"


def title(metric: str) -> str:
    """What people call a score: "SAD", or "SAD, fine" of a region."""
    name, _, region = metric.partition("_")
    return TITLES.get(name, name) + (f", {region}" if region else "")


def _right(table: Table, names: int = 1) -> Table:
    """Numbers to the right, never cut; the first columns hold names, which give way where it gets narrow."""
    for number, column in enumerate(table.columns):
        if number < names:
            column.overflow = "fold"
        else:
            column.justify, column.no_wrap = "right", True
    return table


def scores_table(records: Sequence[Mapping[str, Any]], means: Mapping[str, float]) -> Table:
    """One row per picture and the means below them; failed pictures are left out."""
    scored = [record for record in records if "error" not in record]
    timed = ["seconds"] if any("seconds" in record for record in scored) else []
    table = Table("picture", "size", *map(title, means), *timed, show_footer=True)
    for record in scored:
        scores = [format_score(name, record[name]) for name in means]
        size = f"{record['width']}x{record['height']}"
        times = [f"{record[name]:.2f}" if name in record else "" for name in timed]
        table.add_row(Text(record["name"]), size, *scores, *times)
    footers = [f"mean of {len(scored)}", "", *(format_score(name, value) for name, value in means.items()), *timed]
    for column, footer in zip(table.columns, footers, strict=True):
        column.footer = footer if footer != "seconds" else ""
    return _right(table)


def protocols_table(means: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Table:
    """Two lines per protocol of each run: its means, and how far they are from those of the first one."""
    several = len({each["run"] for each in means}) > 1
    table = Table("protocol", *(["run"] if several else []), *map(title, metrics))
    first: dict[str, Mapping[str, Any]] = {}
    for each in means:
        base = first.setdefault(each["run"], each["mean"])
        cells = []
        for name in metrics:
            value, apart = each["mean"][name]["mean"], each["mean"][name]["mean"] - base[name]["mean"]
            told = "" if base is each["mean"] else f"\n{_signed(name, apart)}"
            cells.append(format_score(name, value) + told)
        table.add_row(each["protocol"], *([Text(each["run"])] if several else []), *cells)
    return _right(table, 2 if several else 1)


def _signed(name: str, value: float) -> str:
    text = format_score(name, abs(value))
    return "=" if not float(text) else f"{'+' if value > 0 else '-'}{text}"


def runs_table(means: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Table:
    """Of each score, a row per run: its mean and the interval of that."""
    table = Table("", "run", "mean", "95 %", "pictures")
    for metric in metrics:
        for each in means:
            mean = each["mean"][metric]
            numbers = format_score(metric, mean["mean"]), _ends(metric, mean), str(each["pictures"])
            table.add_row(title(metric), Text(each["run"]), *numbers, end_section=each is means[-1])
    return _right(table, 2)


def differences_table(comparisons: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Table:
    """Of each score, a row per run but the first: how far it is from the first one, on how many pictures either way."""
    table = Table("", "run - first", "difference", "95 %", "p", "lower", "higher")
    for metric in metrics:
        for each in (each for each in comparisons if each["metric"] == metric):
            numbers = _signed(metric, each["difference"]), _ends(metric, each), f"{each['p']:.2g}"
            runs = Text(f"{each['run']} - {each['against']}")
            table.add_row(title(metric), runs, *numbers, str(each["better"]), str(each["worse"]))
        table.add_section()
    return _right(table, 2)


def _ends(metric: str, of: Mapping[str, float]) -> str:
    return f"{format_score(metric, of['low'])}, {format_score(metric, of['high'])}"


def regions_table(means: Sequence[Mapping[str, Any]], metrics: Sequence[str], regions: Sequence[str]) -> Table:
    """A row per region of each run and protocol, whose scores go by names such as "sad_fine"."""
    table = Table("run", "protocol", "region", *map(title, metrics))
    for each in means:
        for region in regions:
            scores = [format_score(name, each["mean"][f"{name}_{region}"]["mean"]) for name in metrics]
            table.add_row(Text(each["run"]), each["protocol"], region, *scores, end_section=region == regions[-1])
    return _right(table, 3)


def curves_table(points: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Table:
    """One row per level of each axis."""
    table = Table("axis", "level", *map(title, metrics))
    for point in points:
        level = "" if point["level"] is None else str(point["level"])
        table.add_row(point["axis"] or "as it is", level, *(format_score(name, point[name]) for name in metrics))
    return _right(table)


def summary_tables(summary: Mapping[str, Any], metrics: Sequence[str], regions: Sequence[str]) -> Iterator[Table | str]:
    """What `evaluation.Results.summary` holds: of pictures for one run, of runs or protocols where there are several.

    Then of regions where they were scored, and in words of what the scores are and whether they compare.
    """
    means, settings = summary["means"], summary["settings"]
    if not means:
        return
    protocols = list(dict.fromkeys(each["protocol"] for each in means))
    firsts = [each for each in means if each["protocol"] == protocols[0]]
    if len(means) == 1:
        yield scores_table(summary["pictures"], {name: means[0]["mean"][name]["mean"] for name in metrics})
    if len(firsts) > 1:
        yield runs_table(firsts, metrics)
        yield differences_table(summary["comparisons"], metrics)
        if means[0]["foregrounds"] <= FEW:
            number = means[0]["foregrounds"]
            yield f"of {number} foregrounds or pictures, p is {2 ** (1 - number):.2g} at least, and intervals are rough"
    if len(protocols) > 1:
        yield protocols_table(means, metrics)
    if len(summary["metrics"]) > len(metrics):
        yield regions_table(means, metrics, regions)
    told = {"protocol": ", ".join(protocols), "compositor": settings["compositor"], "trimaps": settings["trimaps"]}
    told |= {key: settings[key] for key in ("mode", "fit", "max_size", "precision") if key in settings}
    yield ", ".join(f"{key.replace('_', '-')} {value}" for key, value in told.items())
    yield f"checksum {settings['checksum']} of {means[0]['pictures']} pictures"
    verdict = "comparable to published Composition-1k"
    yield f"{'' if summary['comparable'] else 'not '}{verdict}: {'; '.join(summary['remarks'])}"


def write_csv(path: Path, records: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """The named columns of each record as CSV; what a record lacks stays empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    write_text(path, text.getvalue())
