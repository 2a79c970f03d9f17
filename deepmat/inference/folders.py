"""Cut pictures out by their trimaps or masks: folders of files in, folders of files out."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deepmat.errors import ConfigError, as_texts
from deepmat.inference.background import background_text
from deepmat.inference.batch import (
    CutOuts,
    pixels_of,
    prepare_batch,
    prepare_files,
    prepare_settings,
    refuse_input_files,
)
from deepmat.inference.jobs import find_jobs
from deepmat.inference.opening import Opening
from deepmat.inference.places import Places
from deepmat.inference.subjects import by_mask, by_trimap
from deepmat.runtime import distributed
from deepmat.runtime.files import AnyPath, as_path, as_path_or_none, as_paths
from deepmat.runtime.listing import refuse_no_folder
from deepmat.runtime.sharing import parse_engine, refuse_storage
from deepmat.subject.band import parse_width


def cut_out(
    inputs: AnyPath | Iterable[AnyPath],
    out: AnyPath,
    *,
    weights: AnyPath | None = None,
    trimaps: AnyPath | None = None,
    masks: AnyPath | None = None,
    width: str | float | None = None,
    save: str | Sequence[str] = "alpha,cutout",
    background: AnyPath | None = None,
    colours: str = "estimated",
    crop: str | float | None = None,
    square: bool = False,
    skip_existing: bool = False,
    include: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    mode: str | None = None,
    max_size: int | None = None,
    fit: str | None = None,
    precision: str = "auto",
    memory: float | None = None,
    max_megapixels: int = 500,
    device: str = "auto",
    assume: Mapping[str, Any] | None = None,
    settings: str | Sequence[str] = (),
    engine: str = "processes",
) -> CutOuts:
    """Cut pictures out: what `deepmat predict` does.

    inputs: pictures, or folders of them with all their subfolders; out: folder for OUT/KIND/NAME.ext and OUT/log.jsonl.
    trimaps, masks: a folder, paired by name, or one file for one picture; without either, the alpha channels of the
    pictures are the masks. width: of the unknown band on each side of a mask's edge, 20 (pixels) or "2%". save: kinds
    of `outputs.OUTPUTS`, "alpha,cutout.webp". background: for composites, a colour, a picture or a folder. crop: crops
    outputs to the subject with that margin, 0 or "5%" of its longer side; square: to a square. mode, max_size, fit,
    memory: see `inference.modes`. assume: see `load_model`. settings: config keys, "test.tile=512". engine:
    "processes", or "ray" for the workers of a Ray cluster (`runtime.sharing`).

    Raises ConfigError, DataError, CheckpointError, DeviceError before any work. Iterating yields a record for each
    picture; one that fails has "error". The processes of a launcher share the pictures (`runtime.distributed`); each
    has to iterate to the end.
    """
    options, runs_on = prepare_settings(mode, max_size, fit, memory, settings), parse_engine(engine)
    given, place = as_paths(inputs, "inputs"), as_path(out, "out")
    refuse_storage(runs_on, [place])
    trimaps, masks = as_path_or_none(trimaps, "trimaps"), as_path_or_none(masks, "masks")
    behind = background_text(background)
    _check(place, trimaps, masks, width)
    pixels = pixels_of(max_megapixels)
    files = prepare_files(
        by_trimap(pixels) if trimaps else by_mask(None if width is None else parse_width(width, "--width"), pixels),
        Places(folder=place),
        save=save,
        background=behind,
        colours=colours,
        crop=crop,
        square=square,
        max_pixels=pixels,
    )
    partners, what = (trimaps, "trimap") if trimaps else (masks, "mask")
    patterns = as_texts(include, "include"), as_texts(exclude, "exclude")
    jobs, notices = find_jobs(given, partners, what, files.places.apart(), *patterns)
    refuse_input_files(jobs, files, behind)
    opening = Opening(weights, distributed.device_name(device), precision, assume)
    return prepare_batch(jobs, notices, files, options, opening, runs_on, skip_existing)


def _check(out: Path, trimaps: Path | None, masks: Path | None, width: str | float | None) -> None:
    if trimaps and masks:
        raise ConfigError("--trimaps and --masks: give one of them")
    if trimaps and width is not None:
        raise ConfigError("--width: is for masks; trimaps define the unknown region themselves")
    refuse_no_folder("--out", out)
