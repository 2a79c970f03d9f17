"""Score weights on pictures that are made harder step by step: what `deepmat eval --trimap-sweep` and the like do."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from deepmat import __version__
from deepmat.data.pairs import pictures_to_score
from deepmat.errors import ConfigError, lookup
from deepmat.inference.evaluation import Pictures, Runs, Weights, load_settings, open_runs, weight_files
from deepmat.report import draw_curves, require_plots, write_csv
from deepmat.runtime import distributed
from deepmat.runtime.work import Work
from deepmat.scoring import sweeps
from deepmat.scoring.protocols import DEFAULT, choose

AXES = tuple(sweeps.AXES)
METRICS = ("sad", "mse")

Record = dict[str, Any]


class SweepSummary(TypedDict):
    """Scores over the levels of each axis."""

    run: str
    settings: dict[str, Any]
    curves: list[Record]
    """Means over the pictures, as scoring.sweeps.curves returns them."""
    pictures: list[Record]


@dataclass(frozen=True)
class Sweep(Work[list[Record]]):
    """A prepared sweep. Iterating yields the records of each picture; `run` also aggregates and writes the files."""

    pictures: Pictures = ()
    axes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    runs: Runs = field(default_factory=lambda: Runs({}, {}, {}, []))
    out: Path | None = None
    records: list[Record] = field(default_factory=list)

    def __iter__(self) -> Iterator[list[Record]]:
        for found in sweeps.sweep(self.pictures, self.runs.networks[self.runs.first], self.axes, METRICS):
            self.records.extend(found)
            yield found

    def summarise(self) -> SweepSummary:
        """Aggregate the records of the pictures scored so far."""
        run = self.runs.first
        settings = {"deepmat": __version__, "protocol": DEFAULT, **self.runs.settings, **self.runs.about[run]}
        curves = sweeps.curves(self.records, METRICS)
        return {"run": run, "settings": settings, "curves": curves, "pictures": self.records}

    def write(self, summary: SweepSummary) -> Path | None:
        """Write sweep.csv and, if a picture was scored, sweep.png, whose path is returned."""
        if not self.out:
            return None
        write_csv(self.out / "sweep.csv", summary["pictures"], ["name", "axis", "level", *METRICS, "error"])
        if not summary["curves"]:
            return None
        scored = self.total - sum("error" in each for each in summary["pictures"])
        path = self.out / "sweep.png"
        draw_curves(path, summary["curves"], "sad", f"{summary['run']}: mean over {scored} pictures")
        return path

    def run(self) -> SweepSummary:  # type: ignore[override]
        """Do the whole job. Returns the aggregated scores."""
        for _ in self:
            pass
        summary = self.summarise()
        self.write(summary)
        return summary


def sweep(
    weights: Weights | Sequence[Weights] = None,
    *,
    axes: Sequence[str] = AXES,
    data: Path | str | None = None,
    images: Path | str | None = None,
    trimaps: Path | str | None = None,
    alphas: Path | str | None = None,
    out: Path | str | None = None,
    mode: str | None = None,
    max_size: int | None = None,
    fit: str | None = None,
    precision: str = "fp32",
    device: str = "auto",
    assume: Mapping[str, Any] | None = None,
    settings: Sequence[str] = (),
) -> Sweep:
    """Score weights on pictures made harder: wider trimaps, JPEG, noise (scoring.sweeps.AXES).

    out: folder of sweep.csv and sweep.png; the levels of an axis are config keys, "test.sweep.jpeg=[90,50]". The other
    arguments are those of `evaluate`. Raises ConfigError, DataError, CheckpointError, DeviceError before any work.
    """
    if distributed.world() > 1:
        raise ConfigError("a sweep: is made by one process; start it without a launcher")
    if out:
        require_plots()
    geometry = {"mode": mode, "max_size": max_size, "fit": fit}
    config = load_settings(data, images, trimaps, alphas, geometry, settings)
    files = weight_files(weights, False)
    if len(files) > 1:
        raise ConfigError("--weights: a sweep takes one")
    for axis in axes:
        lookup(sweeps.AXES, axis, "axis")
    pictures, notices = pictures_to_score(config.test, config.data.root)
    runs = open_runs(files, config, choose([DEFAULT]), geometry, device, precision, assume)
    levels = {axis: getattr(config.test.sweep, axis) for axis in axes}
    return Sweep(
        total=len(pictures),
        notices=notices,
        about=runs.lines[0],
        pictures=pictures,
        axes=levels,
        runs=runs,
        out=Path(out) if out else None,
    )


def refuse_for_a_sweep(options: Mapping[str, Any]) -> None:
    """Raise ConfigError for an option of `evaluate` that was given and that a sweep does not take."""
    for flag, used in options.items():
        if used:
            raise ConfigError(f"{flag}: a sweep does not use it; leave it out")
