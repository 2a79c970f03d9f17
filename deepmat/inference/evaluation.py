"""Score weights and saved mattes on pictures of known alpha: what `deepmat eval` does."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepmat import __version__, imaging
from deepmat import config as configs
from deepmat.config import TestConfig
from deepmat.data.pairs import pictures_to_score
from deepmat.errors import ConfigError, DataError, as_texts
from deepmat.imaging.sheets import sheet as draw_sheet
from deepmat.imaging.sheets import spread
from deepmat.inference.kept_alphas import KeptAlphas
from deepmat.inference.modes import mode_options
from deepmat.inference.opening import Opening
from deepmat.inference.runs import Runs, Weights, as_list, load_settings, matte_folders, open_runs
from deepmat.inference.scoring_work import Row, Scoring, lost
from deepmat.report.page import Page, page_input
from deepmat.report.tables import write_csv
from deepmat.runtime import distributed, sharing
from deepmat.runtime.files import AnyPath, as_path_or_none, refuse_overwriting, remove_leftovers, write_text
from deepmat.runtime.listing import is_picture
from deepmat.runtime.records import to_json
from deepmat.runtime.sharing import Batch, Engine, parse_engine, refuse_storage
from deepmat.scoring.metrics import REGIONS
from deepmat.scoring.pictures import Network, Picture, ScoredPicture, find_mattes
from deepmat.scoring.protocols import DEFAULT, Protocol, choose
from deepmat.scoring.records import SCORES, Summary
from deepmat.scoring.results import KEYS, Results

SHEET_ROWS = 8
"""Pictures on a sheet."""


class Outputs(NamedTuple):
    """Files to write, beside the kept alphas."""

    out: Path | None
    """Folder of scores.csv and scores.json."""
    sheet: Path | None
    report: Path | None


@dataclass(frozen=True)
class Plan:
    """All that an evaluation needs."""

    pictures: Sequence[Picture]
    runs: Runs
    saved: dict[str, dict[str, Path | DataError]]
    """Saved mattes by picture and run, or why there is none."""
    protocols: Mapping[str, Protocol]
    regions: Sequence[str]
    outputs: Outputs
    alphas: KeptAlphas | None
    workers: int | None
    networks: Callable[[], Mapping[str, Network]]
    """Opens the networks of the runs in the processes of the engine."""
    engine: Engine = Engine()
    gpu: bool = False

    @property
    def names(self) -> list[str]:
        """The pictures, in the order of scoring."""
        return [name for name, _ in self.pictures]

    @property
    def folders(self) -> dict[str, Path]:
        """The folders of the pictures by kind, which their names are relative to."""
        name, paths = next(((name, each) for name, each in self.pictures if not isinstance(each, DataError)), ("", {}))
        depth = len(Path(name).parts)
        folders = {kind: path.parents[min(depth, len(path.parents)) - 1] for kind, path in paths.items()}
        return folders or {"image": Path()}

    @property
    def title(self) -> str:
        """The heading of pages and tables: the runs and the test set."""
        return f"{', '.join(self.runs.names)} on {self.folders['image'].absolute().parent.name}"

    def results(self) -> Results:
        """Empty results with all that is known before scoring."""
        settings = {"deepmat": __version__, "protocol": next(iter(self.protocols)), **self.runs.settings}
        return Results(settings, self.runs.records, self.folders)

    def refuse_overwriting(self) -> None:
        """Raise ConfigError if an output would replace an input."""
        written = [*(self.alphas.places.values() if self.alphas else ()), self.outputs.sheet, self.outputs.report]
        read = [path for _, paths in self.pictures if not isinstance(paths, DataError) for path in paths.values()]
        read += [path for paths in self.saved.values() for path in paths.values() if isinstance(path, Path)]
        refuse_overwriting(filter(None, written), read)


class Evaluation:
    """A prepared evaluation. Iterating does the job: it yields each scored picture, then writes the files.

    Under a launcher each process scores its part of the pictures, and the first one writes the files for all.
    """

    def __init__(self, plan: Plan, notices: list[str]) -> None:
        self.total = len(distributed.share(plan.pictures))
        """Number of pictures that iterating yields."""
        self.notices = notices
        """Remarks on the input, to be shown before the job begins."""
        self.about = "\n".join(plan.runs.about)
        """One line on each network: weights, device, precision, mode."""
        self.complete = False
        """Whether all pictures are scored. Files are written from then on."""
        self.results = plan.results()
        self.written: list[Path] = []
        """The files and folders written, beside kept alphas."""
        self._plan = plan

    @property
    def summary(self) -> Summary:
        """The aggregated scores; of the pictures scored so far, while the job is not complete."""
        return self.results.summary

    def run(self) -> Summary:
        """Do the whole job. Returns the aggregated scores."""
        for _ in self:
            pass
        return self.summary

    def __iter__(self) -> Iterator[ScoredPicture]:
        plan = self._plan
        self.results, self.written, self.complete = plan.results(), [], False
        distributed.meet()
        page = Page(plan.outputs.report) if plan.outputs.report else None
        batch = Batch(distributed.share(plan.pictures), self._scoring(page).start, lost, plan.gpu)
        rows: dict[str, Row] = {}
        for done in sharing.do(batch, plan.engine):
            self.results.add_part(done.part)
            if done.row:
                rows[done.scored.name] = done.row
            yield done.scored
        if plan.alphas and plan.engine.is_cluster:
            remove_leftovers(plan.alphas.folder)  # of workers that were killed
        self.results.gather(plan.names)
        rows = {name: row for part in distributed.gather(rows) for name, row in part.items()}
        self.complete = True
        if not distributed.rank():
            self._write([rows[name] for name in plan.names if name in rows], page)

    def _scoring(self, page: Page | None) -> Scoring:
        def show(scored: ScoredPicture) -> None:
            if page and scored.case:
                page.add(scored.name, scored.case.image, scored.case.trimap, scored.case.alpha, scored.mattes)

        plan, saved, first = self._plan, self._plan.saved, self._plan.runs.first
        names, rows = plan.names, SHEET_ROWS if plan.outputs.sheet else 0
        if plan.alphas:
            kept = plan.alphas.claim()
            saved = {name: {first: kept[name], **each} if name in kept else each for name, each in saved.items()}
        return Scoring(
            plan.networks,
            first,
            saved,
            plan.protocols,
            plan.regions,
            self.results.settings,
            plan.alphas.places if plan.alphas else {},
            # Neighbours often share a foreground.
            {names[each] for each in spread(len(names), rows)},
            show if page else None,
            plan.workers,
            plan.engine.is_cluster,
        )

    def _write(self, rows: Sequence[tuple[str, list[np.ndarray]]], page: Page | None) -> None:
        out, sheet, _ = self._plan.outputs
        if out:
            columns = dict.fromkeys([*KEYS[:-2], *self.summary["metrics"], *KEYS[-2:]])
            write_csv(out / "scores.csv", self.summary["pictures"], list(columns))
            write_text(out / SCORES, to_json(self.summary) + "\n")
            self.written.append(out)
        if sheet and rows:
            imaging.write_image(sheet, draw_sheet(rows))
            self.written.append(sheet)
        if page and self.summary["means"]:
            page.write(page_input(self.summary, self._plan.title))
            self.written.append(page.path)


def evaluate(
    weights: Weights | Iterable[Weights] = None,
    predictions: AnyPath | Iterable[AnyPath] | Mapping[str, AnyPath] = (),
    *,
    data: AnyPath | None = None,
    images: AnyPath | None = None,
    trimaps: AnyPath | None = None,
    alphas: AnyPath | None = None,
    protocol: str | Sequence[str] = DEFAULT,
    regions: bool = False,
    out: AnyPath | None = None,
    save_alphas: bool = False,
    skip_existing: bool = False,
    report: AnyPath | None = None,
    sheet: AnyPath | None = None,
    mode: str | None = None,
    max_size: int | None = None,
    fit: str | None = None,
    precision: str = "fp32",
    device: str = "auto",
    assume: Mapping[str, Any] | None = None,
    workers: int | None = None,
    engine: str = "processes",
    settings: str | Sequence[str] = (),
) -> Evaluation:
    """Score weights or saved mattes: what `deepmat eval` does.

    weights: one file or several; without weights and predictions, lite. predictions: folders of mattes of any tool, by
    name or as "NAME=DIR". data: a test set (image/, trimap/, alpha/) or a data set; images, trimaps, alphas: folders in
    its place. protocol: names of scoring.protocols.PROTOCOLS, or "all"; comparisons and page are by the first. regions:
    also score over each of scoring.metrics.REGIONS. out: folder of scores.csv, scores.json and, with save_alphas,
    prediction/. report: HTML page. sheet: picture. mode, max_size, fit: as in inference.modes. assume: as for
    `load_model`. workers: threads. engine: "processes", or "ray" for the workers of a Ray cluster (`runtime.sharing`).
    settings: config keys, "test.tile=512".

    Raises ConfigError, DataError, CheckpointError, DeviceError before any work.
    """
    runs_on = parse_engine(engine)
    places = {"out": out, "sheet": sheet, "report": report}
    outputs = Outputs(**{name: as_path_or_none(path, name) for name, path in places.items()})
    refuse_storage(runs_on, outputs)
    geometry = {"mode": mode, "max_size": max_size, "fit": fit}
    config = load_settings(data, images, trimaps, alphas, geometry, settings)
    folders = matte_folders(predictions)
    networks = as_list(weights) or ([] if folders else [None])
    protocols = choose(as_texts(protocol, "protocol") or [DEFAULT])
    _check_outputs(outputs, save_alphas, skip_existing, len(networks), runs_on)
    _check_protocols(protocols, skip_existing)
    _check_geometry(geometry, assume, config.test, protocols, bool(networks))
    pictures, notices = pictures_to_score(config.test, config.data.root)
    names = [name for name, _ in pictures]
    saved = find_mattes(names, folders)
    first = next(iter(protocols.values()))
    open_all = partial(open_runs, networks, folders, config.test, first.geometry)
    opening = Opening(None, distributed.device_name(device), precision, assume)
    runs = open_all(opening)
    if len(networks) == 1:  # other processes take the precision that "auto" was here; networks may differ in it
        opening = opening._replace(precision=runs.settings["precision"])

    def opened() -> Mapping[str, Network]:
        return open_all(opening).networks

    opener = opened if runs_on.is_cluster else lambda: runs.networks
    kept = None
    if save_alphas and outputs.out:
        kept = KeptAlphas(outputs.out, names, runs.made_with | {"levels": first.saved}, skip_existing)
    over = tuple(REGIONS) if regions else ()
    gpu = bool(networks) and device != "cpu"
    plan = Plan(pictures, runs, saved, protocols, over, outputs, kept, workers, opener, runs_on, gpu)
    plan.refuse_overwriting()
    return Evaluation(plan, notices)


def _check_outputs(outputs: Outputs, save_alphas: bool, skip_existing: bool, networks: int, engine: Engine) -> None:
    out, sheet, report = outputs
    if sheet and not is_picture(sheet):
        raise ConfigError(f"--sheet {sheet}: not the name of a picture; write {sheet}.png")
    if report and report.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--report {report}: not the name of a page; write {report}.html")
    if report and (distributed.world() > 1 or engine.is_cluster):
        raise ConfigError("--report: one process writes it; start it without a launcher and without --engine")
    if save_alphas and not (networks == 1 and out):
        raise ConfigError("--save-alphas: give --weights once, whose alphas are saved, and -o DIR")
    if skip_existing and not save_alphas:
        raise ConfigError("--skip-existing: continues from alphas that --save-alphas wrote; add --save-alphas")


def _check_geometry(
    geometry: Mapping[str, Any],
    assume: Mapping[str, Any] | None,
    test: TestConfig,
    protocols: Mapping[str, Protocol],
    networks: bool,
) -> None:
    """Raise ConfigError for an option of networks that would have no effect."""
    for key, value in {**geometry, **(assume or {})}.items():
        flag = f"--{key.replace('_', '-')}"
        if value is not None and not networks:
            raise ConfigError(f"{flag}: saved mattes are scored unchanged; leave it out, or give --weights")
        if value is not None and all(key in each.geometry for each in protocols.values()):
            raise ConfigError(f"{flag}: protocol {' and '.join(protocols)} sets it; leave it out")
    if networks:
        given = {"--max-size": geometry["max_size"], "--fit": geometry["fit"]}
        configs.refuse_unused(given, mode_options(test))


def _check_protocols(protocols: Mapping[str, Protocol], skip_existing: bool) -> None:
    """Raise ConfigError for a protocol whose alphas cannot be read back from the kept 8-bit files."""
    for name, protocol in protocols.items():
        if skip_existing and (protocol.levels != "round" or protocol.geometry):
            raise ConfigError(f"--skip-existing: protocol {name} needs other alphas than the 8-bit ones kept")
