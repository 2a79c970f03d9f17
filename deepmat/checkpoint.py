"""Weights and run states on disk: written whole, read without ever running code from the file.

deepmat's weights are safetensors files with the model's config in the metadata. Published checkpoints of
pytorch-deep-image-matting ({'epoch', 'state_dict', 'best_sad'} pickles, some by Python 2) are read as they are.
"""

import json
import pickle
import urllib.error
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from deepmat.config import ModelConfig
from deepmat.errors import CheckpointError
from deepmat.files import whole_file, write_bytes

# torchvision's vgg16.features.N -> DIM's encoder.
VGG_LAYERS = {
    0: "conv1_1", 2: "conv1_2", 5: "conv2_1", 7: "conv2_2", 10: "conv3_1", 12: "conv3_2", 14: "conv3_3",
    17: "conv4_1", 19: "conv4_2", 21: "conv4_3", 24: "conv5_1", 26: "conv5_2", 28: "conv5_3",
}  # fmt: skip


class Weights(NamedTuple):
    state: dict[str, Tensor]
    model: ModelConfig | None
    """None where the file holds an encoder alone."""
    exact: bool
    """True where the file itself says which model it is; False where its keys and shapes do."""


def save_weights(path: Path, state: Mapping[str, Tensor], model: ModelConfig | None, **about: Any) -> None:
    """Write weights as safetensors, whole or not at all, with the model's config and `about` in the metadata."""
    metadata = {"model": model.model_dump() if model else None, **about}
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    write_bytes(path, save(tensors, metadata={"deepmat": json.dumps(metadata)}))


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write the state of a run (tensors and plain values), whole or not at all."""
    with whole_file(path) as part:
        torch.save(state, part)


def _numpy_scalars() -> list[Any]:
    """What a numpy float in an old checkpoint's 'best_sad' needs; harmless to build."""
    scalar = np.float64(0).__reduce__()[0]
    dtypes = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64)]
    return [(scalar, "numpy.core.multiarray.scalar"), scalar, np.dtype, *dtypes]


def load_state(path: Path) -> dict[str, Any]:
    """Tensors and plain values of a torch file; CheckpointError if missing, broken or holding anything else."""
    _check_there(path)
    try:
        with torch.serialization.safe_globals(_numpy_scalars()), warnings.catch_warnings():
            # latin1 reads the byte strings of Python 2; torch warns of the argument, and heeds it.
            warnings.simplefilter("ignore")
            loaded = torch.load(path, map_location="cpu", weights_only=True, encoding="latin1")
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, LookupError, ValueError, AttributeError) as error:
        if "GLOBAL" in str(error):
            raise CheckpointError(f"{path}: holds objects besides weights, which could run code; not read") from error
        raise CheckpointError(f"{path}: truncated or not a torch file; fetch or make it again") from error
    if not isinstance(loaded, dict):
        raise CheckpointError(f"{path}: holds a {type(loaded).__name__} instead of named weights")
    return loaded


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; `deepmat train` makes weights, as runs/NAME/best.safetensors")


def _recognise(state: Mapping[str, Tensor], path: Path) -> ModelConfig:
    """Which variant of DIM these weights are, by keys and shapes; CheckpointError if they are none."""
    if "conv1_1.weight" not in state or "deconv1.weight" not in state or "conv6_1.weight" not in state:
        raise CheckpointError(f"{path}: not a model that deepmat knows (its first key: {next(iter(state), '')})")
    kernel = state["conv6_1.weight"].shape[-1]
    refine = "refine_pred.weight" in state
    # Skip connections leave no trace in the weights; no published 1x1 checkpoint has them.
    return ModelConfig(conv6=1, skip=False, refine=refine) if kernel == 1 else ModelConfig(refine=refine)


def load_weights(path: Path) -> Weights:
    """Weights with the model that they belong to. CheckpointError if missing, broken or of an unknown model."""
    _check_there(path)
    if path.suffix == ".safetensors":
        return _load_safetensors(path)
    loaded = load_state(path)
    state = loaded.get("state_dict", loaded)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path}: holds no state_dict of named weights")
    state = {str(key).removeprefix("module."): value for key, value in state.items()}
    if "model" in loaded and isinstance(loaded["model"], dict):
        return Weights(state, ModelConfig.model_validate(loaded["model"]), exact=True)
    return Weights(state, _recognise(state, path), exact=False)


def _load_safetensors(path: Path) -> Weights:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get("deepmat", "null"))
            state = {key: file.get_tensor(key) for key in file.keys()}
        if metadata is None:
            return Weights(state, _recognise(state, path), exact=False)
        model = ModelConfig.model_validate(metadata["model"]) if metadata["model"] else None
    except (SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
        raise CheckpointError(f"{path}: truncated or not a safetensors file of deepmat; make it again") from error
    return Weights(state, model, exact=True)


def _vgg_state(source: Path | None) -> dict[str, Tensor]:
    if source is not None:
        return load_state(source)
    # Only here: torchvision is slow to import and its binary must match torch's.
    from torchvision.models import VGG16_Weights

    try:
        return dict(VGG16_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True))
    except (urllib.error.URLError, OSError, RuntimeError) as error:
        raise CheckpointError(
            f"VGG16's weights could not be downloaded ({error}); fetch vgg16-397923af.pth on a machine that can and "
            "give it with --weights FILE"
        ) from error


def untrained_vgg(seed: int = 0) -> dict[str, Tensor]:
    """A randomly initialised VGG16, under torchvision's keys: stands in where ImageNet weights cannot be had."""
    from torchvision.models import vgg16

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return vgg16(weights=None).state_dict()


def convert_vgg(source: Path | Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """torchvision's VGG16 weights as DIM's encoder, the 4th input channel of conv1_1 zero.

    source: a .pth file, a state dict, or None to download through torchvision. CheckpointError if the download fails
    or the weights are not VGG16's.
    """
    vgg = source if isinstance(source, Mapping) else _vgg_state(source)
    name = source if isinstance(source, Path) else "VGG16"
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
