"""Weights and run states on disk: written whole, read without ever running code from the file.

deepmat's weights are safetensors files that say in their metadata which model they belong to. Published checkpoints
({'state_dict': ...} pickles, some by Python 2) are read as they are.
"""

import io
import json
import os
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import torch
from safetensors.torch import load, save
from torch import Tensor

from deepmat.errors import CheckpointError
from deepmat.runtime.files import write_bytes
from deepmat.runtime.paths import is_file, is_folder


class Weights(NamedTuple):
    """The content of a weights file."""

    state: dict[str, Tensor]
    about: dict[str, Any] | None
    """Metadata that deepmat wrote: "model", the config as a dict (None for an encoder only), and more. None for a file
    of another tool."""
    beside: dict[str, Any] = {}
    """Other plain values in the file, such as "epoch", "best_sad", "meta"."""


class _Inert:
    """Stands in for an object of a training tool beside the weights: takes any state and does nothing."""

    def __new__(cls, *arguments: Any) -> "_Inert":
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        pass


class _NumpyType:
    """Stands in for numpy's dtype, which a file could make read foreign memory: its kind and byte order only."""

    def __init__(self, kind: str, *_: Any) -> None:
        self.kind, self.order = kind, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


def _numpy_scalar(dtype: _NumpyType, data: bytes | str) -> float | None:
    """A numpy number in an old checkpoint's "best_sad"; None for another kind. Python 2 kept its bytes as text."""
    code = {"f4": "f", "f8": "d", "i4": "i", "i8": "q"}.get(dtype.kind)
    raw = data.encode("latin1") if isinstance(data, str) else data
    return struct.unpack((">" if dtype.order == ">" else "<") + code, raw)[0] if code else None


LOADING = Lock()
"""Held while Python's warnings are off: two threads at once would leave them off."""
# What stands in for what torch files name besides tensors; the arrays and methods are of MMEngine's history of losses.
STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_NumpyType, "numpy.dtype"),
    (_numpy_scalar, "numpy.core.multiarray.scalar"),
    (_numpy_scalar, "numpy._core.multiarray.scalar"),
    (_Inert, "mmengine.logging.history_buffer.HistoryBuffer"),
    (_Inert, "numpy.core.multiarray._reconstruct"),
    (_Inert, "numpy._core.multiarray._reconstruct"),
    (_Inert, "numpy.ndarray"),
    (_Inert, "builtins.getattr"),
    (_Inert, "__builtin__.getattr"),
]


def save_weights(path: Path, state: Mapping[str, Tensor], model: Mapping[str, Any] | None, **about: Any) -> None:
    """Write weights as safetensors, whole or not at all, with the model's config and `about` in the metadata."""
    write_bytes(path, to_bytes(state, {"model": dict(model) if model else None, **about}))


def to_bytes(state: Mapping[str, Tensor], about: Mapping[str, Any]) -> bytes:
    """The safetensors file of weights. about: its metadata, as in `Weights`."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    return save(tensors, metadata={"deepmat": json.dumps(about)})


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write the state of a run (tensors and plain values), whole or not at all."""
    data = io.BytesIO()  # torch hides what the disk says
    torch.save(state, data)
    write_bytes(path, data.getbuffer())


def load_state(path: Path) -> dict[str, Any]:
    """Tensors and plain values of a torch file; CheckpointError if missing, broken or holding anything else."""
    _check_there(path)
    try:
        _check_not_compressed(path)
        with LOADING, torch.serialization.safe_globals(STAND_INS), warnings.catch_warnings():
            # latin1 reads the byte strings of Python 2; torch warns of the argument, and heeds it.
            warnings.simplefilter("ignore")
            with open(path, "rb") as file:  # torch itself opens UTF-8 names only
                loaded = torch.load(file, map_location="cpu", weights_only=True, encoding="latin1")
    except CheckpointError:
        raise
    except Exception as error:  # a damaged pickle fails in any way
        if "GLOBAL" in str(error):
            raise CheckpointError(
                f"{path}: holds objects besides weights, which could run code; not read. Whoever made it can save the "
                "weights alone: torch.save({'state_dict': model.state_dict()}, FILE)"
            ) from error
        raise CheckpointError(f"{path}: truncated or not a file of weights; fetch or make it again") from error
    if not isinstance(loaded, dict):
        raise CheckpointError(f"{path}: holds a {type(loaded).__name__} instead of named weights")
    return loaded


