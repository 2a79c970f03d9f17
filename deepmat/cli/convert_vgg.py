from pathlib import Path
from typing import Annotated

import typer

from deepmat.cli.options import say


def convert_vgg(
    out: Annotated[Path, typer.Option("--out", "-o", help="Weights to write, for `train --pretrain`.")] = Path(
        "weights/vgg16.safetensors"
    ),
    weights: Annotated[
        Path | None, typer.Option(help="torchvision's vgg16-397923af.pth; downloaded through torchvision without it.")
    ] = None,
    untrained: Annotated[
        bool, typer.Option("--untrained", help="Use a random VGG16 in place of ImageNet's, for trying things offline.")
    ] = False,
) -> None:
    """Make the first weights of Deep Image Matting from VGG16.

    torchvision's ImageNet weights become the encoder; its 4th input channel (the trimap) starts at zero.
    """
    from deepmat.models.dim.vgg import convert_vgg as run

    made = run(out, weights=weights, untrained=untrained)
    kind = "an untrained VGG16 (for trying things only)" if untrained else f"VGG16 ({made['source']})"
    say(f"{made['path']}: DIM's encoder from {kind}")
