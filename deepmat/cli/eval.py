from collections.abc import Iterable, Mapping, Sequence
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepmat import __version__
from deepmat import config as configs
from deepmat.cli.options import (
    Device,
    Fit,
    MaxSize,
    Mode,
    Precision,
    Set,
    Skip,
    Workers,
    finish,
    notify,
    open_model,
    progress_bar,
    say,
    stderr,
    stdout,
)
from deepmat.cli.sweep import AXES, refuse_for_a_sweep, sweep
from deepmat.config import flags, refuse_keys, refuse_unused
from deepmat.errors import ConfigError, DataError
from deepmat.runtime import distributed as ranks
from deepmat.runtime.files import is_picture, refuse_overwriting, write_text
from deepmat.runtime.processes import cores

if TYPE_CHECKING:
    from deepmat.scoring.pictures import Scored

SHEET_ROWS = 8
GENERAL = ("best", "last", "model", "prediction", "predictions", "alpha", "pred")
"""Names that do not tell one run from another."""


def evaluate(
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            "--weights",
            "-w",
            help="best.safetensors of a run, or a published DIM file; repeatable [lite].",
        ),
    ] = None,
    predictions: Annotated[
        list[str] | None,
        typer.Option(
            "--predictions",
            "-p",
            metavar="[NAME=]DIR",
            help="Mattes of any tool; repeatable, compared with the first run.",
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Test set (image/, trimap/, alpha/) or data set.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of pictures, in place of DATA/image.")] = None,
    trimaps: Annotated[Path | None, typer.Option(help="Folder of trimaps, in place of DATA/trimap.")] = None,
    alphas: Annotated[Path | None, typer.Option(help="Folder of true alphas, in place of DATA/alpha.")] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            metavar="matlab|mmagic|reference|port|whole|all",
            help="Whose way to score [matlab, the benchmark's]; repeatable, the first one for report and comparisons; "
            "all compares them.",
        ),
    ] = None,
    regions: Annotated[
        bool, typer.Option("--regions", help="Also over the whole picture and over its fine parts alone.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for scores.csv, scores.json and, if asked for, alphas.")
    ] = None,
    save_alphas: Annotated[
        bool, typer.Option("--save-alphas", help="Write the network's alphas to OUT/prediction.")
    ] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Take alphas that --save-alphas wrote before, of the same weights.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="HTML page to write, with its larger pictures in a folder beside it.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option("--sheet", help="Picture to write: eight, with trimap, truth and the first run's alpha."),
    ] = None,
    trimap_sweep: Annotated[bool, typer.Option("--trimap-sweep", help="Score with trimaps of several widths.")] = False,
    jpeg_sweep: Annotated[bool, typer.Option("--jpeg-sweep", help="Score with images that went through JPEG.")] = False,
    noise_sweep: Annotated[bool, typer.Option("--noise-sweep", help="Score with noise on the images.")] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout in place of tables.")] = False,
    mode: Mode = None,
    max_size: MaxSize = None,
    fit: Fit = None,
    precision: Precision = "fp32",
    device: Device = "auto",
    skip: Skip = None,
    workers: Workers = None,
    set_: Set = None,
) -> None:
    """Score weights or saved mattes.

    Without either it scores deepmat's own network, lite.
    SAD, MSE, Grad, Conn and MAD over the unknown region of pictures with known alpha, as the benchmark takes them or by
    another protocol; SAD, Grad and Conn in thousands. The sweeps score weights on pictures made harder step by step;
    with -o, they are drawn.
    """
    given = flags(
        {
            "data.root": str(data) if data else None,
            "test.image": str(images) if images else None,
            "test.trimap": str(trimaps) if trimaps else None,
            "test.alpha": str(alphas) if alphas else None,
            "test.mode": mode,
            "test.max_size": max_size,
            "test.fit": fit,
        }
    )
    refuse_keys(set_ or [], ("test", "data"))
    config = configs.load(flags=given, overrides=set_ or [])
    folders = _folders(predictions or [])
    files: Sequence[Path | None] = weights or ([] if folders else [None])  # None is the network that deepmat ships
    sweeps = [axis for axis, asked in zip(AXES, (trimap_sweep, jpeg_sweep, noise_sweep), strict=True) if asked]
    if picture and not is_picture(picture):
        raise ConfigError(f"--sheet {picture}: not the name of a picture; write {picture}.png")
    if report and report.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--report {report}: a page; write {report}.html")
    if save_alphas and not (len(files) == 1 and out):
        raise ConfigError("--save-alphas: give --weights once, whose alphas are saved, and -o DIR")
    if skip_existing and not save_alphas:
        raise ConfigError("--skip-existing: goes on from alphas that --save-alphas wrote; give it too")
    if ranks.world() > 1 and (sweeps or report):
        raise ConfigError(f"{'--report' if report else 'a sweep'}: is made by one process; start it without a launcher")
    if sweeps:
        unused = {"--predictions": folders, "--protocol": protocol, "--regions": regions, "--report": report}
        refuse_for_a_sweep({**unused, "--sheet": picture, "--save-alphas": save_alphas}, out)

    from deepmat.data.pairs import pictures_to_score
    from deepmat.scoring.protocols import DEFAULT, choose

    protocols = choose(protocol or [DEFAULT])
    for flag, value in {"--mode": mode, "--max-size": max_size, "--fit": fit}.items():
        if value is not None and all(flag[2:].replace("-", "_") in each.geometry for each in protocols.values()):
            raise ConfigError(f"{flag}: protocol {' and '.join(protocols)} says it; leave it out")
    apart = [name for name, each in protocols.items() if each.levels != "round" or each.geometry]
    if skip_existing and apart:
        raise ConfigError(f"--skip-existing: protocol {apart[0]} takes other alphas than the 8 bits kept")
    pictures, notices = pictures_to_score(config.test, config.data.root)
    notify(notices)
    for flag, value in {"--mode": mode, "--max-size": max_size, "--fit": fit, "--skip": skip}.items():
        if value is not None and not files:
            raise ConfigError(f"{flag}: saved mattes are scored as they are; leave it out, or give --weights")
    places = {name: out / "prediction" / f"{name}.png" for name, _ in pictures} if out and save_alphas else {}

    from deepmat.scoring import pictures as scoring

    names = [name for name, _ in pictures]
    saved = scoring.find_mattes(names, folders)
    sources: list[Mapping[str, Any]] = [*(paths for _, paths in pictures if isinstance(paths, dict)), *saved.values()]
    read = [path for paths in sources for path in paths.values() if isinstance(path, Path)]
    refuse_overwriting([*places.values(), *filter(None, (picture, report))], read)

    settings: dict[str, Any] = {"deepmat": __version__, "protocol": next(iter(protocols))}
    networks: dict[str, scoring.Network] = {}
    runs: dict[str, dict[str, Any]] = {}
    for file in files:
        from deepmat.inference.predict import as_network, mode_options
        from deepmat.models import SHIPPED, find_weights, label_of
        from deepmat.models.weights import sha256

        refuse_unused({"--max-size": max_size, "--fit": fit}, mode_options(config.test))
        options = mode_options(config.test.model_copy(update=dict(next(iter(protocols.values())).geometry)))
        told = ", ".join(f"{key} {value}" for key, value in options.items())
        model, used = open_model(file, ranks.device_name(device), precision, skip, told)
        path = find_weights(file)
        # Not what `train --config lite` calls its run.
        run = _new_run(f"deepmat's {path.stem}" if path in SHIPPED.values() else _label(path), runs)
        networks[run] = as_network(model, config.test)
        runs[run] = {"weights": label_of(path), "sha256": sha256(path)}
        settings |= {"precision": used, **options}
    if sweeps:
        axes = {axis: getattr(config.test.sweep, axis) for axis in sweeps}
        if len(networks) > 1:
            raise ConfigError("--weights: a sweep takes one")
        sweep(pictures, networks, axes, {**settings, **runs[next(iter(runs))]}, out, json)
        return
    for run, folder in folders.items():
        runs[_new_run(run, runs)] = {"mattes": str(folder)}

    from deepmat import imaging
    from deepmat.imaging.sheets import sheet
    from deepmat.report import Page, summary_tables, write_csv
    from deepmat.runtime.records import to_json
    from deepmat.scoring.metrics import METRICS, REGIONS
    from deepmat.scoring.results import KEYS, Results

    first = next(iter(runs))
    ranks.meet()
    if out and save_alphas:
        chosen = next(iter(protocols.values()))
        made_by = {key: value for key, value in settings.items() if key not in ("deepmat", "protocol")}
        made_by |= {"sha256": runs[first]["sha256"], "levels": chosen.saved}
        if not ranks.rank():
            _claim(places, made_by, out / "prediction.json", skip_existing)
        ranks.gather(None)
    if skip_existing:
        for name, place in places.items():
            if place.is_file():
                saved[name] = {first: place, **saved[name]}
    page = Page(report) if report else None

    def keep(scored: "Scored") -> None:
        if scored.name in places and first in scored.mattes and first not in saved[scored.name]:
            imaging.write_image(places[scored.name], scored.mattes[first])
        if page and scored.case:
            page.add(scored.name, scored.case.image, scored.case.trimap, scored.case.alpha, scored.mattes)

    # Spread over the whole set: neighbours are often the same foreground.
    shown = set(names[:: max(1, len(names) // SHEET_ROWS)][:SHEET_ROWS]) if picture else set()
    rows: dict[str, tuple[str, list[Any]]] = {}
    results = Results(settings, runs)
    stopped = False
    mine = ranks.share(pictures)
    with progress_bar(stderr()) as bar:
        task = bar.add_task("eval", total=len(mine))
        try:
            for scored in scoring.score_pictures(
                mine,
                networks,
                saved,
                protocols=protocols,
                regions=tuple(REGIONS) if regions else (),
                keep=keep,
                workers=workers or cores(),
            ):
                bar.advance(task)
                results.add(scored)
                notify([*scored.case.notices, *scored.case.doubts] if scored.case else [])
                if scored.name in shown and first in scored.mattes:
                    rows[scored.name] = _row(scored, first)
        except KeyboardInterrupt:
            if ranks.world() > 1:
                raise
            stopped, out, picture, page = True, None, None, None  # files are of whole sets
    results.parts = ranks.merged(ranks.gather(results.parts))
    rows = {name: row for part in ranks.gather(rows) for name, row in part.items()}
    if ranks.rank():
        return  # the first process writes and speaks for all
    places_read = _folders_of(pictures)
    summary, notices = results.summary(places_read)
    notify(notices)
    try:
        if out:
            columns = dict.fromkeys([*KEYS[:-2], *summary["metrics"], *KEYS[-2:]])
            write_csv(out / "scores.csv", results.records, list(columns))
            write_text(out / "scores.json", to_json(summary) + "\n")
        if picture and rows:
            imaging.write_image(picture, sheet([rows[name] for name in names if name in rows]))
        if page and summary["means"]:
            page.write(_page_of(summary, f"{', '.join(runs)} on {places_read['image'].absolute().parent.name}"))
    finally:  # what was computed is not lost with a full disk, nor the files with a reader that had enough
        if json:
            print(to_json(summary))
        else:
            for part in summary_tables(summary, tuple(METRICS), tuple(REGIONS)):
                stdout().print(part, highlight=False, markup=False, soft_wrap=isinstance(part, str))
    if stopped:
        kept = "; the alphas so far are kept, the same command with --skip-existing goes on" if places else ""
        say(f"stopped, with scores of {results.usable} of {len(pictures)} pictures{kept}")
        raise typer.Exit(130)
    made = [str(path) for path in (out, picture, report) if path and path.exists()]
    done = len({each["name"] for each in results.records if "error" not in each})
    see = f"; see {', '.join(made)}" if made else ""
    finish(results.failures, f"{done} picture{'' if done == 1 else 's'} scored{see}")


def _claim(places: Mapping[str, Path], made_by: Mapping[str, Any], note: Path, skip_existing: bool) -> None:
    """Note what makes the alphas in these places; what others left there goes. ConfigError for going on from others."""
    same = note.is_file() and note.read_text(encoding="utf-8") == dumps(made_by)
    there = [place for place in places.values() if place.is_file()]
    if there and skip_existing and not same:
        raise ConfigError(f"{there[0].parent}: its alphas are of other weights or settings; leave --skip-existing out")
    if not same:
        for place in there:
            place.unlink()
        write_text(note, dumps(made_by))


def _row(scored: "Scored", run: str) -> tuple[str, list[Any]]:
    """Caption and pictures of a sheet's row."""
    assert scored.case
    case, scores = scored.case, next(record for record in scored.records if record["run"] == run)
    caption = f"{scored.name}   SAD {scores['sad']:.2f}  MSE {scores['mse']:.4f}"
    return caption, [case.image, case.trimap, case.alpha, scored.mattes[run]]


def _folders_of(pictures: Sequence[tuple[str, Any]]) -> dict[str, Path]:
    """The folders that the pictures' names are from, by kind."""
    name, paths = next(((name, paths) for name, paths in pictures if isinstance(paths, dict)), ("", {}))
    depth = len(Path(name).parts)
    return {kind: path.parents[min(depth, len(path.parents)) - 1] for kind, path in paths.items()} or {"image": Path()}


def _label(path: Path) -> str:
    """What a run is called by the place of its weights or mattes."""
    return path.parent.name if path.stem in GENERAL and path.parent.name else path.stem


def _folders(predictions: Sequence[str]) -> dict[str, Path]:
    """Folders of mattes by the name of their run: as given, NAME=DIR, or by the folder's."""
    folders: dict[str, Path] = {}
    for text in predictions:
        name, equals, rest = text.partition("=")
        named = equals and not Path(text).exists()
        path = Path(rest if named else text)
        if named and not (name and rest):
            raise ConfigError(f"--predictions {text}: write NAME=DIR, or the folder alone")
        if not path.is_dir():
            raise DataError(f"{path}: {'is not a folder' if path.exists() else 'no such folder'}; check --predictions")
        folders[_new_run(name if named else _label(path.absolute()), folders)] = path
    return folders


def _new_run(run: str, runs: Iterable[str]) -> str:
    if run in runs:
        raise ConfigError(f"two runs are called {run}; name mattes by --predictions NAME=DIR, rename weights")
    return run


def _page_of(summary: Mapping[str, Any], title: str) -> dict[str, Any]:
    """The summary as a page shows it: of the first protocol alone."""
    protocol = summary["settings"]["protocol"]
    means = [each for each in summary["means"] if each["protocol"] == protocol]
    told = {each["run"]: {key: value for key, value in each.items() if key != "run"} for each in summary["runs"]}
    return {
        **{key: value for key, value in summary.items() if key != "means"},
        "title": title,
        "metrics": [name for name in summary["metrics"] if not name.endswith("_unknown")],  # the protocol's own, mostly
        "runs": [{"run": each["run"], "mean": each["mean"], "settings": told[each["run"]]} for each in means],
        "pictures": [each for each in summary["pictures"] if each.get("protocol", protocol) == protocol],
    }
