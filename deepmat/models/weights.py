"""Weights files: what is in them, and importing those of other tools."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

import torch

from deepmat.config import ModelConfig
from deepmat.errors import CheckpointError, ConfigError
from deepmat.models import (
    MODELS,
    Known,
    assemble,
    build_model,
    describe_config,
    find_weights,
    identify,
    parts_of,
    read_weights,
    refuse_other,
)
from deepmat.models.checkpoint import Weights, load_weights, save_weights
from deepmat.models.onnx import OnnxNetwork, is_onnx
from deepmat.runtime.files import AnyPath, as_path, real
from deepmat.runtime.paths import is_there

UNSTATED = (
    "not stated by the file; published DIM weights were trained on Adobe's data set, which is for non-commercial use"
)
UNSAID = "not stated by the weights"
PROGRESS = ("epoch", "iter", "step", "best_sad")
"""Values by which other tools' files say how far training was."""
SUFFIXES = (".tar", ".pth", ".pt", ".ckpt", ".bin", ".safetensors")


class Source(TypedDict, total=False):
    """Where imported weights come from; PROGRESS as far as the file has it."""

    file: str
    format: str
    sha256: str
    epoch: float
    iter: float
    step: float
    best_sad: float


class Imported(TypedDict):
    """What `import_weights` wrote: the network's config and in words, and what stands beside the weights."""

    model: dict[str, Any]
    network: str
    path: str
    source: Source
    licence: str


class Info(TypedDict):
    """What is in a weights file."""

    file: str
    bytes: int
    sha256: str
    format: str
    model: dict[str, Any] | None
    """The network's config, None where deepmat does not know it."""
    network: str | None
    """The network in words."""
    assumed: list[str]
    """Options that the weights do not show."""
    parts: dict[str, int]
    """Parameters in each part of the network."""
    parameters: int
    dtypes: dict[str, int]
    """Tensors of each type."""
    shapes: dict[str, list[int]]
    about: dict[str, Any]
    """What the file says of itself: run, step, scores, source, licence."""
    problem: str | None
    """Why deepmat cannot use it."""


def licence_of(read: Weights) -> str:
    """The licence that a weights file states; UNSAID where one of deepmat's states none, UNSTATED of another tool's."""
    about = {**read.beside, **(read.about or {})}
    stated = next((said for key in ("licence", "license") if isinstance(said := about.get(key), str)), None)
    return stated or (UNSAID if read.about else UNSTATED)


def sha256(path: Path) -> str:
    """The SHA-256 checksum of a file, in hexadecimal digits."""
    state = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()


def import_weights(
    weights: AnyPath,
    out: AnyPath | None = None,
    *,
    assume: Mapping[str, Any] | None = None,
    licence: str | None = None,
) -> Imported:
    """Write another tool's weights (models.dim.layouts.LAYOUTS) as deepmat's own, float32, whole or not at all.

    out: by default weights/NAME.safetensors, NAME being the file's. assume: as for `load_model`. licence: kept beside
    the weights; by default what the file states. Raises ConfigError if `out` exists or is no .safetensors;
    CheckpointError if the file is missing, broken or of another model, has strange or missing names, or numbers that
    are not finite.
    """
    path = as_path(weights, "weights")
    out = as_path(Path("weights", f"{_stem(path)}.safetensors") if out is None else out, "out")
    if out.suffix != ".safetensors":
        raise ConfigError(f"{out}: weights are written as safetensors; give a name that ends in .safetensors")
    read = load_weights(path)
    if read.about is not None:
        raise CheckpointError(f"{path}: is in deepmat's format already; use it directly")
    if real(out) == real(path):
        raise ConfigError(f"{out}: would overwrite the file that is read; choose another name")
    if is_there(out):
        raise ConfigError(f"{out}: exists already; choose another name with -o, or remove it")
    known = identify(read, path)
    model = assemble(read, known, path, assume)
    state = model.state_dict()
    spoilt = [key for key, value in state.items() if not torch.isfinite(value).all()]
    if spoilt:
        raise CheckpointError(f"{path}: {spoilt[0]} has numbers that are not finite; fetch it again or take another")
    source: Source = {"file": path.name, "format": known.format, "sha256": sha256(path)}
    source.update(cast(Source, _progress(read)))
    licence = licence or licence_of(read)
    config = cast(ModelConfig, model.config)
    save_weights(out, state, config.model_dump(), source=source, licence=licence)
    return {
        "model": config.model_dump(),
        "network": describe_config(config),
        "path": str(out),
        "source": source,
        "licence": licence,
    }


