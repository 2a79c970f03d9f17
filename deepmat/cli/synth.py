from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from deepmat.cli.options import Engine, progress_bar, say, stderr
from deepmat.cli.tables import names
from deepmat.errors import ConfigError

KINDS = names("synth.foregrounds.__init__", "KINDS")


def synth(
    out: Annotated[
        Path | None, typer.Argument(help="Folder to write; gets Adobe's layout plus bg_train/ and bg_test/.")
    ] = None,
    train: Annotated[int, typer.Option(help=f"Training foregrounds, in turn {', '.join(KINDS)}.")] = 20,
    test: Annotated[int, typer.Option(help="Test foregrounds.")] = 5,
    backgrounds: Annotated[int, typer.Option(help="Training backgrounds; half as many more for the test set.")] = 20,
    size: Annotated[int, typer.Option(help="Longer side of a foreground in pixels, 64 or more.")] = 512,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    picture: Annotated[
        Path | None,
        typer.Option("--sheet", help="PNG to write: every kind of picture, and some training scenes."),
    ] = None,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Go on after a stop, with the same seed and size.")
    ] = False,
    engine: Engine = "processes",
) -> None:
    """Draw a procedural, licence-free data set.

    Foregrounds with exact alphas, some with motion blur; photo-like backgrounds and natural textures, half of them in
    the colours of a foreground; test trimaps. With --sheet and without OUT, only the sheet. Next: deepmat composite OUT
    -o DATA
    """
    if out is None and picture is None:
        raise ConfigError("nothing to write: give a folder OUT for a data set, --sheet FILE.png to look, or both")
    if out is None and (skip_existing or engine != "processes"):
        raise ConfigError("--skip-existing, --engine: are for a data set; give a folder OUT, or leave them out")

    from deepmat.runtime import distributed
    from deepmat.synth.dataset import synthesise
    from deepmat.synth.sheet import SCENES, check_sheet, draw_synth_sheet

    if picture:
        check_sheet(picture, seed)
    if out:
        work = synthesise(
            out,
            train=train,
            test=test,
            backgrounds=backgrounds,
            size=size,
            seed=seed,
            skip_existing=skip_existing,
            engine=engine,
        )
        with progress_bar(stderr()) as bar:
            task = bar.add_task("synth", total=work.total)
            for _ in work:
                bar.advance(task)
        files = sum(distributed.gather(work.total))
        if not distributed.rank():
            say(f"{files} files written to {out}; next: deepmat composite {quote(str(out))} -o DATA")
    if picture and not distributed.rank():
        draw_synth_sheet(picture, seed=seed)
        say(f"every kind of picture, and {SCENES} training scenes, in {picture}")
