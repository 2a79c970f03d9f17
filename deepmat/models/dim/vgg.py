"""torchvision's VGG16 as Deep Image Matting's encoder."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor

from deepmat.errors import CheckpointError, ConfigError
from deepmat.models.checkpoint import load_state, load_weights, save_weights
from deepmat.runtime.fetching import OFFLINE, is_offline
from deepmat.runtime.files import AnyPath, as_path, as_path_or_none
from deepmat.runtime.paths import is_file

# features.N -> DIM's layer.
VGG_LAYERS = {
    0: "conv1_1", 2: "conv1_2", 5: "conv2_1", 7: "conv2_2", 10: "conv3_1", 12: "conv3_2", 14: "conv3_3",
    17: "conv4_1", 19: "conv4_2", 21: "conv4_3", 24: "conv5_1", 26: "conv5_2", 28: "conv5_3",
}  # fmt: skip
OUT = Path("weights/vgg16.safetensors")
"""Where stages 0 and 1 look for it."""


class Converted(TypedDict):
    """First weights of DIM: their file, and what they were made of ("untrained" for random ones)."""

    path: str
    source: str


def _download() -> dict[str, Tensor]:
    # Only here: torchvision is slow to import and its binary must match torch's.
    from torchvision.models import VGG16_Weights

    weights = VGG16_Weights.IMAGENET1K_V1
    if is_offline() and not Path(torch.hub.get_dir(), "checkpoints", Path(weights.url).name).is_file():
        raise CheckpointError(
            f"VGG16's weights are not fetched, since {OFFLINE} is set; unset it, or give vgg16-397923af.pth with "
            "--weights FILE"
        )
    try:
        return dict(weights.get_state_dict(progress=False, check_hash=True))
    except Exception as error:  # no network, a proxy's error page, a damaged cache
        raise CheckpointError(
            f"VGG16's weights could not be downloaded ({error}); fetch vgg16-397923af.pth on a machine that can and "
            "give it with --weights FILE"
        ) from error


def untrained_vgg() -> dict[str, Tensor]:
    """A randomly initialised VGG16 under torchvision's keys, for use where ImageNet weights cannot be had."""
    from torchvision.models import vgg16

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return vgg16(weights=None).state_dict()


def convert_vgg(out: AnyPath = OUT, *, weights: AnyPath | None = None, untrained: bool = False) -> Converted:
    """Write VGG16's ImageNet weights as DIM's encoder, for training to begin with.

    weights: torchvision's vgg16-397923af.pth; without it, it is downloaded through torchvision. untrained: a random
    VGG16 in its place. Raises ConfigError for both at once and for an `out` that is no .safetensors or that exists and
    is no such encoder, CheckpointError as `encoder_of`, DataError if `out` cannot be written.
    """
    out, weights = as_path(out, "out"), as_path_or_none(weights, "weights")
    if untrained and weights:
        raise ConfigError("--untrained and --weights: give one of them")
    if out.suffix != ".safetensors":
        raise ConfigError(f"{out}: weights are written as safetensors; give a name that ends in .safetensors")
    _refuse_other(out)
    state = encoder_of(untrained_vgg() if untrained else weights)
    source = "untrained" if untrained else weights.name if weights else "torchvision IMAGENET1K_V1"
    save_weights(out, state, None, source=source)
    return {"path": str(out), "source": source}


def _refuse_other(out: Path) -> None:
    """Raise ConfigError if a file would be replaced that is no encoder of `convert_vgg`."""
    if not is_file(out):
        return
    try:
        kept = load_weights(out).about
    except CheckpointError:
        kept = None
    if kept is None or kept.get("model", "none") is not None:
        raise ConfigError(f"{out}: exists, and is no encoder that convert-vgg made; choose another name, or remove it")


def encoder_of(source: Path | Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The weights of DIM's encoder from torchvision's VGG16, the 4th input channel of conv1_1 (the trimap) zero.

    source: a .pth file, a state dict, or None to download through torchvision. Raises CheckpointError if the download
    fails or the weights are not VGG16's.
    """
    if isinstance(source, Mapping):
        vgg, name = source, "VGG16"
    else:
        vgg, name = (load_state(source), str(source)) if source else (_download(), "VGG16")
    state = {}
    for index, layer in VGG_LAYERS.items():
        for kind in ("weight", "bias"):
            key = f"features.{index}.{kind}"
            if not isinstance(vgg.get(key), Tensor):
                raise CheckpointError(f"{name}: has no {key}; expected torchvision's vgg16-397923af.pth")
            state[f"{layer}.{kind}"] = vgg[key].detach().float()
    rgb = state["conv1_1.weight"]
    if rgb.shape != (64, 3, 3, 3) or state["conv5_3.weight"].shape != (512, 512, 3, 3):
        raise CheckpointError(f"{name}: its layers have other sizes than VGG16's; expected vgg16-397923af.pth")
    state["conv1_1.weight"] = torch.cat((rgb, rgb.new_zeros(64, 1, 3, 3)), dim=1)
    return state