def _stem(path: Path) -> str:
    """The file's name without the suffixes of checkpoints: "stage1" of stage1.pth.tar."""
    while path.suffix in SUFFIXES:
        path = path.with_suffix("")
    return path.name


def _progress(weights: Weights) -> dict[str, float]:
    """How far the training of another tool's weights was, as far as the file says."""
    meta = weights.beside.get("meta")
    said = {**(meta if isinstance(meta, dict) else {}), **weights.beside}
    return {key: said[key] for key in PROGRESS if isinstance(said.get(key), (int, float))}


def info(weights: AnyPath) -> Info:
    """Describe a weights file (a path, or a name of models.SHIPPED), also of a network that deepmat does not know.

    Of an exported ONNX file, what it says of itself; its weights are not listed, and the contract is left out.
    Raises CheckpointError if it is missing, broken or holds no weights, ConfigError for an ONNX file without
    onnxruntime.
    """
    path = find_weights(weights)
    if is_onnx(path):
        return _info_of_graph(path)
    read = read_weights(path)
    known, problem = None, None
    try:
        known = identify(read, path)
        if known.config:
            with torch.device("meta"):  # takes no memory
                model = build_model(known.config)
            refuse_other(model, known, path)
    except CheckpointError as error:
        problem = str(error).removeprefix(f"{path}: ")
    config = known.config if known else None
    said = {key: value for key, value in (read.about or {}).items() if key not in ("model", "format")}
    return {
        "file": str(path),
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "format": _format(known, path),
        "model": config.model_dump() if config else None,
        "network": describe_config(config) if config else None,
        "assumed": _assumed(config) if config and read.about is None else [],
        "parts": _parts(known) if known else {},
        "parameters": sum(value.numel() for value in read.state.values()),
        "dtypes": dict(Counter(str(value.dtype).removeprefix("torch.") for value in read.state.values())),
        "shapes": {key: [*value.shape] for key, value in read.state.items()},
        "about": {**said, **read.beside},
        "problem": problem,
    }


def _info_of_graph(path: Path) -> Info:
    """Describe an ONNX file that `deepmat export` wrote."""
    network = OnnxNetwork(path, str(path))
    about = {key: value for key, value in sorted(network.about.items()) if key not in ("network", "contract")}
    return {
        "file": str(path),
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "format": "ONNX graph of deepmat",
        "model": None,
        "network": network.about["network"],
        "assumed": [],
        "parts": {},
        "parameters": 0,
        "dtypes": {},
        "shapes": {},
        "about": about,
        "problem": None,
    }


def _assumed(config: ModelConfig) -> list[str]:
    return [option for option in cast(Any, MODELS[config.arch]).UNSEEN if getattr(config, option)]


def _format(known: Known | None, path: Path) -> str:
    if known is None:
        return "unknown"
    if known.format != "deepmat":
        return known.format
    if known.config is None:
        return "deepmat encoder"
    return "deepmat weights" if path.suffix == ".safetensors" else "state of a deepmat run"


def _parts(known: Known) -> dict[str, int]:
    """Parameters in each part of the network that the file has."""
    prefixes = parts_of(MODELS[known.config.arch if known.config else "dim"])
    counts = {
        part: sum(value.numel() for key, value in known.state.items() if key.startswith(begin))
        for part, begin in prefixes.items()
    }
    return {part: count for part, count in counts.items() if count}
