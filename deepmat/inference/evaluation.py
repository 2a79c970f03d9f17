"""Score weights and saved mattes on pictures of known alpha: what `deepmat eval` does."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from json import dumps
from pathlib import Path
from typing import Any, cast

import numpy as np

from deepmat import __version__, imaging
from deepmat import config as configs
from deepmat.config import Config
from deepmat.data.pairs import Paths, pictures_to_score
from deepmat.errors import ConfigError, DataError
from deepmat.imaging.sheets import sheet as draw_sheet
from deepmat.inference.modes import mode_options
from deepmat.inference.opening import open_network
from deepmat.inference.predict import as_network
from deepmat.models import SHIPPED
from deepmat.models.weights import sha256
from deepmat.report import Page, write_csv
from deepmat.runtime import distributed
from deepmat.runtime.files import is_picture, refuse_overwriting, write_text
from deepmat.runtime.processes import cores
from deepmat.runtime.records import to_json
from deepmat.runtime.work import Work
from deepmat.scoring.metrics import REGIONS
from deepmat.scoring.pictures import Network, Scored, find_mattes, score_pictures
from deepmat.scoring.protocols import DEFAULT, Protocol, choose
from deepmat.scoring.results import KEYS, Results, Summary

SHEET_ROWS = 8
GENERAL = ("best", "last", "model", "prediction", "predictions", "alpha", "pred")
"""Names that do not distinguish one run from another."""

Pictures = Sequence[tuple[str, Paths | DataError]]
Weights = Path | str | None


@dataclass(frozen=True)
class Runs:
    """What is compared: networks, and folders of saved mattes."""

    about: dict[str, dict[str, Any]]
    """By name, in the order given: {"weights", "sha256"} or {"mattes"}."""
    networks: dict[str, Network]
    settings: dict[str, Any]
    """Precision, mode and its options, where there are networks."""
    lines: list[str]
    """One line on each network."""

    @property
    def first(self) -> str:
        """The run that others are compared with."""
        return next(iter(self.about))


@dataclass(frozen=True)
class Files:
    """What is written."""

    out: Path | None
    """Folder of scores.csv and scores.json."""
    sheet: Path | None
    report: Path | None
    alphas: dict[str, Path]
    """The file of each picture's alpha, with save_alphas."""


@dataclass(frozen=True)
class Evaluation(Work[Scored]):
    """A prepared evaluation. Iterating scores this process's pictures; `run` also aggregates and writes the files."""

    pictures: Pictures = ()
    runs: Runs = field(default_factory=lambda: Runs({}, {}, {}, []))
    files: Files = field(default_factory=lambda: Files(None, None, None, {}))
    results: Results = field(default_factory=lambda: Results({}, {}))
    page: Page | None = None
    rows: dict[str, tuple[str, list[np.ndarray]]] = field(default_factory=dict)
    """Rows of the sheet by picture."""
    saved: dict[str, dict[str, Path | DataError]] = field(default_factory=dict)
    """Saved mattes by picture and run."""
    protocols: Mapping[str, Protocol] = field(default_factory=dict)
    regions: Sequence[str] = ()
    skip_existing: bool = False
    workers: int = 1

    def __iter__(self) -> Iterator[Scored]:
        if self.files.alphas:
            _claim_alphas(self)
        yield from _score(self)

    def summarise(self) -> tuple[Summary, list[str]]:
        """Aggregate the scores of all processes; and notices. Every process of a job must call it."""
        self.results.parts = distributed.merged(distributed.gather(self.results.parts))
        for part in distributed.gather(self.rows):
            self.rows.update(part)
        return self.results.summary(_folders_of(self.pictures))

    def write(self, summary: Summary) -> list[Path]:
        """Write scores.csv, scores.json, sheet and page, as far as asked for. Returns what was written."""
        files = self.files
        written = []
        if files.out:
            columns = dict.fromkeys([*KEYS[:-2], *summary["metrics"], *KEYS[-2:]])
            write_csv(files.out / "scores.csv", self.results.records, list(columns))
            write_text(files.out / "scores.json", to_json(summary) + "\n")
            written.append(files.out)
        if files.sheet and self.rows:
            rows = [self.rows[name] for name, _ in self.pictures if name in self.rows]
            imaging.write_image(files.sheet, draw_sheet(rows))
            written.append(files.sheet)
        if self.page and summary["means"]:
            data = _folders_of(self.pictures)["image"].absolute().parent.name
            self.page.write(_page_of(summary, f"{', '.join(self.runs.about)} on {data}"))
            written.append(self.page.path)
        return written

    def run(self) -> Summary:  # type: ignore[override]
        """Do the whole job. Returns the aggregated scores, with the record of every picture under "pictures"."""
        for _ in self:
            pass
        summary, _ = self.summarise()
        if not distributed.rank():
            self.write(summary)
        return summary


