"""What scored pictures come to: means with their intervals, runs against each other, and of what data."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from deepmat.scoring.identity import changed_images, checksum, differences_from_published, identify
from deepmat.scoring.metrics import METRICS
from deepmat.scoring.pictures import Record, Scored
from deepmat.scoring.significance import interval, sign_flips

KEYS = ("name", "run", "protocol", "height", "width", "seconds", "error")
"""What a record has besides scores."""


class Part(NamedTuple):
    """What is kept of a scored picture: records as `Scored` has them, digest of its pixels or "" where unusable."""

    name: str
    records: list[Record]
    digest: str
    odd: bool
    """Its trimap is not as it should be."""
    shrunk: bool
    """The network saw it smaller."""


class Summary(TypedDict):
    """Aggregated scores, as scores.json has them."""

    settings: dict[str, Any]
    """What all scores depend on: protocol, precision, mode, compositor, trimaps, checksum of the data."""
    comparable: bool
    """Whether the scores compare with those published for Composition-1k."""
    remarks: list[str]
    """Why they do not, or on what the claim rests."""
    metrics: list[str]
    """Names of all scores."""
    runs: list[dict[str, Any]]
    means: list[Record]
    comparisons: list[Record]
    """Means and paired comparisons, as `summarise` returns them."""
    pictures: list[Record]


class Results:
    """Takes scored pictures in, one by one; `summary` tells what they come to.

    settings: what all scores depend on, {"protocol", and of networks "precision", "mode" and its options, ...}; runs:
    by name, in the order that they are told, what is to be told of each.
    """

    def __init__(self, settings: Mapping[str, Any], runs: Mapping[str, Mapping[str, Any]]) -> None:
        self.settings, self.runs = dict(settings), runs
        self.parts: list[Part] = []

    def add(self, scored: Scored) -> None:
        case = scored.case
        large = case and self.settings.get("mode") == "whole" and max(case.alpha.shape) > self.settings["max_size"]
        odd = bool(case and case.notices)
        self.parts.append(Part(scored.name, scored.records, scored.digest if case else "", odd, bool(large)))

    @property
    def records(self) -> list[Record]:
        return [record for part in self.parts for record in part.records]

    @property
    def usable(self) -> int:
        """Pictures that could be used."""
        return sum(bool(part.digest) for part in self.parts)

    @property
    def failures(self) -> dict[str, str]:
        """Messages by picture and run."""
        failed = [record for record in self.records if "error" in record]
        return {f"{record['name']} {record.get('run', '')}": record["error"] for record in failed}

    def summary(self, folders: Mapping[str, Path]) -> tuple[Summary, list[str]]:
        """What the scores come to, as JSON takes it, and notices.

        folders: of "image", "trimap" and "alpha", beside which a manifest may lie. Returns {"settings": those given and
        what the data are, "comparable": whether the scores compare with those published for Composition-1k, "remarks":
        why not, or on what it rests, "metrics": names of all scores, "runs": [{"run", what is told of it}], "means",
        "comparisons": as `summarise` gives them, "pictures": the records}.
        """
        about, notices = identify(folders)
        records = self.records
        names = common(records)
        digests = {part.name: part.digest for part in self.parts}
        scored = {name: digests[name] for name in names}
        data = {"compositor": about.compositor, "trimaps": about.trimaps, "checksum": checksum(scored)}
        metrics = list(dict.fromkeys((*METRICS, *(key for each in records for key in each if key not in KEYS))))
        unscored = len({record["name"] for record in records}) - len(names)
        if unscored and len(self.runs) > 1 and names:
            notices.append(f"means are over {len(names)} of the pictures, those that all runs have scores of")
        odd, shrunk = (sum(getattr(part, what) for part in self.parts) for what in ("odd", "shrunk"))
        reasons = differences_from_published(about, names, self.settings, unscored, odd, shrunk)
        if not reasons:
            reasons = changed_images(folders["image"])
        summarised = summarise(records, metrics, list(self.runs), about.foregrounds)
        return {
            "settings": {**self.settings, **data},
            "comparable": not reasons,
            "remarks": reasons or ["as far as the manifest tells; `deepmat doctor` measures whether its claims are so"],
            "metrics": metrics,
            "runs": [{"run": run, **told} for run, told in self.runs.items()],
            "means": summarised["means"],
            "comparisons": summarised["comparisons"],
            "pictures": records,
        }, notices


def common(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """The pictures on which every run was scored that was scored at all: means over others would not compare."""
    names: dict[tuple[str, str], dict[str, None]] = {}
    for record in records:
        if "error" not in record:
            names.setdefault((record["run"], record["protocol"]), {})[record["name"]] = None
    first, *others = names.values() or [{}]
    return [name for name in first if all(name in other for other in others)]


def summarise(
    records: Sequence[Mapping[str, Any]], metrics: Sequence[str], runs: Sequence[str], foregrounds: Mapping[str, str]
) -> dict[str, list[Record]]:
    """Means with their intervals, and runs against the first one, over the `common` pictures.

    records: as `Scored` has them; runs: in their order; foregrounds: by picture, where known: pictures that share one
    are drawn together. Returns "means": {"run", "protocol", "pictures", "foregrounds" (how many), "mean": {metric:
    {"mean", "low", "high"}}} for each run and protocol; and "comparisons", of the first protocol: {"run", "against",
    "protocol", "metric", "difference" (run - against), "low", "high", "p", "better", "worse" (pictures),
    "foregrounds"}.
    """
    names = common(records)
    scored = {_key(record): record for record in records if "error" not in record}
    protocols = dict.fromkeys(record["protocol"] for record in records if "protocol" in record)
    means: list[Record] = []
    comparisons: list[Record] = []
    for run, protocol in product(runs, protocols):
        found = [scored[run, protocol, name] for name in names if (run, protocol, name) in scored]
        if not found:
            continue
        mean = {metric: _mean(found, metric, foregrounds) for metric in metrics}
        counts = {"pictures": len(names), "foregrounds": len(set(_groups(found, foregrounds)))}
        means.append({"run": run, "protocol": protocol, **counts, "mean": mean})
        against = means[0]["run"]
        if run == against or protocol != means[0]["protocol"]:
            continue
        for metric in metrics:
            pairs = [(each, scored[against, protocol, each["name"]]) for each in found if metric in each]
            apart = [{"name": each["name"], metric: each[metric] - other[metric]} for each, other in pairs]
            told = _mean(apart, metric, foregrounds)
            values = [each[metric] for each in apart]
            comparisons.append(
                {
                    "run": run,
                    "against": against,
                    "protocol": protocol,
                    "metric": metric,
                    "difference": told["mean"],
                    "low": told["low"],
                    "high": told["high"],
                    "p": sign_flips(values, _groups(apart, foregrounds)) if values else math.nan,
                    "better": sum(value < 0 for value in values),
                    "worse": sum(value > 0 for value in values),
                    "foregrounds": len(set(_groups(apart, foregrounds))),
                }
            )
    return {"means": means, "comparisons": comparisons}


def _key(record: Mapping[str, Any]) -> tuple[str, str, str]:
    """Which run's scores of which picture by which protocol these are."""
    return record["run"], record["protocol"], record["name"]


def _groups(records: Iterable[Mapping[str, Any]], foregrounds: Mapping[str, str]) -> list[str]:
    return [foregrounds.get(record["name"], record["name"]) for record in records]


def _mean(records: Iterable[Mapping[str, Any]], metric: str, foregrounds: Mapping[str, str]) -> dict[str, float]:
    """Mean and interval over the records that have the metric: a picture without fine parts has no score of them."""
    found = [record for record in records if metric in record]
    if not found:
        return dict.fromkeys(("mean", "low", "high"), math.nan)
    values = [record[metric] for record in found]
    low, high = interval(values, _groups(found, foregrounds))
    return {"mean": math.fsum(values) / len(values), "low": low, "high": high}
