from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepmat.cli.options import Workers, finish, notify, progress_bar, stderr
from deepmat.errors import ConfigError, DataError
from deepmat.runtime.files import is_picture, list_inputs, pair, refuse_inside, refuse_overwriting
from deepmat.runtime.processes import cores

if TYPE_CHECKING:
    import numpy as np

SHEET_ROWS, SHEET_SIDE = 12, 320
SHEET_TITLES = ("mask", "trimap", "picture, unknown in red")


def trimap(
    masks: Annotated[
        list[Path],
        typer.Argument(help="Alphas or masks, hard ones too, or folders of them with all their subfolders."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the trimaps, PNG of the mask's name and size.")],
    width: Annotated[
        str | None,
        typer.Option(help="Unknown on each side of the edge: pixels (20) or part of the longer side (2%) [2%]."),
    ] = None,
    inwards: Annotated[str | None, typer.Option(help="The same, into the foreground only [--width].")] = None,
    outwards: Annotated[str | None, typer.Option(help="The same, into the background only [--width].")] = None,
    method: Annotated[
        str, typer.Option(metavar="distance|morphology", help="Round, or by erosion and dilation as DIM's.")
    ] = "distance",
    threshold: Annotated[
        int | None,
        typer.Option(help="Take masks as hard: foreground is this level (1 to 255) and over.", min=1, max=255),
    ] = None,
    preview: Annotated[Path | None, typer.Option(help="PNG to write: some masks beside their trimaps.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="For --preview: folder of the pictures, paired by name, to show the band on.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="A JSON object a picture on stdout.")] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave trimaps that are there as they are.")
    ] = False,
    workers: Workers = None,
) -> None:
    """Make trimaps of alphas or masks.

    Unknown is what is fractional, and a band on both sides of the edge. Masks of 0 and 1, of two colours, and
    those that JPEG made uneven are told and taken as 0 and 255. Next: deepmat predict PICTURES -t OUT
    """
    if preview and not is_picture(preview):
        raise ConfigError(f"--preview {preview}: not the name of a picture; write {preview}.png")
    if preview:
        refuse_inside("--preview", preview, [*filter(Path.is_dir, masks), images])
    elif images:
        raise ConfigError("--images: is only for --preview FILE.png; add that or leave it out")
    if is_picture(out) and not out.is_dir():
        raise ConfigError(f"--out {out}: the name of a picture; give a folder, {out.parent}")
    jobs, notices = _jobs(masks, out, preview)

    from deepmat.imaging import trimap as trimaps
    from deepmat.runtime.records import to_json

    wide = width or trimaps.WIDTH
    widths = {
        side: trimaps.parse_width(text or wide, f"--{side}" if text else "--width")
        for side, text in (("inwards", inwards), ("outwards", outwards))
    }
    options: dict[str, Any] = {**widths, "method": method, "threshold": threshold, "workers": workers or cores()}
    notify(notices)
    there = {name for name, _ in jobs if skip_existing and (out / f"{name}.png").is_file()}
    todo = [job for job in jobs if job[0] not in there]
    failures, made = {}, there.copy()
    with progress_bar(stderr()) as bar:
        task = bar.add_task("trimap", total=len(todo))
        for record in trimaps.write_trimaps(todo, out, **options):
            bar.advance(task)
            notify(record.get("notices", []))
            if "error" in record:
                failures[record["name"]] = record["error"]
            else:
                made.add(record["name"])
            if json:
                print(to_json(record))
    if preview and made:
        _preview(preview, [job for job in jobs if job[0] in made], out, threshold, images)
    before = f" ({len(there)} from before)" if there else ""
    seen = f"; see {preview}" if preview and made else ""
    finish(failures, f"{len(made)} of {len(jobs)} trimaps in {out}{before}{seen}")


def _jobs(
    masks: Sequence[Path], out: Path, preview: Path | None
) -> tuple[list[tuple[str, Path | DataError]], list[str]]:
    """Name and mask, or why there is none, of each input, and notices. ConfigError if an output would overwrite one."""
    pictures, notices = list_inputs(masks, [out])
    outputs = [out / f"{name}.png" for name in dict(pictures)]
    refuse_overwriting([*outputs, *([preview] if preview else [])], (path for _, path in pictures))
    jobs: dict[str, Path | DataError] = {}
    for name, path in pictures:
        if name in jobs:
            clash = f"{path}: its trimap would overwrite that of another mask named {name}; make them apart"
            jobs[str(path)] = DataError(clash)
        else:
            jobs[name] = path
    return list(jobs.items()), notices


def _preview(
    path: Path, jobs: Sequence[tuple[str, Any]], out: Path, threshold: int | None, images: Path | None
) -> None:
    """A sheet of some of the masks, spread over all, beside their trimaps as written."""
    from deepmat import imaging
    from deepmat.imaging.masks import read_mask
    from deepmat.imaging.sheets import sheet

    shown = jobs[:: -(-len(jobs) // SHEET_ROWS)]
    partners = pair([name for name, _ in jobs], images, "picture")[0] if images else {}
    rows = []
    for name, mask in shown:
        guide = imaging.read_grey(out / f"{name}.png")
        panels = [read_mask(mask, threshold)[0], guide]
        try:
            if isinstance(partner := partners.get(name), DataError):
                raise partner
            if partner:
                image = imaging.read_image(partner)
                imaging.check_same_size(partner, image, mask, guide)
                panels.append(_over(image, guide))
        except DataError as error:
            notify([str(error)])
            panels.append(guide // 4)
        rows.append((f"{name}   unknown {100 * (guide == 128).mean():.1f} %", panels))
    imaging.write_image(path, sheet(rows, SHEET_TITLES[: 3 if images else 2], side=SHEET_SIDE))


def _over(image: "np.ndarray", guide: "np.ndarray") -> "np.ndarray":
    """The picture, uint8 [H, W, 3], with what its trimap says unknown in red and its background dimmed."""
    import numpy as np

    half = image // 2
    half[guide == 128] += np.array([127, 0, 0], np.uint8)
    return np.where((guide == 255)[..., None], image, half)