def evaluate(
    weights: Weights | Sequence[Weights] = None,
    predictions: Mapping[str, Path | str] | Sequence[str] = (),
    *,
    data: Path | str | None = None,
    images: Path | str | None = None,
    trimaps: Path | str | None = None,
    alphas: Path | str | None = None,
    protocol: str | Sequence[str] = DEFAULT,
    regions: bool = False,
    out: Path | str | None = None,
    save_alphas: bool = False,
    skip_existing: bool = False,
    report: Path | str | None = None,
    sheet: Path | str | None = None,
    mode: str | None = None,
    max_size: int | None = None,
    fit: str | None = None,
    precision: str = "fp32",
    device: str = "auto",
    assume: Mapping[str, Any] | None = None,
    workers: int | None = None,
    settings: Sequence[str] = (),
) -> Evaluation:
    """Score weights or saved mattes: what `deepmat eval` does.

    weights: one file or several; without weights and predictions, lite. predictions: folders of mattes of any tool, by
    name or as "NAME=DIR". data: a test set (image/, trimap/, alpha/) or a data set; images, trimaps, alphas: folders in
    its place. protocol: names of scoring.protocols.PROTOCOLS, or "all"; the first is that of comparisons and page.
    regions: score the regions of scoring.metrics.REGIONS too. out: folder of scores.csv, scores.json and, with
    save_alphas, prediction/. report: HTML page; sheet: picture. mode, max_size, fit: as in inference.modes. assume: as
    for `load_model`. workers: threads. settings: config keys, "test.tile=512".

    Raises ConfigError, DataError, CheckpointError, DeviceError before any work. `run()` returns the Summary; iterating
    yields each scored picture. Several processes of a launcher share the pictures.
    """
    geometry = {"mode": mode, "max_size": max_size, "fit": fit}
    config = load_settings(data, images, trimaps, alphas, geometry, settings)
    folders = _folders(predictions)
    files = weight_files(weights, bool(folders))
    outputs = _outputs(out, sheet, report, save_alphas, skip_existing, len(files))
    protocols = choose([protocol] if isinstance(protocol, str) else protocol or [DEFAULT])
    _check_protocols(protocols, geometry, skip_existing)
    pictures, notices = pictures_to_score(config.test, config.data.root)
    _refuse_for_mattes({**geometry, **(assume or {})}, files)
    if save_alphas and outputs.out:
        kept = {name: outputs.out / "prediction" / f"{name}.png" for name, _ in pictures}
        outputs.alphas.update(kept)
    names = [name for name, _ in pictures]
    saved = find_mattes(names, folders)
    _refuse_overwriting(outputs, pictures, saved)
    runs = open_runs(files, config, protocols, geometry, device, precision, assume)
    for run, folder in folders.items():
        runs.about[new_run(run, runs.about)] = {"mattes": str(folder)}
    results = Results({"deepmat": __version__, "protocol": next(iter(protocols)), **runs.settings}, runs.about)
    return Evaluation(
        total=len(distributed.share(pictures)),
        notices=notices,
        about="\n".join(runs.lines),
        pictures=pictures,
        runs=runs,
        files=outputs,
        results=results,
        page=Page(outputs.report) if outputs.report else None,
        saved=saved,
        protocols=protocols,
        regions=tuple(REGIONS) if regions else (),
        skip_existing=skip_existing,
        workers=workers or cores(),
    )


def load_settings(
    data: Path | str | None,
    images: Path | str | None,
    trimaps: Path | str | None,
    alphas: Path | str | None,
    geometry: Mapping[str, Any],
    settings: Sequence[str],
) -> Config:
    """The config of an evaluation: test pictures and geometry."""
    configs.refuse_keys(settings, ("test", "data"))
    given = {"data.root": data, "test.image": images, "test.trimap": trimaps, "test.alpha": alphas}
    paths = {key: str(path) if path else None for key, path in given.items()}
    flags = configs.flags({**paths, **{f"test.{key}": value for key, value in geometry.items()}})
    return configs.load(flags=flags, overrides=settings)


def weight_files(weights: Weights | Sequence[Weights], mattes: bool) -> list[Weights]:
    """The weights to score; None stands for lite, the default where there are no mattes either."""
    given: list[Weights] = [weights] if isinstance(weights, (str, Path)) else list(weights or ())
    return given or ([] if mattes else [None])


