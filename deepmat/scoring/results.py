"""Aggregate scores: means, confidence intervals, paired comparisons, the identity of the data."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from deepmat.runtime import distributed
from deepmat.scoring.identity import changed_images, checksum, differences_from_published, identify
from deepmat.scoring.metrics import METRICS
from deepmat.scoring.pictures import ScoredPicture
from deepmat.scoring.records import Comparison, Mean, Means, Run, Scores, Settings, Summary, score_of
from deepmat.scoring.significance import interval, sign_flips

KEYS = ("name", "run", "protocol", "height", "width", "seconds", "error")
"""The keys of a record that are no scores."""


class Part(NamedTuple):
    """What is kept of a scored picture."""

    name: str
    records: list[Scores]
    digest: str = ""
    """Checksum of its pixels, "" if it cannot be used."""
    odd: bool = False
    """There is a notice on its trimap."""
    shrunk: bool = False
    """The network saw it smaller than it is."""


def part_of(scored: ScoredPicture, settings: Settings) -> Part:
    """Return what is kept of a scored picture. settings: as of Results."""
    case = scored.case
    large = case and settings.get("mode") == "whole" and max(case.alpha.shape) > settings["max_size"]
    odd = bool(case and case.notices)
    return Part(scored.name, scored.records, scored.digest if case else "", odd, bool(large))


class Results:
    """Scored pictures, added one by one, and their summary.

    settings: what all scores depend on, as Summary has it without the data. runs: in the order of comparison. folders:
    "image", "trimap" and "alpha", beside which a manifest may lie.
    """

    def __init__(self, settings: Settings, runs: Sequence[Run], folders: Mapping[str, Path]) -> None:
        self.settings, self.runs, self.folders = settings, list(runs), folders
        self.parts: list[Part] = []
        self._summary: tuple[Summary, list[str]] | None = None

    def add(self, scored: ScoredPicture) -> None:
        """Add the scores of a picture, or its error."""
        self.add_part(part_of(scored, self.settings))

    def add_part(self, part: Part) -> None:
        """Add what is kept of a picture."""
        self.parts.append(part)
        self._summary = None

    def gather(self, names: Sequence[str]) -> None:
        """Collect the pictures of all processes of the job, in the order of the names. Every process must call it."""
        ranks = {name: rank for rank, name in enumerate(names)}
        parts = [part for own in distributed.gather(self.parts) for part in own]
        self.parts = sorted(parts, key=lambda part: ranks[part.name])
        self._summary = None

    @property
    def records(self) -> list[Scores]:
        """The scores of all pictures and runs, in the order of adding."""
        return [record for part in self.parts for record in part.records]

    @property
    def scored(self) -> int:
        """Number of pictures that at least one run has scores of."""
        return len({record["name"] for record in self.records if "error" not in record})

    @property
    def failures(self) -> dict[str, str]:
        """Error messages by picture and run."""
        failed = [record for record in self.records if "error" in record]
        return {f"{record['name']} {record.get('run', '')}": record["error"] for record in failed}

    @property
    def summary(self) -> Summary:
        """The aggregated scores of the pictures added so far."""
        return self._summarised()[0]

    @property
    def notices(self) -> list[str]:
        """Remarks on the summary."""
        return self._summarised()[1]

    def _summarised(self) -> tuple[Summary, list[str]]:
        if self._summary is None:
            self._summary = self._summarise()
        return self._summary

    def _summarise(self) -> tuple[Summary, list[str]]:
        about, notices = identify(self.folders)
        records = self.records
        names = common(records)
        metrics = list(dict.fromkeys((*METRICS, *(key for each in records for key in each if key not in KEYS))))
        total = len({record["name"] for record in records})
        unscored = total - len(names)
        several = {(record["run"], record["protocol"]) for record in records if "protocol" in record}
        if unscored and len(several) > 1 and names:
            every = "runs" if len(self.runs) > 1 else "protocols"
            notices.append(f"means are over {len(names)} of {total} pictures, those that all {every} have scores of")
        odd, shrunk = sum(part.odd for part in self.parts), sum(part.shrunk for part in self.parts)
        reasons = differences_from_published(about, names, self.settings, unscored, odd, shrunk)
        if not reasons:
            reasons = changed_images(self.folders["image"])
        digests = {part.name: part.digest for part in self.parts}
        data = {
            "compositor": about.compositor,
            "trimaps": about.trimaps,
            "checksum": checksum({name: digests[name] for name in names}),
        }
        means, comparisons = summarise(records, metrics, [run["run"] for run in self.runs], about.foregrounds)
        return {
            "settings": {**self.settings, **data},
            "comparable": not reasons,
            "remarks": reasons or ["by the manifest's claims, which `deepmat doctor` checks against the pixels"],
            "metrics": metrics,
            "runs": self.runs,
            "means": means,
            "comparisons": comparisons,
            "pictures": records,
        }, notices


def common(records: Iterable[Scores]) -> list[str]:
    """The pictures scored in every run that has scores at all. Means over different pictures would not compare."""
    names: dict[tuple[str, str], dict[str, None]] = {}
    for record in records:
        if "error" not in record:
            names.setdefault((record["run"], record["protocol"]), {})[record["name"]] = None
    first, *others = names.values() or [{}]
    return [name for name in first if all(name in other for other in others)]


def summarise(
    records: Sequence[Scores], metrics: Sequence[str], runs: Sequence[str], foregrounds: Mapping[str, str]
) -> tuple[list[Means], list[Comparison]]:
    """Means of each run and protocol, and comparisons with the first run by the first protocol.

    Both are over the `common` pictures. runs: in order. foregrounds: by picture, where known; pictures that share one
    are resampled together.
    """
    names = common(records)
    scored = {(each["run"], each["protocol"], each["name"]): each for each in records if "error" not in each}
    protocols = list(dict.fromkeys(record["protocol"] for record in records if "protocol" in record))
    means: list[Means] = []
    comparisons: list[Comparison] = []
    for run, protocol in product(runs, protocols):
        found = [scored[run, protocol, name] for name in names if (run, protocol, name) in scored]
        if not found:
            continue
        means.append(
            {
                "run": run,
                "protocol": protocol,
                "pictures": len(names),
                "foregrounds": _number_of_groups(names, foregrounds),
                "mean": {metric: _mean(_scores(found, metric), foregrounds) for metric in metrics},
            }
        )
        against = means[0]["run"]
        if run != against and protocol == means[0]["protocol"]:
            others = [scored[against, protocol, name] for name in names]
            comparisons += [_compare(found, others, metric, foregrounds) for metric in metrics]
    return means, comparisons


def _compare(
    found: Sequence[Scores], others: Sequence[Scores], metric: str, foregrounds: Mapping[str, str]
) -> Comparison:
    """One metric of a run and the first run. Both have the same pictures in the same order."""
    own, other = _scores(found, metric), _scores(others, metric)
    differences = {name: value - other[name] for name, value in own.items()}
    values = list(differences.values())
    mean = _mean(differences, foregrounds)
    return {
        "run": found[0]["run"],
        "against": others[0]["run"],
        "protocol": found[0]["protocol"],
        "metric": metric,
        "difference": mean["mean"],
        "low": mean["low"],
        "high": mean["high"],
        "p": sign_flips(values, _groups(differences, foregrounds)) if values else math.nan,
        "better": sum(value < 0 for value in values),
        "worse": sum(value > 0 for value in values),
        "foregrounds": _number_of_groups(differences, foregrounds),
    }


def _scores(records: Iterable[Scores], metric: str) -> dict[str, float]:
    """The scores by picture. A picture without fine parts has no score over them."""
    return {record["name"]: score_of(record, metric) for record in records if metric in record}


def _groups(names: Iterable[str], foregrounds: Mapping[str, str]) -> list[str]:
    return [foregrounds.get(name, name) for name in names]


def _number_of_groups(names: Iterable[str], foregrounds: Mapping[str, str]) -> int:
    return len(set(_groups(names, foregrounds)))


def _mean(scores: Mapping[str, float], foregrounds: Mapping[str, str]) -> Mean:
    """The mean of scores by picture, and its interval."""
    if not scores:
        return {"mean": math.nan, "low": math.nan, "high": math.nan}
    values = list(scores.values())
    low, high = interval(values, _groups(scores, foregrounds))
    return {"mean": math.fsum(values) / len(values), "low": low, "high": high}
