"""The matting networks: each takes (image, trimap) and returns {"alpha", ...}; weights carry their model's config.

A network class has, beside forward():
PARTS    name of each part -> prefixes of its parameters, for freezing
LASTING  options that weights were trained with and that a later run must keep
recognise(state)  the config of published weights without one, or None
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import cast

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from deepmat.checkpoint import Weights, load_weights
from deepmat.config import ModelConfig
from deepmat.errors import CheckpointError, ConfigError, lookup
from deepmat.models.dim import DIM
from deepmat.models.fast import FastDIM
from deepmat.models.int8 import Int8DIM

MODELS: dict[str, type[DIM]] = {"dim": DIM}
FAST: dict[tuple[type[nn.Module], str], Callable[..., nn.Module]] = {
    (DIM, "fp32"): FastDIM,
    (DIM, "bf16"): partial(FastDIM, dtype=torch.bfloat16),
    (DIM, "int8"): Int8DIM,
}
"""By network and precision: rewritten for prediction alone, the same answer in less time and memory."""


def build_model(config: ModelConfig) -> nn.Module:
    """A network with fresh weights, its config kept as `model.config`. ConfigError for an unknown arch."""
    options = config.model_dump()
    model = lookup(MODELS, options.pop("arch"), "model.arch")(**options)
    model.config = config  # type: ignore[assignment]
    return model


def describe_model(model: nn.Module) -> str:
    """Architecture and options in a line: "dim (conv6 3, skip True, refine False)"."""
    options = cast(ModelConfig, model.config).model_dump()
    return f"{options.pop('arch')} ({', '.join(f'{key} {value}' for key, value in options.items())})"


def _config_of(weights: Weights, path: Path) -> ModelConfig | None:
    """Which model weights belong to; None for an encoder alone. CheckpointError if deepmat has no such model."""
    if weights.about is None:
        recognised = filter(None, (model.recognise(weights.state) for model in MODELS.values()))
        config = next(recognised, None)
        if config is None:
            first = next(iter(weights.state), "")
            raise CheckpointError(f"{path}: not a model that deepmat knows (its first key: {first})")
        return config
    try:
        return ModelConfig.model_validate(weights.about["model"]) if weights.about["model"] else None
    except (ValidationError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: of a model that this version of deepmat does not have") from error


def load_model(path: Path | str, *, device: str | torch.device = "cpu", skip: bool | None = None) -> nn.Module:
    """The network in a weights file, ready to predict.

    The file is deepmat's own (.safetensors, config inside) or a published {'state_dict': ...} pickle, whose variant is
    told from its keys and shapes; `skip` then says whether it was trained with skip connections, which weights do not
    show. CheckpointError if the file is missing, broken or of another model.
    """
    path = Path(path)
    weights = load_weights(path)
    config = _config_of(weights, path)
    if config is None:
        raise CheckpointError(f"{path}: an encoder alone; `deepmat train --pretrain {path}` makes a whole model of it")
    if skip is not None and weights.about:
        raise CheckpointError(f"{path}: says itself how it was trained (skip {config.skip}); leave --skip out")
    model = build_model(config if skip is None else config.model_copy(update={"skip": skip}))
    missing = fill(model, weights.state, path)
    if missing:
        raise CheckpointError(f"{path}: has no {missing[0]} ({len(missing)} tensors missing); fetch or make it again")
    return model.to(device).eval()


def for_prediction(model: nn.Module, precision: str = "fp32") -> nn.Module:
    """The network made fast for `predict`, in one of devices.PRECISIONS; itself in fp32 if there is no such form of it.

    ConfigError for another precision of such a network.
    """
    fast = FAST.get((type(model), precision))
    if not fast and precision != "fp32":
        raise ConfigError(f"precision {precision}: this network has no such form; use fp32")
    return fast(model) if fast else model


def fill(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> list[str]:
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


def fill_from(model: nn.Module, path: Path) -> list[str]:
    """Begin training from a weights file; returns the names that keep their fresh weights.

    Parts that the model does not have are left out. CheckpointError if the file is missing, broken or of a model that
    differs in one of its LASTING options (published weights do not say theirs).
    """
    weights = load_weights(path)
    theirs, ours = _config_of(weights, path), cast(ModelConfig, model.config)
    if theirs and weights.about:
        for key in ("arch", *cast(tuple[str, ...], model.LASTING)):
            made, wanted = getattr(theirs, key), getattr(ours, key)
            if made != wanted:
                raise CheckpointError(
                    f"{path}: made with model.{key}={made}, this run has {wanted}; --set model.{key}={made} agrees"
                )
    absent = tuple(prefix for part, prefixes in _parts(model).items() if not _named(model, part) for prefix in prefixes)
    return fill(model, {key: value for key, value in weights.state.items() if not key.startswith(absent)}, path)


def _parts(model: nn.Module) -> dict[str, tuple[str, ...]]:
    return cast(dict[str, tuple[str, ...]], model.PARTS)


def _named(model: nn.Module, part: str) -> list[nn.Parameter]:
    prefixes = lookup(_parts(model), part, "train.freeze")
    return [parameter for name, parameter in model.named_parameters() if name.startswith(prefixes)]


def freeze(model: nn.Module, parts: Iterable[str]) -> None:
    """Stop training the named parts (the model's PARTS). ConfigError for a part that it does not have."""
    for part in parts:
        parameters = _named(model, part)
        if not parameters:
            raise ConfigError(f"train.freeze {part!r}: this model has no such part (model.refine is off?)")
        for parameter in parameters:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError("train.freeze: nothing is left to train; leave a part out")
