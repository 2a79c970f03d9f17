"""The matting networks: each takes (image, trimap) and returns {"alpha", ...}; weights carry their model's config.

A network is a torch module with the attributes of deepmat.inference.predictor.Predictor, and with these:

OPTIONS          its section of the config; its constructor takes the section's fields
PARTS            name of each part -> prefixes of its parameters, for freezing; empty if nothing can be trained
LASTING          options that weights were trained with and that a later run must keep
UNSEEN           options that published weights do not show, which load_model(assume=) sets
FIRST_WEIGHTS    the command that makes first weights, for messages; of a network that can be trained
recognise(state) the config of published weights without one, or None
depth(name)      optional: layers above a parameter, for train.optimizer.layer_decay

To add a network, write it in a file of this folder and add a line to MODELS.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from deepmat.config import Config, ModelConfig, ModelSection
from deepmat.errors import CheckpointError, ConfigError, lookup
from deepmat.models import vit
from deepmat.models.checkpoint import Weights
from deepmat.models.closed_form.network import ClosedForm
from deepmat.models.dim.fast import FastDIM
from deepmat.models.dim.int8 import Int8DIM
from deepmat.models.dim.layouts import LAYOUTS, named, translate
from deepmat.models.dim.network import DIM
from deepmat.models.finding import SHIPPED as SHIPPED
from deepmat.models.finding import find_weights, label_of, read_weights
from deepmat.models.foreign import foreign
from deepmat.models.lite.fast import FastLite
from deepmat.models.lite.network import Lite
from deepmat.models.onnx import OnnxNetwork, is_onnx
from deepmat.models.vitmatte import VitMatte, in_bf16
from deepmat.runtime.devices import PRECISIONS, pick_device
from deepmat.runtime.files import AnyPath
from deepmat.runtime.processes import survive_forks

MODELS: dict[str, type[nn.Module]] = {"dim": DIM, "lite": Lite, "closed-form": ClosedForm, "vitmatte": VitMatte}
FAST: dict[tuple[type[nn.Module], str], Callable[..., nn.Module]] = {
    (DIM, "fp32"): FastDIM,
    (DIM, "bf16"): partial(FastDIM, dtype=torch.bfloat16),
    (DIM, "int8"): Int8DIM,
    (Lite, "fp32"): FastLite,
    (Lite, "bf16"): partial(FastLite, dtype=torch.bfloat16),
    (VitMatte, "bf16"): in_bf16,
}
"""Forms for prediction by network and precision: the same alpha in less time and memory."""
CONTINUED = {"lite": "--config finetune", "vitmatte": "--config vitmatte"}
"""Options of `deepmat train` that go on with weights of a network, by its arch; of DIM a stage."""
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def build_model(config: ModelConfig | Config) -> nn.Module:
    """A network with fresh weights and its config as `model.config`. Raises ConfigError for an unknown arch.

    config: the model's section, or a whole config.
    """
    config = config.model if isinstance(config, Config) else config
    if not isinstance(config, ModelSection):
        raise ConfigError(f"config: {config!r:.60} is none; deepmat.load_config(path) reads one")
    options = config.model_dump()
    model = lookup(MODELS, options.pop("arch"), "model.arch")(**options)
    model.config = config  # type: ignore[assignment]
    return model


def options_of(values: Mapping[str, Any]) -> ModelConfig:
    """The config section of a network of MODELS, from its plain values. Raises KeyError or ValidationError."""
    section: ModelConfig = cast(Any, MODELS[values["arch"]]).OPTIONS.model_validate(values)
    return section


def describe_model(model: nn.Module) -> str:
    """Architecture and options in one line: "dim (conv6 3, skip True, refine False)"."""
    return model.name if isinstance(model, OnnxNetwork) else describe_config(cast(ModelConfig, model.config))


def describe_config(config: ModelConfig) -> str:
    """The line of `describe_model` from a config."""
    options = config.model_dump()
    arch = options.pop("arch")
    return f"{arch} ({', '.join(f'{key} {value}' for key, value in options.items())})" if options else arch


class Known(NamedTuple):
    """Weights of a known network."""

    format: str
    """"deepmat", or of another tool: "pytorch-deep-image-matting, conv6 3x3", "MMagic DIM stage 2", "transformers"."""
    config: ModelConfig | None
    """None for an encoder alone."""
    state: dict[str, Tensor]
    """By the names of the network's own parameters."""
    layers: Mapping[str, str]
    """Own name of a layer -> the file's, where they differ."""


