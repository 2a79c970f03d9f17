"""Public matting networks that deepmat does not run, recognised by the names of their weights."""

from collections.abc import Iterable
from typing import NamedTuple

UNSUPPORTED = "deepmat does not run it; its mattes can be scored: deepmat eval --predictions DIR"


class Foreign(NamedTuple):
    """A network of another tool."""

    prefixes: tuple[str, ...]
    """Beginnings of names, all of which its weights have."""
    advice: str = UNSUPPORTED


FOREIGN: dict[str, Foreign] = {
    "FBA Matting": Foreign(("encoder.layer4.", "decoder.ppm.", "decoder.conv_up4.")),
    "GCA Matting": Foreign(("encoder.gca.", "encoder.guidance_head.")),
    "IndexNet Matting": Foreign(("index0.", "index4.", "dconv_pp.", "decoder_layer0.")),
    "MODNet": Foreign(("lr_branch.", "hr_branch.", "f_branch.")),
    "Robust Video Matting": Foreign(("backbone.", "aspp.", "project_mat.")),
    "AEMatter": Foreign(("start_conv0.", "start_conv.", "trans.")),
    "BiRefNet": Foreign(
        ("bb.", "squeeze_module.", "decoder."),
        "it finds subjects without a trimap: deepmat cut PHOTO --finder birefnet-general",
    ),
    "ViTMatte in its authors' format": Foreign(
        ("backbone.pos_embed", "backbone.blocks.", "decoder.convstream."),
        "take transformers' form of it: -w hustvl/vitmatte-small-composition-1k",
    ),
    "ViTMatte without its config.json": Foreign(
        ("backbone.embeddings.", "backbone.encoder.layer.", "decoder.convstream."),
        "put the config.json and preprocessor_config.json of the model beside it, named model.safetensors",
    ),
}
"""Modules of each as its repository names them."""


def foreign(keys: Iterable[str]) -> str | None:
    """Return what weights of these names belong to, and what to do; None if no such network has them."""
    names = [key.removeprefix("module.").removeprefix("state_dict.") for key in keys]
    for network, (prefixes, advice) in FOREIGN.items():
        if all(any(name.startswith(prefix) for name in names) for prefix in prefixes):
            return f"weights of {network}; {advice}"
    return None
