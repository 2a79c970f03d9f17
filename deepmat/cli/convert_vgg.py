from pathlib import Path
from typing import Annotated

import typer

from deepmat.cli.options import say
from deepmat.errors import ConfigError


def convert_vgg(
    out: Annotated[Path, typer.Option("--out", "-o", help="Weights to write, for `train --pretrain`.")] = Path(
        "weights/vgg16.safetensors"
    ),
    weights: Annotated[
        Path | None, typer.Option(help="torchvision's vgg16-397923af.pth; downloaded through torchvision without it.")
    ] = None,
    untrained: Annotated[
        bool, typer.Option("--untrained", help="A random VGG16 in place of ImageNet's: for trying things offline.")
    ] = False,
) -> None:
    """Make DIM's first weights from VGG16.

    torchvision's ImageNet weights become DIM's encoder; the 4th input channel (the trimap) starts at zero.
    """
    if untrained and weights:
        raise ConfigError("--untrained and --weights: give one of them")

    from deepmat.models.checkpoint import save_weights
    from deepmat.models.dim.vgg import convert_vgg as run
    from deepmat.models.dim.vgg import untrained_vgg

    state = run(untrained_vgg() if untrained else weights)
    source = "untrained" if untrained else str(weights.name if weights else "torchvision IMAGENET1K_V1")
    save_weights(out, state, None, source=source)
    kind = "an untrained VGG16 (not ImageNet's: good for trying things only)" if untrained else f"VGG16 ({source})"
    say(f"{out}: DIM's encoder from {kind}")