def identify(weights: Weights, path: Path) -> Known:
    """The network that weights belong to. Raises CheckpointError if deepmat has no such network."""
    if weights.about is None:
        return _recognise(weights, path)
    try:
        config = options_of(weights.about["model"]) if weights.about["model"] else None
    except (ValidationError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: of a model that this version of deepmat does not have") from error
    return Known(weights.about.get("format", "deepmat"), config, weights.state, {})


def _recognise(weights: Weights, path: Path) -> Known:
    """Identify another tool's weights by their keys and shapes."""
    if translated := translate(weights.state):
        name, state = translated
        layout = LAYOUTS[name]
        for model in MODELS.values():
            if config := cast(Any, model).recognise(state):
                config = config.model_copy(update=layout.options)
                meta = weights.beside.get("meta")
                about = [meta.get(key) for key in ("experiment_name", "exp_name")] if isinstance(meta, dict) else []
                variant = layout.variant(config, " ".join(map(str, [*about, path.name])))
                return Known(f"{name}{variant}", config, state, layout.layers)
    if other := foreign(weights.state):
        raise CheckpointError(f"{path}: {other}")
    raise CheckpointError(
        f"{path}: not a model that deepmat knows (its keys: {few(list(weights.state))}); it takes weights of "
        f"{' and '.join(LAYOUTS)}"
    )


def few(keys: Sequence[str]) -> str:
    """The first three of some names, and the number of others."""
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def load_model(
    path: AnyPath | None = None,
    *,
    device: str | torch.device = "cpu",
    assume: Mapping[str, Any] | None = None,
) -> nn.Module:
    """The network in a weights file, ready to predict, float32; without a path the one that deepmat ships.

    The file is deepmat's own (.safetensors, config inside), by path or by its name in SHIPPED, one of `deepmat export`
    (.onnx), a ViTMatte of transformers (a folder, or its id on the hub), or another tool's
    (models.dim.layouts.LAYOUTS), whose variant follows from its keys and shapes. assume: options of its network that
    such weights do not show (UNSEEN), as {"skip": False}; None values count as not given. CheckpointError if the file
    is missing, broken or of another model, ConfigError for an option that its network does not declare, DeviceError
    for a device that this machine does not have.
    """
    survive_forks()
    if assume is not None and not isinstance(assume, Mapping):
        raise ConfigError(f'assume: {assume!r:.60} is no mapping of options; give {{"skip": False}} or the like')
    path, chosen = find_weights(path, "path", predicts=True), pick_device(device)
    if is_onnx(path):
        network = OnnxNetwork(path, str(path), chosen)
        _refuse_assumed(assume, path, network.name)
        return network
    weights = read_weights(path)
    return assemble(weights, identify(weights, path), path, assume).to(chosen).eval()


def assemble(weights: Weights, known: Known, path: Path, assume: Mapping[str, Any] | None = None) -> nn.Module:
    """The network of a file's weights, as `load_model`. Raises CheckpointError if they do not fit exactly."""
    config = known.config
    if config is None:
        begin = f"{'--config vitmatte ' if known.format == vit.FORMAT else ''}--pretrain {label_of(path)}"
        raise CheckpointError(f"{path}: {vit.ENCODER_ONLY.format(begin)}")
    if weights.about:
        _refuse_assumed(assume, path, describe_config(config))
    given = {key: value for key, value in (assume or {}).items() if value is not None}
    unseen = cast(Any, MODELS[config.arch]).UNSEEN
    for key in given:
        lookup(dict.fromkeys(unseen), key, f"option of {config.arch} that weights do not show")
    model = build_model(config.model_copy(update=given))
    refuse_other(model, known, path)
    model.load_state_dict(known.state)
    return model


def _refuse_assumed(assume: Mapping[str, Any] | None, path: Path, network: str) -> None:
    """Raise CheckpointError where options are assumed of a file that states them. network: described in words."""
    flags = " and ".join(f"--{key}" for key, value in (assume or {}).items() if value is not None)
    if flags:
        raise CheckpointError(f"{label_of(path)}: says itself how it was trained ({network}); leave {flags} out")


def refuse_other(model: nn.Module, known: Known, path: Path) -> None:
    """Raise CheckpointError unless the weights fit the network exactly."""
    missing = fit(model, known, path)
    if missing:
        names = [named(key, known.layers) for key in missing]
        raise CheckpointError(f"{path}: has no {few(names)}, which its model needs; fetch or make it again")


def precisions(model: nn.Module) -> list[str]:
    """Names of runtime.devices.PRECISIONS in which `for_prediction` can make the network."""
    return [precision for precision in PRECISIONS if precision == "fp32" or (type(model), precision) in FAST]


def for_prediction(model: nn.Module, precision: str = "fp32") -> nn.Module:
    """The network in its form for prediction, in one of runtime.devices.PRECISIONS.

    In fp32, a network without such a form is returned itself.

    Raises ConfigError for a precision that the network does not have.
    """
    if precision not in precisions(model):
        others = " or ".join(reversed(precisions(model)))
        raise ConfigError(f"precision {precision}: {describe_model(model)} has no such form; use {others}")
    fast = FAST.get((type(model), precision))
    return fast(model) if fast else model


def fit(model: nn.Module, known: Known, path: Path) -> list[str]:
    """Names of the network's weights that the file lacks.

    Raises CheckpointError for a name that the network lacks, or a tensor of another shape or not of plain floats.
    """
    own = model.state_dict()
    strange = [named(key, known.layers) for key in known.state if key not in own]
    if strange:
        raise CheckpointError(f"{path}: has {few(strange)}, which this model does not have")
    for key, value in known.state.items():
        name = named(key, known.layers)
        if value.shape != own[key].shape:
            raise CheckpointError(f"{path}: {name} is {[*value.shape]}, this model's is {[*own[key].shape]}")
        plain = FLOATS if own[key].is_floating_point() else (own[key].dtype,)
        if value.dtype not in plain or value.layout != torch.strided or value.is_meta:
            raise CheckpointError(f"{path}: {name} holds no plain floats ({value.dtype}); save it as float32")
    return [key for key in own if key not in known.state]


def is_whole(path: Path) -> bool:
    """Whether a weights file holds a whole network, not only an encoder. Raises CheckpointError as `load_model`."""
    return identify(read_weights(path), path).config is not None


def fill_from(model: nn.Module, path: Path) -> list[str]:
    """Fill a network from a weights file, to train it further. Returns the names that keep their fresh weights.

    Parts that the network lacks are left out. Raises CheckpointError if the file is missing, broken or of a network
    that differs in one of its LASTING options (published weights do not state theirs).
    """
    weights = read_weights(path)
    known = identify(weights, path)
    theirs, ours = known.config, cast(ModelConfig, model.config)
    if known.format == vit.FORMAT:
        known = known._replace(state=vit.fitted(known.state, model.state_dict(), label_of(path)))
    if theirs and not parts_of(MODELS[theirs.arch]):
        raise CheckpointError(f"{label_of(path)}: holds nothing to begin with; name weights of a network, or none")
    if theirs and theirs.arch != ours.arch:
        fitting = CONTINUED.get(theirs.arch, "--stage 0, 1, 2 or 3")
        raise CheckpointError(
            f"{label_of(path)}: weights of {theirs.arch}, this run trains {ours.arch}; {fitting} goes on with them"
        )
    if theirs and weights.about:
        for key in cast(tuple[str, ...], model.LASTING):
            made, wanted = getattr(theirs, key), getattr(ours, key)
            if made != wanted:
                raise CheckpointError(
                    f"{label_of(path)}: made with model.{key}={made}, this run has {wanted}; "
                    f"--set model.{key}={made} agrees"
                )
    absent = tuple(
        prefix for part, prefixes in parts_of(model).items() if not _named(model, part) for prefix in prefixes
    )
    taken = {key: value for key, value in known.state.items() if not key.startswith(absent)}
    fresh = fit(model, known._replace(state=taken), path)
    model.load_state_dict(taken, strict=False)
    return fresh


def parts_of(model: nn.Module | type[nn.Module]) -> dict[str, tuple[str, ...]]:
    """A network's PARTS."""
    return cast(Any, model).PARTS


def _named(model: nn.Module, part: str) -> list[nn.Parameter]:
    prefixes = lookup(parts_of(model), part, "train.freeze")
    return [parameter for name, parameter in model.named_parameters() if name.startswith(prefixes)]


def freeze(model: nn.Module, parts: Iterable[str]) -> None:
    """Stop training the named parts (of the network's PARTS). Raises ConfigError for a part that it lacks."""
    for part in parts:
        parameters = _named(model, part)
        if not parameters:
            raise ConfigError(f"train.freeze {part!r}: this model has no such part (model.refine is off?)")
        for parameter in parameters:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError("train.freeze: nothing is left to train; leave a part out")