def _outputs(
    out: Path | str | None,
    sheet: Path | str | None,
    report: Path | str | None,
    save_alphas: bool,
    skip_existing: bool,
    networks: int,
) -> Files:
    out, sheet, report = (Path(path) if path else None for path in (out, sheet, report))
    if sheet and not is_picture(sheet):
        raise ConfigError(f"--sheet {sheet}: not the name of a picture; write {sheet}.png")
    if report and report.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--report {report}: a page; write {report}.html")
    if save_alphas and not (networks == 1 and out):
        raise ConfigError("--save-alphas: give --weights once, whose alphas are saved, and -o DIR")
    if skip_existing and not save_alphas:
        raise ConfigError("--skip-existing: goes on from alphas that --save-alphas wrote; give it too")
    if report and distributed.world() > 1:
        raise ConfigError("--report: is made by one process; start it without a launcher")
    return Files(out, sheet, report, {})


def _check_protocols(protocols: Mapping[str, Protocol], geometry: Mapping[str, Any], skip_existing: bool) -> None:
    for key, value in geometry.items():
        if value is not None and all(key in each.geometry for each in protocols.values()):
            flag = f"--{key.replace('_', '-')}"
            raise ConfigError(f"{flag}: protocol {' and '.join(protocols)} sets it; leave it out")
    apart = [name for name, each in protocols.items() if each.levels != "round" or each.geometry]
    if skip_existing and apart:
        raise ConfigError(f"--skip-existing: protocol {apart[0]} takes other alphas than the 8 bits kept")


def _refuse_for_mattes(given: Mapping[str, Any], files: Sequence[Weights]) -> None:
    for key, value in given.items():
        if value is not None and not files:
            flag = f"--{key.replace('_', '-')}"
            raise ConfigError(f"{flag}: saved mattes are scored unchanged; leave it out, or give --weights")


def _refuse_overwriting(outputs: Files, pictures: Pictures, saved: Mapping[str, Mapping[str, Any]]) -> None:
    sources: list[Mapping[str, Any]] = [*(paths for _, paths in pictures if isinstance(paths, dict)), *saved.values()]
    read = [path for paths in sources for path in paths.values() if isinstance(path, Path)]
    refuse_overwriting([*outputs.alphas.values(), *filter(None, (outputs.sheet, outputs.report))], read)


def open_runs(
    files: Sequence[Weights],
    config: Config,
    protocols: Mapping[str, Protocol],
    geometry: Mapping[str, Any],
    device: str,
    precision: str,
    assume: Mapping[str, Any] | None,
) -> Runs:
    """Open the networks to score, each under a name of its own."""
    runs = Runs({}, {}, {}, [])
    for file in files:
        flags = {"--max-size": geometry["max_size"], "--fit": geometry["fit"]}
        configs.refuse_unused(flags, mode_options(config.test))
        options = mode_options(config.test.model_copy(update=dict(next(iter(protocols.values())).geometry)))
        opened = open_network(file, device=distributed.device_name(device), precision=precision, assume=assume)
        # Not "lite", which is the name of a run of `train --config lite`.
        name = f"deepmat's {opened.path.stem}" if opened.path in SHIPPED.values() else _label(opened.path)
        run = new_run(name, runs.about)
        runs.networks[run] = as_network(opened.network, config.test)
        runs.about[run] = {"weights": opened.label, "sha256": sha256(opened.path)}
        runs.settings.update({"precision": opened.precision, **options})
        runs.lines.append(f"{opened.about}, {', '.join(f'{key} {value}' for key, value in options.items())}")
    return runs


def _claim_alphas(made: Evaluation) -> None:
    """Note which weights the alphas are of; with skip_existing, take those that exist in place of predicting."""
    first = made.runs.first
    made_by: dict[str, Any] = {**made.runs.settings, "sha256": made.runs.about[first]["sha256"]}
    made_by["levels"] = next(iter(made.protocols.values())).saved
    assert made.files.out
    if not distributed.rank():
        _claim(made.files.alphas, made_by, made.files.out / "prediction.json", made.skip_existing)
    distributed.gather(None)
    if made.skip_existing:
        for name, place in made.files.alphas.items():
            if place.is_file():
                made.saved[name] = {first: place, **made.saved[name]}


