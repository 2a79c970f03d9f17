"""What scored pictures come to: means with their intervals, runs against each other, and of what data."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from deepmat.metrics import METRICS
from deepmat.provenance import Identity, checksum, differences_from_published, identify
from deepmat.scoring import Record, Scored
from deepmat.significance import interval, sign_flips

KEYS = ("name", "run", "protocol", "height", "width", "seconds", "error")
"""What a record has besides scores."""


class Results:
    """Takes scored pictures in, one by one; `summary` tells what they come to.

    settings: what the scores depend on, {"protocol", and of a network "precision", "mode" and its options, ...}; runs:
    in the order that they are told.
    """

    def __init__(self, settings: Mapping[str, Any], runs: Sequence[str]) -> None:
        self.settings, self.runs = dict(settings), runs
        self.records: list[Record] = []
        self.digests: dict[str, str] = {}
        self.odd = self.shrunk = 0

    def add(self, scored: Scored) -> None:
        self.records += scored.records
        if scored.case:
            self.digests[scored.name] = scored.digest
            self.odd += bool(scored.case.notices)
            side = max(scored.case.alpha.shape)
            self.shrunk += self.settings.get("mode") == "whole" and side > self.settings["max_size"]

    @property
    def failures(self) -> dict[str, str]:
        """Messages by picture and run."""
        failed = [record for record in self.records if "error" in record]
        return {f"{record['name']} {record.get('run', '')}": record["error"] for record in failed}

    def summary(self, images: Path) -> tuple[dict[str, Any], list[str]]:
        """{"settings", "comparable", "remarks", "metrics", "means", "comparisons", "pictures"} for JSON, and notices.

        images: the folder of the images, beside which a manifest may lie. settings: those given and what the data are;
        remarks: why the scores do not compare with those published for Composition-1k, or on what it rests that they
        do; metrics: names of all scores; means, comparisons: as `summarise` gives them; pictures: the records.
        """
        about, notices = identify(images)
        data = {"compositor": about.compositor, "trimaps": about.trimaps, "checksum": checksum(self.digests)}
        metrics = list(dict.fromkeys((*METRICS, *(key for each in self.records for key in each if key not in KEYS))))
        reasons = self._reasons(about)
        return {
            "settings": {**self.settings, **data},
            "comparable": not reasons,
            "remarks": reasons or ["as far as the manifest tells; `deepmat doctor` measures whether its claims are so"],
            "metrics": metrics,
            **summarise(self.records, metrics, self.runs, about.foregrounds),
            "pictures": self.records,
        }, notices

    def _reasons(self, about: Identity) -> list[str]:
        failed = len({record["name"] for record in self.records if "error" in record})
        return differences_from_published(about, self.digests, self.settings, failed, self.odd, self.shrunk)


def summarise(
    records: Iterable[Mapping[str, Any]], metrics: Sequence[str], runs: Sequence[str], foregrounds: Mapping[str, str]
) -> dict[str, list[Record]]:
    """Means with their intervals, and runs against the first one.

    records: as `Scored` has them; runs: in their order; foregrounds: by picture, where known: pictures that share one
    are drawn together. Returns "means": {"run", "protocol", "pictures" (how many), "mean": {metric: {"mean", "low",
    "high"}}} for each run and protocol; and "comparisons", of the first protocol: {"run", "against", "metric",
    "difference" (run - against), "low", "high", "p", "better", "worse" (pictures), "pictures"}.
    """
    records = list(records)
    protocols = dict.fromkeys(record["protocol"] for record in records if "protocol" in record)
    scored: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {
        key: found
        for key in product(runs, protocols)
        if (found := {record["name"]: record for record in records if _key(record) == key})
    }
    means = []
    for (run, protocol), pictures in scored.items():
        groups = [foregrounds.get(name, name) for name in pictures]
        mean = {metric: _mean([each[metric] for each in pictures.values()], groups) for metric in metrics}
        means.append({"run": run, "protocol": protocol, "pictures": len(pictures), "mean": mean})
    comparisons = []
    if scored:
        first, protocol = next(iter(scored))
        for (run, other), pictures in scored.items():
            both = [name for name in pictures if name in scored[first, protocol]]
            if run == first or other != protocol or not both:
                continue
            groups = [foregrounds.get(name, name) for name in both]
            for metric in metrics:
                apart = [pictures[name][metric] - scored[first, protocol][name][metric] for name in both]
                told = _mean(apart, groups)
                comparisons.append(
                    {
                        "run": run,
                        "against": first,
                        "metric": metric,
                        "difference": told["mean"],
                        "low": told["low"],
                        "high": told["high"],
                        "p": sign_flips(apart, groups),
                        "better": sum(each < 0 for each in apart),
                        "worse": sum(each > 0 for each in apart),
                        "pictures": len(both),
                    }
                )
    return {"means": means, "comparisons": comparisons}


def _key(record: Mapping[str, Any]) -> tuple[str, str] | None:
    """Run and protocol of a picture's scores."""
    return None if "error" in record else (record["run"], record["protocol"])


def _mean(values: Sequence[float], groups: Sequence[str]) -> dict[str, float]:
    low, high = interval(values, groups)
    return {"mean": math.fsum(values) / len(values), "low": low, "high": high}
