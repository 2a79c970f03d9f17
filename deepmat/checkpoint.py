"""Weights and run states on disk: written whole, read without ever running code from the file.

deepmat's weights are safetensors files that say in their metadata which model they belong to. Published checkpoints
({'state_dict': ...} pickles, some by Python 2) are read as they are.
"""

import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from deepmat.errors import CheckpointError
from deepmat.files import write_bytes


class Weights(NamedTuple):
    state: dict[str, Tensor]
    about: dict[str, Any] | None
    """What deepmat wrote beside the weights: "model", the config as a dict (None for an encoder alone), and more.
    None for a file by another tool."""


def save_weights(path: Path, state: Mapping[str, Tensor], model: Mapping[str, Any] | None, **about: Any) -> None:
    """Write weights as safetensors, whole or not at all, with the model's config and `about` in the metadata."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    metadata = {"model": dict(model) if model else None, **about}
    write_bytes(path, save(tensors, metadata={"deepmat": json.dumps(metadata)}))


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write the state of a run (tensors and plain values), whole or not at all."""
    data = io.BytesIO()  # torch hides what the disk says
    torch.save(state, data)
    write_bytes(path, data.getbuffer())


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
    except Exception as error:  # a damaged pickle fails in any way
        if "GLOBAL" in str(error):
            raise CheckpointError(f"{path}: holds objects besides weights, which could run code; not read") from error
        raise CheckpointError(f"{path}: truncated or not a torch file; fetch or make it again") from error
    if not isinstance(loaded, dict):
        raise CheckpointError(f"{path}: holds a {type(loaded).__name__} instead of named weights")
    return loaded


def _check_there(path: Path) -> None:
    if path.is_dir():
        raise CheckpointError(f"{path}: is a folder; name a file, such as {path / 'best.safetensors'}")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; check the path")


def load_weights(path: Path) -> Weights:
    """The weights in a file and what it says about them. CheckpointError if missing, broken or without weights."""
    _check_there(path)
    if path.suffix == ".safetensors":
        return _load_safetensors(path)
    loaded = load_state(path)
    state = loaded.get("state_dict", loaded)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path}: holds no state_dict of named weights")
    about = {"model": loaded["model"]} if isinstance(loaded.get("model"), dict) else None
    return Weights({str(key).removeprefix("module."): value for key, value in state.items()}, about)


def _load_safetensors(path: Path) -> Weights:
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("deepmat", "null"))
            return Weights({key: file.get_tensor(key) for key in file.keys()}, about)
    except Exception as error:  # a damaged header fails in any way
        raise CheckpointError(f"{path}: truncated or not a safetensors file; make it again") from error