def _claim(places: Mapping[str, Path], made_by: Mapping[str, Any], note: Path, skip_existing: bool) -> None:
    """Write what the alphas in these places are made by; other alphas there are removed, or a ConfigError to go on."""
    same = note.is_file() and note.read_text(encoding="utf-8") == dumps(made_by)
    there = [place for place in places.values() if place.is_file()]
    if there and skip_existing and not same:
        raise ConfigError(f"{there[0].parent}: its alphas are of other weights or settings; leave --skip-existing out")
    if not same:
        for place in there:
            place.unlink()
        write_text(note, dumps(made_by))


def _score(made: Evaluation) -> Iterator[Scored]:
    first, alphas = made.runs.first, made.files.alphas
    names = [name for name, _ in made.pictures]
    # Spread over the whole set: neighbours often share a foreground.
    shown = set(names[:: max(1, len(names) // SHEET_ROWS)][:SHEET_ROWS]) if made.files.sheet else set()

    def keep(scored: Scored) -> None:
        if scored.name in alphas and first in scored.mattes and first not in made.saved[scored.name]:
            imaging.write_image(alphas[scored.name], scored.mattes[first])
        if made.page and scored.case:
            made.page.add(scored.name, scored.case.image, scored.case.trimap, scored.case.alpha, scored.mattes)

    for scored in score_pictures(
        distributed.share(made.pictures),
        made.runs.networks,
        made.saved,
        protocols=made.protocols,
        regions=made.regions,
        keep=keep,
        workers=made.workers,
    ):
        made.results.add(scored)
        if scored.name in shown and first in scored.mattes:
            made.rows[scored.name] = _row(scored, first)
        yield scored


def _row(scored: Scored, run: str) -> tuple[str, list[np.ndarray]]:
    """Caption and pictures of a sheet's row."""
    assert scored.case
    case, scores = scored.case, next(record for record in scored.records if record["run"] == run)
    caption = f"{scored.name}   SAD {scores['sad']:.2f}  MSE {scores['mse']:.4f}"
    return caption, [case.image, case.trimap, case.alpha, scored.mattes[run]]


def _folders_of(pictures: Pictures) -> dict[str, Path]:
    """The folders that the pictures' names are from, by kind."""
    name, paths = next(((name, paths) for name, paths in pictures if isinstance(paths, dict)), ("", {}))
    depth = len(Path(name).parts)
    return {kind: path.parents[min(depth, len(path.parents)) - 1] for kind, path in paths.items()} or {"image": Path()}


def _label(path: Path) -> str:
    """The name of a run, from the place of its weights or mattes."""
    return path.parent.name if path.stem in GENERAL and path.parent.name else path.stem


def _folders(predictions: Mapping[str, Path | str] | Sequence[str]) -> dict[str, Path]:
    """Folders of mattes by the name of their run: as given, or that of the folder."""
    if isinstance(predictions, Mapping):
        given = [(name, Path(path)) for name, path in predictions.items()]
    else:
        given = [_named_folder(str(text)) for text in predictions]
    folders: dict[str, Path] = {}
    for name, path in given:
        if not path.is_dir():
            raise DataError(f"{path}: {'is not a folder' if path.exists() else 'no such folder'}; check --predictions")
        folders[new_run(name, folders)] = path
    return folders


def _named_folder(text: str) -> tuple[str, Path]:
    """ "NAME=DIR" or "DIR" as name and folder."""
    name, equals, rest = text.partition("=")
    named = equals and not Path(text).exists()
    if named and not (name and rest):
        raise ConfigError(f"--predictions {text}: write NAME=DIR, or the folder only")
    path = Path(rest if named else text)
    return name if named else _label(path.absolute()), path


def new_run(run: str, runs: Iterable[str]) -> str:
    """The name of a run, if it is new. Raises ConfigError if another run has it."""
    if run in runs:
        raise ConfigError(f"two runs are called {run}; name mattes by --predictions NAME=DIR, rename weights")
    return run


def _page_of(summary: Summary, title: str) -> dict[str, Any]:
    """The summary as a page shows it: of the first protocol only."""
    values = cast(dict[str, Any], summary)
    protocol = values["settings"]["protocol"]
    means = [each for each in values["means"] if each["protocol"] == protocol]
    about = {each["run"]: {key: value for key, value in each.items() if key != "run"} for each in values["runs"]}
    return {
        **{key: value for key, value in values.items() if key != "means"},
        "title": title,
        "metrics": [name for name in values["metrics"] if not name.endswith("_unknown")],  # mostly the protocol's own
        "runs": [{"run": each["run"], "mean": each["mean"], "settings": about[each["run"]]} for each in means],
        "pictures": [each for each in values["pictures"] if each.get("protocol", protocol) == protocol],
    }
