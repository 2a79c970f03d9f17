"""The matting networks: each takes (image, trimap) and returns {"alpha", ...}; weights carry their model's config."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from deepmat.checkpoint import Weights, load_weights
from deepmat.config import ModelConfig
from deepmat.errors import CheckpointError, ConfigError, lookup
from deepmat.models.dim import DIM

MODELS: dict[str, type[nn.Module]] = {"dim": DIM}


def build_model(config: ModelConfig) -> nn.Module:
    """A network with fresh weights, its config kept as `model.config`. ConfigError for an unknown arch."""
    options = config.model_dump()
    model = lookup(MODELS, options.pop("arch"), "model.arch")(**options)
    model.config = config  # type: ignore[assignment]
    return model


def load_model(path: Path | str, *, device: str | torch.device = "cpu", skip: bool | None = None) -> nn.Module:
    """The network in a weights file, ready to predict.

    The file is deepmat's own (.safetensors, config inside) or a published {'state_dict': ...} pickle, whose variant is
    told from its keys and shapes; `skip` then says whether it was trained with skip connections, which weights do not
    show. CheckpointError if the file is missing, broken or of another model.
    """
    weights = load_weights(Path(path))
    if weights.model is None:
        raise CheckpointError(f"{path}: an encoder alone; `deepmat train --pretrain {path}` makes a whole model of it")
    model = build_model(weights.model if skip is None else weights.model.model_copy(update={"skip": skip}))
    missing = fill(model, weights.state, path)
    if missing:
        raise CheckpointError(f"{path}: has no {missing[0]} ({len(missing)} tensors missing); fetch or make it again")
    return model.to(device).eval()


def fill(model: nn.Module, state: Mapping[str, Tensor], path: Path | str) -> list[str]:
    """Copy weights into a network; returns the names that the file does not have.

    CheckpointError if it has a name that the network does not, or a tensor of another shape; nothing is copied then.
    """
    own = model.state_dict()
    strange = [key for key in state if key not in own]
    if strange:
        raise CheckpointError(f"{path}: has {strange[0]} ({len(strange)} such), which this model does not have")
    for key, value in state.items():
        if value.shape != own[key].shape:
            raise CheckpointError(f"{path}: {key} is {[*value.shape]}, this model's is {[*own[key].shape]}")
    model.load_state_dict(dict(state), strict=False)
    return [key for key in own if key not in state]


def fill_from(model: nn.Module, config: ModelConfig, path: Path) -> list[str]:
    """Begin training from a weights file; returns the names that keep their fresh weights.

    Refinement weights are left out where the model has none. CheckpointError if the file is missing, broken or of a
    model with another conv6 or skip.
    """
    weights: Weights = load_weights(path)
    if weights.model and weights.exact:
        for key in ("conv6", "skip"):
            theirs, ours = getattr(weights.model, key), getattr(config, key)
            if theirs != ours:
                raise CheckpointError(
                    f"{path}: made with model.{key}={theirs}, this run has {ours}; --set model.{key}={theirs} agrees"
                )
    refinement = () if config.refine else DIM.PARTS["refinement"]
    state = {key: value for key, value in weights.state.items() if not (refinement and key.startswith(refinement))}
    return fill(model, state, path)


def describe_model(model: nn.Module) -> str:
    """Architecture and options in a line: "dim (conv6 3, skip True, refine False)"."""
    options = cast(ModelConfig, model.config).model_dump()
    return f"{options.pop('arch')} ({', '.join(f'{key} {value}' for key, value in options.items())})"


def freeze(model: nn.Module, parts: Iterable[str]) -> None:
    """Stop training the named parts (the model's PARTS). ConfigError for a part that it does not have."""
    for part in parts:
        prefixes = lookup(cast(dict[str, tuple[str, ...]], model.PARTS), part, "train.freeze")
        named = [parameter for name, parameter in model.named_parameters() if name.startswith(prefixes)]
        if not named:
            raise ConfigError(f"train.freeze {part!r}: this model has no such part (model.refine is off?)")
        for parameter in named:
            parameter.requires_grad_(False)
