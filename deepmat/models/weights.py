"""Weights files: what is in them, and other tools' made deepmat's own."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

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
    refuse_other,
)
from deepmat.models.checkpoint import Weights, load_weights, save_weights
from deepmat.runtime.files import real

UNSTATED = (
    "not stated by the file; published DIM weights were trained on Adobe's data set, which is for non-commercial use"
)
TOLD = ("epoch", "iter", "step", "best_sad")


def sha256(path: Path) -> str:
    """The SHA-256 checksum of a file, in hex."""
    state = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()


def import_weights(
    path: Path | str, out: Path | str, *, assume: Mapping[str, Any] | None = None, licence: str | None = None
) -> dict[str, Any]:
    """Write another tool's weights (models.foreign.LAYOUTS) as deepmat's own, float32, whole or not at all.

    assume: as for `load_model`. licence: kept beside them; without
    it what the file says. Returns {"model": the config, "network": it in words, "source", "licence"}; all but "network"
    are in the metadata of `out`. "source" is {"file", "format", "sha256"} and the epoch, best_sad ... that the file
    tells.
    ConfigError if `out` is the file itself or no .safetensors; CheckpointError if the file is missing, broken or of
    another model, has strange or missing names, or numbers that are not finite.
    """
    path, out = Path(path), Path(out)
    if out.suffix != ".safetensors":
        raise ConfigError(f"{out}: weights are written as safetensors; give a name that ends in .safetensors")
    weights = load_weights(path)
    if real(out) == real(path):
        raise ConfigError(f"{out}: would overwrite the file that is read; choose another name")
    if out.exists():
        raise ConfigError(f"{out}: is there already; choose another name with -o, or remove it")
    known = identify(weights, path)
    if weights.about is not None:
        raise CheckpointError(f"{path}: is deepmat's own already; use it as it is")
    model = assemble(weights, known, path, assume)
    state = model.state_dict()
    spoilt = [key for key, value in state.items() if not torch.isfinite(value).all()]
    if spoilt:
        raise CheckpointError(f"{path}: {spoilt[0]} has numbers that are not finite; fetch it again or take another")
    stated = next((said for key in ("licence", "license") if isinstance(said := weights.beside.get(key), str)), None)
    about = {
        "source": {"file": path.name, "format": known.format, "sha256": sha256(path), **_told(weights)},
        "licence": licence or stated or UNSTATED,
    }
    config = cast(ModelConfig, model.config)
    save_weights(out, state, config.model_dump(), **about)
    return {"model": config.model_dump(), "network": describe_config(config), **about}


def _told(weights: Weights) -> dict[str, Any]:
    """How far the training of another tool's weights was, as far as the file says."""
    meta = weights.beside.get("meta")
    said = {**(meta if isinstance(meta, dict) else {}), **weights.beside}
    return {key: said[key] for key in TOLD if isinstance(said.get(key), (int, float))}


def describe_weights(path: Path | str) -> dict[str, Any]:
    """What is in a weights file (a path, or a name of models.SHIPPED), also of a network that deepmat does not know.

    Returns {"file", "bytes", "sha256", "format", "model": its config or None, "network": in words, "assumed": options
    that the weights do not show, "parts": {name: parameters}, "parameters", "dtypes": {name: tensors}, "shapes": {key:
    shape}, "about": what the file says of itself, "problem": why deepmat cannot use it, or None}. CheckpointError if it
    is missing, broken or without weights.
    """
    path = find_weights(path)
    weights = load_weights(path)
    known, problem = None, None
    try:
        known = identify(weights, path)
        if known.config:
            with torch.device("meta"):  # takes no memory
                model = build_model(known.config)
            refuse_other(model, known, path)
    except CheckpointError as error:
        problem = str(error).removeprefix(f"{path}: ")
    config = known.config if known else None
    about = {**{key: value for key, value in (weights.about or {}).items() if key != "model"}, **weights.beside}
    return {
        "file": str(path),
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "format": _format(known, path),
        "model": config.model_dump() if config else None,
        "network": describe_config(config) if config else None,
        "assumed": _assumed(config) if config and weights.about is None else [],
        "parts": _parts(known) if known else {},
        "parameters": sum(value.numel() for value in weights.state.values()),
        "dtypes": dict(Counter(str(value.dtype).removeprefix("torch.") for value in weights.state.values())),
        "shapes": {key: [*value.shape] for key, value in weights.state.items()},
        "about": about,
        "problem": problem,
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
