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
    refuse_keys,
    refuse_unused,
    stderr,
)
from deepmat.errors import DataError
from deepmat.files import find_pictures, key_of, pair, refuse_overwriting


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
    refuse_keys(set_ or [], ("test",))
    settings = configs.load(flags=given, overrides=set_ or []).test
    jobs, notices = _jobs(inputs, trimaps, [folder for folder in (out, cutout) if folder])
    notify(notices)

    from deepmat.engine import cut_out
    from deepmat.inference import mode_options

    options = mode_options(settings)
    refuse_unused({"--max-size": max_size, "--fit": fit}, options)
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
    """Name, picture and trimap (or why there is none) of each input, and notices.

    Pictures in the trimap and output folders below an input folder are no inputs. DataError for no pictures,
    ConfigError if an output would take the place of a file that is read.
    """
    pictures: list[tuple[str, Path]] = []
    notices: list[str] = []
    for given in inputs:
        if given.is_dir():
            found, ignored = find_pictures(given)
            notices += ignored
            apart = [folder.resolve() for folder in (trimaps, *outputs) if given.resolve() in folder.resolve().parents]
            inside = [path for path in found if not any(folder in path.resolve().parents for folder in apart)]
            pictures += [(key_of(path, given), path) for path in inside]
        else:
            pictures.append((given.stem, given))
    if not pictures:
        raise DataError(f"no pictures in {', '.join(map(str, inputs))} outside the trimap and output folders")
    keys = [key for key, _ in pictures]
    partners: dict[str, Path | DataError]
    if trimaps.is_dir():
        partners, _ = pair(list(dict.fromkeys(keys)), trimaps, "trimap")
    elif len(pictures) == 1:
        partners = {keys[0]: trimaps}
    else:
        raise DataError(f"{trimaps}: {len(pictures)} pictures need a folder of trimaps")
    read = [path for _, path in pictures] + [path for path in partners.values() if isinstance(path, Path)]
    refuse_overwriting((folder / f"{key}.png" for key in dict.fromkeys(keys) for folder in outputs), read)
    jobs: list[tuple[str, Path, Path | DataError]] = []
    first: dict[str, Path] = {}
    for key, path in pictures:
        if key in first:
            clash = DataError(f"{path}: its alpha would overwrite that of {first[key]}; predict them apart")
            jobs.append((str(path), path, clash))
        else:
            missing = None if path.is_file() else DataError(f"{path}: no such file; check the path")
            jobs.append((key, path, missing or partners[key]))
            first[key] = path
    return jobs, notices
