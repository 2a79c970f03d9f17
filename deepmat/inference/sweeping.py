"""Score weights on pictures that are made harder step by step: what `deepmat eval --trimap-sweep` and the like do."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deepmat import __version__
from deepmat import config as configs
from deepmat.data.pairs import pictures_to_score
from deepmat.errors import ConfigError, as_texts, lookup
from deepmat.inference.modes import mode_options
from deepmat.inference.opening import Opening
from deepmat.inference.runs import Runs, Weights, as_list, load_settings, open_runs
from deepmat.report.curves import draw_curves, require_plots
from deepmat.report.tables import write_csv
from deepmat.runtime import distributed
from deepmat.runtime.files import AnyPath, as_path_or_none
from deepmat.scoring.pictures import Picture
from deepmat.scoring.protocols import DEFAULT
from deepmat.scoring.records import SweepScores, SweepSummary
from deepmat.scoring.sweeps import AXES, METRICS, curves, sweep_pictures


class Sweep:
    """A prepared sweep. Iterating does the job: it yields the records of each picture, then writes the files."""

    def __init__(
        self,
        pictures: Sequence[Picture],
        runs: Runs,
        axes: Mapping[str, Sequence[int]],
        out: Path | None,
        notices: list[str],
    ) -> None:
        self.total = len(pictures)
        """Number of pictures."""
        self.notices = notices
        """Remarks on the input, to be shown before the job begins."""
        self.about = "\n".join(runs.about)
        """The network in one line: weights, device, precision, mode."""
        self.complete = False
        """Whether all pictures are scored. Files are written from then on."""
        self.written: list[Path] = []
        self.records: list[SweepScores] = []
        self._pictures, self._runs, self._axes, self._out = pictures, runs, axes, out

    @property
    def summary(self) -> SweepSummary:
        """The aggregated scores of the pictures scored so far."""
        run = self._runs.records[0]
        settings = {"deepmat": __version__, "protocol": DEFAULT, **self._runs.settings}
        settings |= {key: value for key, value in run.items() if key != "run"}
        return {"run": run["run"], "settings": settings, "curves": curves(self.records), "pictures": self.records}

    @property
    def failures(self) -> dict[str, str]:
        """Error messages by picture."""
        return {record["name"]: record["error"] for record in self.records if "error" in record}

    def run(self) -> SweepSummary:
        """Do the whole job. Returns the aggregated scores."""
        for _ in self:
            pass
        return self.summary

    def __iter__(self) -> Iterator[list[SweepScores]]:
        self.records, self.written, self.complete = [], [], False
        for found in sweep_pictures(self._pictures, self._runs.networks[self._runs.first], self._axes):
            self.records += found
            yield found
        self.complete = True
        if self._out:
            self._write(self._out)

    def _write(self, out: Path) -> None:
        write_csv(out / "sweep.csv", self.records, ["name", "axis", "level", *METRICS, "error"])
        self.written.append(out / "sweep.csv")
        points = curves(self.records)
        if points:
            caption = f"{self._runs.first}: mean over {self.total - len(self.failures)} pictures"
            draw_curves(out / "sweep.png", points, "sad", caption)
            self.written.append(out / "sweep.png")


def sweep(
    weights: Weights | Iterable[Weights] = None,
    *,
    axes: str | Sequence[str] = tuple(AXES),
    data: AnyPath | None = None,
    images: AnyPath | None = None,
    trimaps: AnyPath | None = None,
    alphas: AnyPath | None = None,
    out: AnyPath | None = None,
    mode: str | None = None,
    max_size: int | None = None,
    fit: str | None = None,
    precision: str = "fp32",
    device: str = "auto",
    assume: Mapping[str, Any] | None = None,
    settings: str | Sequence[str] = (),
) -> Sweep:
    """Score a network on pictures that get harder: wider trimaps, JPEG, noise (scoring.sweeps.AXES).

    out: folder of sweep.csv and sweep.png. The levels of an axis are config keys: "test.sweep.jpeg=[90,50]". The other
    arguments are those of `evaluate`. Raises ConfigError, DataError, CheckpointError, DeviceError before any work.
    """
    if distributed.world() > 1:
        raise ConfigError("a sweep: one process does it; start it without a launcher")
    out = as_path_or_none(out, "out")
    if out:
        require_plots()
    networks = as_list(weights) or [None]
    if len(networks) > 1:
        raise ConfigError("--weights: a sweep takes one")
    geometry = {"mode": mode, "max_size": max_size, "fit": fit}
    config = load_settings(data, images, trimaps, alphas, geometry, settings)
    test = config.test
    configs.refuse_unused({"--max-size": max_size, "--fit": fit}, mode_options(test))
    axes = as_texts(axes, "axes")
    for axis in axes:
        lookup(AXES, axis, "axis")
    pictures, notices = pictures_to_score(test, config.data.root)
    runs = open_runs(networks, {}, test, {}, Opening(None, device, precision, assume))
    levels = {axis: getattr(test.sweep, axis) for axis in axes}
    return Sweep(pictures, runs, levels, out, notices)
