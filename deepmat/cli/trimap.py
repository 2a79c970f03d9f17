"""The command `deepmat trimap`."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from deepmat.cli.options import Engine, Workers, do, finish_together, notify
from deepmat.cli.tables import choice


def trimap(
    masks: Annotated[
        list[Path], typer.Argument(help="Alphas or masks, also hard ones, or folders of them with all subfolders.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the trimaps, PNG of the mask's name and size.")],
    width: Annotated[
        str | None,
        typer.Option(
            help="Unknown band on each side of the edge: pixels (20) or share"
            " of the longer side (2%) [2%; a network's mask: as coarse as it is]."
        ),
    ] = None,
    inwards: Annotated[str | None, typer.Option(help="The same, on the foreground side [--width].")] = None,
    outwards: Annotated[str | None, typer.Option(help="The same, on the background side [--width].")] = None,
    method: Annotated[
        str,
        typer.Option(
            metavar=choice("imaging.trimap", "METHODS"),
            help="Distance in all directions, or erosion and dilation as in DIM.",
        ),
    ] = "distance",
    threshold: Annotated[
        int | None,
        typer.Option(help="Treat masks as hard: foreground from this level (1 to 255) on.", min=1, max=255),
    ] = None,
    preview: Annotated[Path | None, typer.Option(help="PNG to write: some masks beside their trimaps.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="For --preview: folder of the pictures, paired by name, to show the band on.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per picture on stdout.")] = False,
    skip_existing: Annotated[bool, typer.Option("--skip-existing", help="Keep trimaps that exist.")] = False,
    workers: Workers = None,
    engine: Engine = "processes",
) -> None:
    """Make trimaps from alphas or masks.

    Fractional pixels and a band on both sides of the edge become unknown. Masks of 0 and 1, of two colours, or with
    JPEG artefacts are converted to 0 and 255, with a notice. Next: deepmat predict PICTURES -t OUT
    """
    from deepmat.subject.trimaps import make_trimaps

    work = make_trimaps(
        masks,
        out,
        width=width,
        inwards=inwards,
        outwards=outwards,
        method=method,
        threshold=threshold,
        preview=preview,
        images=images,
        skip_existing=skip_existing,
        workers=workers,
        engine=engine,
    )
    failures = do(work, "trimap", json)
    notify(work.preview_notices)

    def done(counts: Counter[str], failed: int) -> str:
        made = counts["total"] - failed
        before = f" ({counts['existing']} from before)" if counts["existing"] else ""
        seen = f"; see {preview}" if preview and made else ""
        return f"{made} of {counts['total']} trimaps in {out}{before}{seen}"

    finish_together(failures, Counter(total=work.total + work.existing, existing=work.existing), done)