def _check_not_compressed(path: Path) -> None:
    """CheckpointError for a zip file that unpacks to more than its own size: torch does not compress, bombs do."""
    with open(path, "rb") as file:
        if file.read(4) != b"PK\3\4":
            return
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
            raise CheckpointError(
                f"{path}: is compressed, which torch's files are not; fetch it from where it was made"
            )


def refuse_folder(path: Path, pattern: str, what: str) -> None:
    """Raise CheckpointError if a path is a folder, with the newest or last of its files that `what` could mean."""
    if is_folder(path):
        there = sorted(path.glob(pattern))
        how = f"name a file of it, such as {there[-1]}" if there else f"it holds no {what} ({pattern})"
        raise CheckpointError(f"{path}: is a folder; {how}")


def _check_there(path: Path) -> None:
    refuse_folder(path, "*.safetensors", "weights")
    if not is_file(path):
        raise CheckpointError(f"{path}: no such file; check the path")
    if not os.access(path, os.R_OK):
        raise CheckpointError(f"{path}: may not be read (Permission denied); change its permissions")


def load_weights(path: Path) -> Weights:
    """Read a weights file of any kind. Raises CheckpointError if it is missing, broken or without weights."""
    _check_there(path)
    if path.suffix == ".onnx":
        raise CheckpointError(f"{path}: an ONNX graph, no weights; name the weights that it was made from")
    if path.suffix == ".safetensors":
        return _load_safetensors(path)
    loaded = load_state(path)
    state = _state_in(loaded)
    if state is None:
        raise CheckpointError(f"{path}: holds no state_dict of named weights")
    rest = {} if state is loaded else {key: value for key, value in loaded.items() if value is not state}
    model = rest.pop("model", None)
    about = {"model": model} if isinstance(model, dict) else None
    return Weights({str(key).removeprefix("module."): value for key, value in state.items()}, about, _plain(rest))


def _state_in(loaded: Mapping[str, Any]) -> dict[Any, Tensor] | None:
    """The named weights of a torch file: its "state_dict", else itself or the first of its dicts that holds such."""
    candidates = [loaded["state_dict"]] if "state_dict" in loaded else [loaded, *loaded.values()]
    for state in candidates:
        if isinstance(state, dict) and state and all(isinstance(value, Tensor) for value in state.values()):
            return state
    return None


def _plain(values: Mapping[Any, Any], depth: int = 1) -> dict[str, Any]:
    """The texts and numbers in a dict and in dicts up to `depth` levels within it, which may contain themselves."""
    plain: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Tensor) and value.numel() == 1 and not value.is_meta:
            value = value.item()
        if isinstance(value, (str, int, float)):
            plain[str(key)] = value
        elif isinstance(value, dict) and depth and (within := _plain(value, depth - 1)):
            plain[str(key)] = within
    return plain


def _load_safetensors(path: Path) -> Weights:
    try:
        data = path.read_bytes()  # the library itself opens UTF-8 names only
        state = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        beside = header.get("__metadata__") or {}
        about = json.loads(beside.pop("deepmat", "null"))
        if about is not None and not isinstance(about, dict):
            raise ValueError("deepmat's metadata is no object")
        return Weights(state, about, beside)
    except Exception as error:  # a damaged header fails in any way
        raise CheckpointError(
            f"{path}: truncated or not a safetensors file ({error}); fetch or make it again"
        ) from error
