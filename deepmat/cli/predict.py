from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from deepmat import config as configs
from deepmat.cli.options import (
    Device,
    Fit,
    MaxSize,
    Mode,
    Set,
    Skip,
    Weights,
    finish,
    flags,
    notify,
    open_model,
    progress_bar,
    stderr,
)
from deepmat.errors import DataError
from deepmat.files import list_pictures, partner


def predict(
    inputs: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them with all their subfolders.")],
    trimaps: Annotated[
        Path, typer.Option("--trimaps", "--trimap", "-t", help="Folder of trimaps, paired by name; or one trimap file.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the alphas, 8-bit PNG of the input's size.")],
    weights: Weights = None,
    cutout: Annotated[
        Path | None, typer.Option(help="Folder for the pictures as RGBA PNG, the alpha as fourth channel.")
    ] = None,
    mode: Mode = None,
    max_size: MaxSize = None,
    fit: Fit = None,
    device: Device = "auto",
    skip: Skip = None,
    set_: Set = None,
) -> None:
    """Cut pictures out: image + trimap -> alpha.

    A picture that fails is named at the end; the rest is done.
    """
    given = flags({"test.mode": mode, "test.max_size": max_size, "test.fit": fit})
    settings = configs.load(flags=given, overrides=set_ or []).test
    jobs, notices = _jobs(inputs, trimaps, [folder for folder in (out, cutout) if folder])
    notify(notices)

    from deepmat.engine import cut_out

    model = open_model(weights, device, skip, f"mode {settings.mode}")
    failures = {}
    with progress_bar(stderr()) as bar:
        task = bar.add_task("predict", total=len(jobs))
        for record in cut_out(model, jobs, out, settings, cutout):
            bar.advance(task)
            notify(record.get("notices", []))
            if "error" in record:
                failures[record["name"]] = record["error"]
    finish(failures, f"{len(jobs) - len(failures)} of {len(jobs)} alphas in {out}")


def _jobs(
    inputs: Sequence[Path], trimaps: Path, outputs: Sequence[Path]
) -> tuple[list[tuple[str, Path, Path | DataError]], list[str]]:
    """Name, picture and trimap (or why there is none) of each input; pictures in the output folders are no inputs."""
    pictures: list[tuple[str, Path]] = []
    notices: list[str] = []
    for given in inputs:
        if given.is_dir():
            found, ignored = list_pictures(given)
            notices += ignored
            pictures += found.items()
        else:
            pictures.append((given.stem, given))
    places = [folder.resolve() for folder in outputs]
    pictures = [(key, path) for key, path in pictures if not any(p in path.resolve().parents for p in places)]
    if not trimaps.is_dir() and len(pictures) > 1:
        raise DataError(f"{trimaps}: {len(pictures)} pictures need a folder of trimaps")
    listed = list_pictures(trimaps)[0] if trimaps.is_dir() else {}
    jobs: list[tuple[str, Path, Path | DataError]] = []
    taken: dict[str, Path] = {}
    for key, path in pictures:
        trimap: Path | DataError = trimaps
        try:
            if key in taken:
                raise DataError(f"{path}: its alpha would overwrite that of {taken[key]}; predict them apart")
            if listed:
                trimap = partner(key, trimaps, listed, "trimap")
        except DataError as error:
            trimap = error
        taken.setdefault(key, path)
        jobs.append((key, path, trimap))
    return jobs, notices
