from collections.abc import Mapping, Sequence
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
    Weights,
    Workers,
    finish,
    flags,
    notify,
    open_model,
    progress_bar,
    refuse_keys,
    refuse_unused,
    stderr,
    stdout,
)
from deepmat.errors import CheckpointError, ConfigError, DataError
from deepmat.files import is_picture, refuse_overwriting, write_text
from deepmat.processes import cores

if TYPE_CHECKING:
    from deepmat.scoring import Network, Scored

SHEET_ROWS = 8
GENERAL = ("best", "last", "model", "prediction", "predictions", "alpha", "pred")
"""Names that do not tell one run from another."""
AXES = ("trimap", "jpeg", "noise")


def evaluate(
    weights: Weights = None,
    predictions: Annotated[
        list[str] | None,
        typer.Option("--predictions", "-p", metavar="[NAME=]DIR", help="Mattes of any tool to score; repeatable."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Test set (image/, trimap/, alpha/) or data set.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of pictures, in place of DATA/image.")] = None,
    trimaps: Annotated[Path | None, typer.Option(help="Folder of trimaps, in place of DATA/trimap.")] = None,
    alphas: Annotated[Path | None, typer.Option(help="Folder of true alphas, in place of DATA/alpha.")] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            metavar="matlab|mmagic|reference|port|whole|all",
            help="Whose way to score [matlab, the benchmark's]; repeatable; all compares them.",
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
    report: Annotated[
        Path | None, typer.Option(help="HTML page to write, with its larger pictures in a folder beside it.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--sheet", help="PNG to write: eight pictures with trimap, ground truth, prediction.")
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
    sweeps = [axis for axis, asked in zip(AXES, (trimap_sweep, jpeg_sweep, noise_sweep), strict=True) if asked]

    from deepmat.dataset import pictures_to_score
    from deepmat.protocols import DEFAULT, choose

    protocols = choose(protocol or [DEFAULT])
    for flag, value in {"--mode": mode, "--max-size": max_size, "--fit": fit}.items():
        if value is not None and all(flag[2:].replace("-", "_") in each.geometry for each in protocols.values()):
            raise ConfigError(f"{flag}: protocol {' and '.join(protocols)} says it; leave it out")
    pictures, notices = pictures_to_score(config.test, config.data.root)
    notify(notices)
    if not weights and (sweeps or not folders):
        others = "" if sweeps else "; --predictions DIR scores mattes that a tool saved"
        raise CheckpointError(
            f"no weights: give --weights FILE; `deepmat train` makes runs/NAME/best.safetensors{others}"
        )
    if sweeps:
        unused = {"--predictions": folders, "--protocol": protocol, "--regions": regions, "--report": report}
        for flag, used in {**unused, "--sheet": picture, "--save-alphas": save_alphas}.items():
            if used:
                raise ConfigError(f"{flag}: a sweep has no use for it; leave it out")
        if out:
            from deepmat.report import require_plots

            require_plots()
    if save_alphas and not (weights and out):
        raise ConfigError("--save-alphas: give --weights, whose alphas are saved, and -o DIR")
    if picture and not is_picture(picture):
        raise ConfigError(f"--sheet {picture}: not the name of a picture; write {picture}.png")
    if report and report.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--report {report}: a page; write {report}.html")
    alphas_to = {name: out / "prediction" / f"{name}.png" for name, _ in pictures} if out and save_alphas else {}
    read = [path for _, paths in pictures if isinstance(paths, dict) for path in paths.values()]
    refuse_overwriting([*alphas_to.values(), *filter(None, (picture, report))], read)

    settings: dict[str, Any] = {"deepmat": __version__, "protocol": next(iter(protocols))}
    networks: dict[str, Network] = {}
    if weights:
        from deepmat.inference import as_network, mode_options

        seen = config.test.model_copy(update=dict(next(iter(protocols.values())).geometry))
        options = mode_options(seen)
        refuse_unused({"--max-size": max_size, "--fit": fit}, {**mode_options(config.test)})
        told = ", ".join(f"{key} {value}" for key, value in options.items())
        model, precision = open_model(weights, device, precision, skip, told)
        networks[_label(weights)] = as_network(model, config.test)
        settings |= {"weights": str(weights), "precision": precision, **options}
    if sweeps:
        axes = {axis: getattr(config.test.sweep, axis) for axis in sweeps}
        _sweep(pictures, next(iter(networks.values())), axes, _label(weights or Path()), out, json)
        return

    from deepmat import imaging, scoring
    from deepmat.metrics import METRICS, REGIONS
    from deepmat.provenance import checksum, differences_from_published, identify
    from deepmat.report import Page, to_json, write_csv

    runs = [*networks, *folders]
    if len(set(runs)) < len(runs):
        raise ConfigError(f"--predictions: two runs are called {runs[-1]}; name them, --predictions NAME=DIR")
    page = Page(report) if report else None

    def keep(scored: "Scored") -> None:
        if scored.name in alphas_to and runs[0] in scored.mattes:
            imaging.write_image(alphas_to[scored.name], scored.mattes[runs[0]])
        if page and scored.case:
            page.add(scored.name, scored.case.image, scored.case.trimap, scored.case.alpha, scored.mattes)

    names = [name for name, _ in pictures]
    # Spread over the whole set: neighbours are often the same foreground.
    shown = set(names[:: max(1, len(names) // SHEET_ROWS)][:SHEET_ROWS]) if picture else set()
    records: list[dict[str, Any]] = []
    digests: dict[str, str] = {}
    rows: list[tuple[str, list[Any]]] = []
    odd = shrunk = 0
    with progress_bar(stderr()) as bar:
        task = bar.add_task("eval", total=len(pictures))
        for scored in scoring.score_pictures(
            pictures,
            networks,
            scoring.find_mattes(names, folders),
            protocols=protocols,
            regions=[name for name in REGIONS if name != "unknown"] if regions else [],
            keep=keep,
            workers=workers or cores(),
        ):
            bar.advance(task)
            records += scored.records
            if not scored.case:
                continue
            digests[scored.name] = scored.digest
            notify(scored.case.notices)
            odd += bool(scored.case.notices)
            shrunk += settings.get("mode") == "whole" and max(scored.case.alpha.shape) > settings["max_size"]
            if scored.name in shown and runs[0] in scored.mattes:
                case, first = scored.case, scored.records[0]
                caption = f"{scored.name}   SAD {first['sad']:.2f}  MSE {first['mse']:.4f}"
                rows.append((caption, [case.image, case.trimap, case.alpha, scored.mattes[runs[0]]]))
    failures = {f"{each['name']} {each.get('run', '')}": each["error"] for each in records if "error" in each}
    folder = next((paths["image"].parent for _, paths in pictures if isinstance(paths, dict)), Path())
    about, notices = identify(folder)
    notify(notices)
    settings |= {"compositor": about.compositor, "trimaps": about.trimaps, "checksum": checksum(digests)}
    failed = len({each["name"] for each in records if "error" in each})
    reasons = differences_from_published(about, digests, settings, failed, odd, shrunk)
    metrics = [*METRICS, *(key for key in _scores(records) if key not in METRICS)]
    summary = {
        "settings": settings,
        "comparable": not reasons,
        "remarks": reasons or ["as far as the manifest tells; `deepmat doctor` measures whether its claims are so"],
        "metrics": metrics,
        **scoring.summarise(records, metrics, about.foregrounds),
        "pictures": records,
    }
    # The screen first: what was computed is not lost with a full disk.
    if json:
        print(to_json(summary))
    else:
        _show(summary, tuple(METRICS))
    if out:
        columns = ["name", "run", "protocol", "height", "width", *metrics, "seconds", "error"]
        write_csv(out / "scores.csv", records, columns)
        write_text(out / "scores.json", to_json(summary) + "\n")
    if picture and rows:
        from deepmat.report import sheet

        imaging.write_image(picture, sheet(rows))
    if page:
        page.write(_page_of(summary, f"{', '.join(runs)} on {folder.parent.name or folder}"))
    made = [str(path) for path in (out, picture, report) if path]
    done = len({each["name"] for each in records if "error" not in each})
    finish(failures, f"{done} pictures scored" + (f"; see {', '.join(made)}" if made else ""))


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
        if not path.is_dir():
            raise DataError(f"{path}: {'is not a folder' if path.exists() else 'no such folder'}; check --predictions")
        run = name if named else _label(path.absolute())
        if run in folders:
            raise ConfigError(f"--predictions: two runs are called {run}; name them, --predictions NAME=DIR")
        folders[run] = path
    return folders


def _scores(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The scores in a record: what is there besides what tells which record it is."""
    first = next((record for record in records if "error" not in record), {})
    return [key for key in first if key not in ("name", "run", "protocol", "height", "width", "seconds")]


def _show(summary: Mapping[str, Any], metrics: Sequence[str]) -> None:
    """The tables on stdout: of pictures for one run, of runs or protocols where there are several; and of what."""
    from deepmat.metrics import REGIONS
    from deepmat.report import compared, protocols_table, regions_table, runs_table, scores_table

    means, console = summary["means"], stdout()
    if not means:
        return
    first = {name: each["mean"] for name, each in means[0]["mean"].items()}
    protocol = means[0]["protocol"]
    if len(means) == 1:
        console.print(scores_table(summary["pictures"], {name: first[name] for name in metrics}))
    elif all(each["protocol"] == protocol for each in means):
        console.print(runs_table(means, metrics))
        for line in compared(summary["comparisons"], "sad"):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    else:
        console.print(protocols_table(means, metrics))
    if len(summary["metrics"]) > len(metrics):
        scores = {f"{name}_unknown": first[name] for name in metrics} | first
        console.print(regions_table(scores, metrics, tuple(REGIONS)))
    told = ("protocol", "compositor", "trimaps", "mode", "fit", "max_size", "precision", "checksum")
    of = [f"{key.replace('_', '-')} {summary['settings'][key]}" for key in told if key in summary["settings"]]
    verdict = "comparable to published Composition-1k"
    verdict = f"{'' if summary['comparable'] else 'not '}{verdict}: {'; '.join(summary['remarks'])}"
    for line in (", ".join(of), verdict):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _page_of(summary: Mapping[str, Any], title: str) -> dict[str, Any]:
    """The summary as a page shows it: of the first protocol alone."""
    protocol = summary["settings"]["protocol"]
    means = [each for each in summary["means"] if each["protocol"] == protocol]
    return {
        **summary,
        "title": title,
        "runs": [{"run": each["run"], "mean": each["mean"], "settings": {}} for each in means],
        "pictures": [each for each in summary["pictures"] if each.get("protocol", protocol) == protocol],
    }


def _sweep(
    pictures: Sequence[tuple[str, Any]],
    network: "Network",
    axes: Mapping[str, Sequence[int]],
    run: str,
    out: Path | None,
    json: bool,
) -> None:
    """Scores over the levels of each axis: a table, or JSON; and with `out` sweep.csv and a picture, sweep.png."""
    from deepmat.report import curves_table, draw_curves, to_json, write_csv
    from deepmat.robustness import curves, sweep

    metrics = ("sad", "mse")
    records: list[dict[str, Any]] = []
    with progress_bar(stderr()) as bar:
        task = bar.add_task("sweep", total=len(pictures))
        for found in sweep(pictures, network, axes, metrics):
            records += found
            bar.advance(task)
    points = curves(records, metrics)
    if json:
        print(to_json({"run": run, "curves": points, "pictures": records}))
    elif points:
        stdout().print(curves_table(points, metrics))
    failures = {each["name"]: each["error"] for each in records if "error" in each}
    if out:
        write_csv(out / "sweep.csv", records, ["name", "axis", "level", *metrics, "error"])
        if points:
            title = f"{run}: mean over {len(pictures) - len(failures)} pictures"
            draw_curves(out / "sweep.png", points, "sad", title)
    scored = f"{len(pictures) - len(failures)} pictures, {len(points)} ways each"
    finish(failures, scored + (f"; see {out / 'sweep.png'}" if out and points else "; -o DIR draws it"))
