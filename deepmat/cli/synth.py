from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from deepmat.cli.options import progress_bar, say, stderr
from deepmat.errors import ConfigError
from deepmat.runtime.files import is_picture

if TYPE_CHECKING:
    import numpy as np

SHEET_SIDE, SHEET_SCENES = 256, 10
SHEET_TITLES = ("image", "alpha", "foreground", "background", "cut out")


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
    """Make a licence-free data set by program.

    Hair, fur, feathers, dandelions, nets, lace, glass, smoke, leaves, soft blobs, heaps of things, plants, sieves,
    veils, flags, tufts and baskets with exact alphas, some of them in motion; photo-like backgrounds and natural
    textures, half of them in a foreground's colours; test trimaps. With --sheet alone, only the sheet. Next:
    deepmat composite OUT -o DATA
    """
    if out is None and picture is None:
        raise ConfigError("nothing to write: give a folder OUT for a data set, --sheet FILE.png to look, or both")
    if picture and not is_picture(picture):
        raise ConfigError(f"--sheet {picture}: not the name of a picture; write {picture}.png")
    if seed < 0:
        raise ConfigError(f"--seed {seed}: it must be at least 0")

    from deepmat import imaging
    from deepmat.imaging.sheets import sheet
    from deepmat.synth import count_files, write_dataset

    if out:
        with progress_bar(stderr()) as bar:
            task = bar.add_task("synth", total=count_files(train, test, backgrounds))
            for count, _ in enumerate(
                write_dataset(out, train=train, test=test, backgrounds=backgrounds, size=size, seed=seed), 1
            ):
                bar.update(task, completed=count)
        say(f"{count} files in {out}; next: deepmat composite {quote(str(out))} -o DATA")
    if picture:
        imaging.write_image(picture, sheet(_sheet_rows(seed), titles=SHEET_TITLES, side=SHEET_SIDE))
        say(f"every kind of picture, and {SHEET_SCENES} scenes as training sees them, in {picture}")


def _sheet_rows(seed: int) -> "list[tuple[str, list[np.ndarray]]]":
    """Each kind of foreground over another kind of background, then scenes."""
    import numpy as np

    from deepmat.data.compositing import COMPOSITORS
    from deepmat.synth import KINDS, PLACES, background, foreground, scene

    squares = (np.indices((SHEET_SIDE, SHEET_SIDE)) // 16).sum(0) % 2
    board = np.repeat((90 + 80 * squares).astype(np.uint8)[..., None], 3, axis=2)
    blend = COMPOSITORS["cv2"].blend

    def row(colour: np.ndarray, alpha: np.ndarray, behind: np.ndarray) -> list[np.ndarray]:
        return [blend(colour, alpha, behind), alpha, colour, behind, blend(colour, alpha, board)]

    rows = []
    kinds, places = list(KINDS), list(PLACES)
    for i in range(max(len(kinds), len(places))):
        rng, kind, place = np.random.default_rng([seed, i]), kinds[i % len(kinds)], places[i % len(places)]
        thing = foreground(rng, SHEET_SIDE, SHEET_SIDE, kind)
        rows.append((f"{kind}, {place}", row(*thing, background(rng, SHEET_SIDE, SHEET_SIDE, place=place))))
    for i in range(SHEET_SCENES):
        alike = i % 2 == 1
        sample = scene(np.random.default_rng([seed, 1, i]), SHEET_SIDE, SHEET_SIDE, correlated=alike)
        rows.append((f"scene{', background in its colours' if alike else ''}", row(*sample)))
    return rows
