from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from deepmat.cli.options import progress_bar, say, stderr
from deepmat.errors import ConfigError


def synth(
    out: Annotated[
        Path | None, typer.Argument(help="Folder to write; gets Adobe's layout plus bg_train/ and bg_test/.")
    ] = None,
    train: Annotated[int, typer.Option(help="Training foregrounds.")] = 20,
    test: Annotated[int, typer.Option(help="Test foregrounds.")] = 5,
    backgrounds: Annotated[int, typer.Option(help="Training backgrounds; half as many more for the test set.")] = 20,
    size: Annotated[int, typer.Option(help="Longer side of a foreground in pixels, 64 or more.")] = 512,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    picture: Annotated[
        Path | None,
        typer.Option("--sheet", help="PNG to write: every kind of picture, and scenes as training sees them."),
    ] = None,
) -> None:
    """Draw a licence-free data set by program.

    Hair, fur, feathers, dandelions, nets, lace, glass, smoke, leaves, soft blobs, heaps of things, plants, sieves,
    veils, flags, tufts and baskets with exact alphas, some of them in motion; photo-like backgrounds and natural
    textures, half of them in a foreground's colours; test trimaps. With --sheet alone, only the sheet. Next:
    deepmat composite OUT -o DATA
    """
    if out is None and picture is None:
        raise ConfigError("nothing to write: give a folder OUT for a data set, --sheet FILE.png to look, or both")

    from deepmat.synth.dataset import synthesise
    from deepmat.synth.sheet import SCENES, check_sheet, draw_synth_sheet

    if picture:
        check_sheet(picture, seed)
    if out:
        work = synthesise(out, train=train, test=test, backgrounds=backgrounds, size=size, seed=seed)
        with progress_bar(stderr()) as bar:
            task = bar.add_task("synth", total=work.total)
            for _ in work:
                bar.advance(task)
        say(f"{work.total} files in {out}; next: deepmat composite {quote(str(out))} -o DATA")
    if picture:
        draw_synth_sheet(picture, seed=seed)
        say(f"every kind of picture, and {SCENES} scenes as training sees them, in {picture}")
