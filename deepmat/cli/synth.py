from pathlib import Path
from typing import Annotated

import typer

from deepmat.cli.options import progress_bar, say, stderr


def synth(
    out: Annotated[Path, typer.Argument(help="Folder to write; gets Adobe's layout plus bg_train/ and bg_test/.")],
    train: Annotated[int, typer.Option(help="Training foregrounds.")] = 20,
    test: Annotated[int, typer.Option(help="Test foregrounds.")] = 5,
    backgrounds: Annotated[int, typer.Option(help="Training backgrounds; half as many more for the test set.")] = 20,
    size: Annotated[int, typer.Option(help="Longer side of a foreground in pixels, 64 or more.")] = 512,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
) -> None:
    """Make a licence-free data set by program.

    Hair, fur, soft blobs, nets, glass, smoke and leaves with exact alphas, backgrounds and test trimaps.
    Next: deepmat composite OUT -o DATA
    """
    from deepmat.synth import count_files, write_dataset

    with progress_bar(stderr()) as bar:
        task = bar.add_task("synth", total=count_files(train, test, backgrounds))
        for count, _ in enumerate(
            write_dataset(out, train=train, test=test, backgrounds=backgrounds, size=size, seed=seed), 1
        ):
            bar.update(task, completed=count)
    say(f"{count} files in {out}; next: deepmat composite {out} -o DATA")
