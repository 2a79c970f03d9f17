"""Layouts of other tools' DIM weights: how their keys identify them, and the names of these keys in DIM.

pytorch-deep-image-matting has DIM's own names. MMagic, MMEditing before, numbers the layers of each of the encoder's
blocks, activations included. What DataParallel puts before a name ("module.") is gone by then.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from deepmat.config import DIMConfig
from deepmat.models.dim.network import DECODER, ENCODER

REFINEMENT = ("refine_conv1", "refine_conv2", "refine_conv3", "refine_pred")
MMAGIC = {
    **{
        f"conv{level}_{index + 1}": f"backbone.encoder.layer{level}.{2 * index}"
        for level, block in enumerate(ENCODER, start=1)
        for index in range(len(block))
    },
    "conv6_1": "backbone.encoder.conv6",
    **{f"deconv{level}_1": f"backbone.decoder.deconv{level}_1" for level in range(len(DECODER) + 1, 0, -1)},
    "deconv1": "backbone.decoder.deconv1",
    **{layer: f"refiner.{layer}" for layer in REFINEMENT},
}


def _original(config: DIMConfig, about: str) -> str:
    return f", conv6 {config.conv6}x{config.conv6}" + (", with refinement" if config.refine else "")


def _mmagic(config: DIMConfig, about: str) -> str:
    named = re.search(r"dim_stage([23])", about)
    return f" stage {1 if not config.refine else named[1] if named else '2 or 3'}"


class Layout(NamedTuple):
    """How another tool names the layers of DIM in its weights files."""

    layers: Mapping[str, str]
    """DIM's name of a layer -> the file's, where they differ."""
    options: Mapping[str, Any]
    """What this tool's network always is and the weights do not show."""
    variant: Callable[[DIMConfig, str], str]
    """The suffix of the layout's name, from the config and the file's own description."""


LAYOUTS = {
    "pytorch-deep-image-matting": Layout({}, {}, _original),
    "MMagic DIM": Layout(MMAGIC, {"skip": False}, _mmagic),
}


def translate(state: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]] | None:
    """The layout's name and the weights under DIM's names (unknown keys unchanged); None if no layout fits."""
    for name, layout in LAYOUTS.items():
        if f"{layout.layers.get('conv6_1', 'conv6_1')}.weight" in state:
            ours = {theirs: layer for layer, theirs in layout.layers.items()}
            renamed = {}
            for key, value in state.items():
                layer, dot, kind = key.rpartition(".")
                renamed[f"{ours.get(layer, layer)}{dot}{kind}"] = value
            return (name, renamed) if len(renamed) == len(state) else None  # a layer under both names
    return None


def named(key: str, layers: Mapping[str, str]) -> str:
    """What the file calls a tensor of DIM's, given its layout's layers."""
    layer, dot, kind = key.rpartition(".")
    return f"{layers.get(layer, layer)}{dot}{kind}"
