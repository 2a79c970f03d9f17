from pathlib import Path
from typing import Annotated, Any

import typer

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
from deepmat.errors import ConfigError
from deepmat.files import is_picture, refuse_overwriting, write_text

SHEET_ROWS = 8


def evaluate(
    weights: Weights = None,
    data: Annotated[Path | None, typer.Option(help="Test set (image/, trimap/, alpha/) or data set.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of pictures, in place of DATA/image.")] = None,
    trimaps: Annotated[Path | None, typer.Option(help="Folder of trimaps, in place of DATA/trimap.")] = None,
    alphas: Annotated[Path | None, typer.Option(help="Folder of true alphas, in place of DATA/alpha.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for scores.csv, scores.json and, if asked for, alphas.")
    ] = None,
    save_alphas: Annotated[
        bool, typer.Option("--save-alphas", help="Write the predictions to OUT/prediction.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option("--sheet", help="PNG to write: eight pictures with trimap, ground truth, prediction.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout in place of the table.")] = False,
    mode: Mode = None,
    max_size: MaxSize = None,
    fit: Fit = None,
    precision: Precision = "fp32",
    device: Device = "auto",
    skip: Skip = None,
    set_: Set = None,
) -> None:
    """Score weights: SAD, MSE, Grad, Conn.

    Over the unknown region of pictures with known alpha, on the 8-bit prediction; SAD, Grad and Conn in thousands.
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

    from deepmat import engine, imaging
    from deepmat.dataset import pictures_to_score
    from deepmat.inference import mode_options
    from deepmat.metrics import METRICS, mean
    from deepmat.report import scores_table, sheet, to_json, write_csv

    pictures, notices = pictures_to_score(config.test, config.data.root)
    notify(notices)
    options = mode_options(config.test)
    refuse_unused({"--max-size": max_size, "--fit": fit}, options)
    predictions = {name: out / "prediction" / f"{name}.png" for name, _ in pictures} if out and save_alphas else {}
    if picture and not is_picture(picture):
        raise ConfigError(f"--sheet {picture}: not the name of a picture; write {picture}.png")
    read = [path for _, paths in pictures if isinstance(paths, dict) for path in paths.values()]
    refuse_overwriting([*predictions.values(), *([picture] if picture else [])], read)
    told = ", ".join(f"{key} {value}" for key, value in options.items())
    model, precision = open_model(weights, device, precision, skip, told)
    records: list[dict[str, Any]] = []
    rows: list[tuple[str, list[Any]]] = []
    # Spread over the whole set: neighbours are often the same foreground.
    shown = {name for name, _ in pictures[:: max(1, len(pictures) // SHEET_ROWS)][:SHEET_ROWS]}
    with progress_bar(stderr()) as bar:
        task = bar.add_task("eval", total=len(pictures))
        for record in engine.evaluate(model, pictures, config.test):
            arrays = [record.pop(kind, None) for kind in ("image", "trimap", "alpha", "prediction")]
            records.append(record)
            bar.advance(task)
            if "error" in record:
                continue
            notify(record["notices"])
            if predictions:
                imaging.write_image(predictions[record["name"]], arrays[3])
            if picture and record["name"] in shown:
                rows.append((f"{record['name']}   SAD {record['sad']:.2f}  MSE {record['mse']:.4f}", arrays))
    means = mean(records, METRICS)
    summary = {"weights": str(weights), "precision": precision, **options, "mean": means, "pictures": records}
    # The screen first: what was computed is not lost with a full disk.
    if json:
        print(to_json(summary))
    elif any("error" not in record for record in records):
        stdout().print(scores_table(records, means))
    if out:
        write_csv(out / "scores.csv", records, ["name", "height", "width", *METRICS, "seconds", "error"])
        write_text(out / "scores.json", to_json(summary) + "\n")
    if picture and rows:
        imaging.write_image(picture, sheet(rows))
    failures = {record["name"]: record["error"] for record in records if "error" in record}
    made = [str(path) for path in (out, picture) if path]
    finish(failures, f"{len(records) - len(failures)} pictures scored" + (f"; see {', '.join(made)}" if made else ""))
