"""The records of an evaluation: scores of pictures, means, comparisons, and their summary, as JSON has them."""

from collections.abc import Mapping
from typing import Any, TypedDict, cast

SCORES = "scores.json"
"""Name of the file that has a Summary."""
TITLES = {"sad": "SAD", "mse": "MSE", "grad": "Grad", "conn": "Conn", "mad": "MAD"}


class Scores(TypedDict, total=False):
    """Scores of one picture by one run and one protocol. Without scores it has name, error and what else is known.

    Scores over a region of metrics.REGIONS, and those of metrics that are added to METRICS, are further keys:
    "sad_fine". `score_of` reads any of them.
    """

    name: str
    run: str
    protocol: str
    height: int
    width: int
    sad: float
    mse: float
    grad: float
    conn: float
    mad: float
    seconds: float
    """Time of the network; saved mattes have none."""
    error: str
    """Why there are no scores."""


def score_of(record: Mapping[str, object], metric: str) -> float:
    """The score of that name. Raises KeyError where the record has none."""
    return cast(float, record[metric])


def format_score(name: str, value: float) -> str:
    """A score with the decimals of its metric."""
    return f"{value:.5f}" if name.startswith(("mse", "mad")) else f"{value:.3f}"


def title(metric: str) -> str:
    """The name of a metric as it is written: "SAD", or "SAD, fine" over a region."""
    name, _, region = metric.partition("_")
    return TITLES.get(name, name) + (f", {region}" if region else "")


class Mean(TypedDict):
    """A mean with its 95 % interval; NaN where nothing was averaged."""

    mean: float
    low: float
    high: float


class Means(TypedDict):
    """Mean scores of one run by one protocol."""

    run: str
    protocol: str
    pictures: int
    """Pictures averaged: those that all runs have scores of."""
    foregrounds: int
    """Distinct foregrounds among them; a picture of unknown foreground counts as its own."""
    mean: dict[str, Mean]
    """By metric."""


class Comparison(TypedDict):
    """One metric of a run compared with the first run, on the same pictures."""

    run: str
    against: str
    """The first run."""
    protocol: str
    metric: str
    difference: float
    """Mean of run - against, with its 95 % interval."""
    low: float
    high: float
    p: float
    """Probability of so large a difference by chance (significance.sign_flips)."""
    better: int
    worse: int
    """Pictures on which the run has a lower, a higher score."""
    foregrounds: int


class _Run(TypedDict):
    run: str


class Run(_Run, total=False):
    """What was scored: weights with their checksum, or a folder of saved mattes."""

    weights: str
    sha256: str
    mattes: str


Settings = dict[str, Any]
"""What all scores depend on: "deepmat" (version), "protocol"; of networks "precision", "mode" and the mode's options;
of the data "compositor", "trimaps" and "checksum"."""


class Summary(TypedDict):
    """The result of an evaluation, as scores.json and `deepmat eval --json` have it."""

    settings: Settings
    comparable: bool
    """Whether the scores compare with those published for Composition-1k."""
    remarks: list[str]
    """Why they do not; or what the claim rests on."""
    metrics: list[str]
    """Names of all scores."""
    runs: list[Run]
    means: list[Means]
    comparisons: list[Comparison]
    pictures: list[Scores]


class SweepScores(TypedDict, total=False):
    """Scores of one picture at one level of one axis, both None for the unchanged picture; or name and error."""

    name: str
    axis: str | None
    level: int | None
    sad: float
    mse: float
    error: str


class SweepPoint(TypedDict):
    """Mean scores at one level of one axis."""

    axis: str | None
    level: int | None
    sad: float
    mse: float


class SweepSummary(TypedDict):
    """The result of a sweep, as `deepmat eval --trimap-sweep --json` prints it."""

    run: str
    settings: Settings
    curves: list[SweepPoint]
    pictures: list[SweepScores]
