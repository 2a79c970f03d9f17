"""Weights in the format of transformers: a folder with config.json and weights, or a model of the hub."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from deepmat.errors import CheckpointError, ConfigError
from deepmat.models import vit, vitmatte
from deepmat.models.checkpoint import Weights
from deepmat.runtime import hub
from deepmat.runtime.paths import is_file, is_folder

FORMAT = "transformers"
CONFIG, PROCESSOR, CARD = "config.json", "preprocessor_config.json", "README.md"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Names of weights files, in the order in which they are looked for."""
OWN = "deepmat.safetensors"
"""Weights in deepmat's own format in a model of the hub, as `deepmat push` names them."""
LICENCE_UNSTATED = "not stated by the model card"
TERMS = {
    "composition-1k": "Composition-1k, Adobe's data set, which is for non-commercial use",
    "distinctions-646": "Distinctions-646, which is for non-commercial research",
}
"""Data sets that public weights were trained on, by what their names and model cards say."""


def find_file(named: Path, *, predicts: bool = False) -> Path | None:
    """Return the weights file of a folder or of a model of the hub, fetched if need be; None for anything else.

    predicts: refuse an encoder alone. Raises CheckpointError where its config.json is missing, broken or of another
    network, or weights are missing.
    """
    if is_folder(named):
        return _in_folder(named, predicts) if is_file(named / CONFIG) else None
    return _of_hub(named.as_posix(), predicts) if hub.is_id(named.as_posix()) else None


def _in_folder(folder: Path, predicts: bool) -> Path:
    _check_use(_read_config(folder / CONFIG, str(folder)), str(folder), predicts)
    for name in WEIGHTS:
        if is_file(folder / name):
            return folder / name
    raise CheckpointError(f"{folder}: has {CONFIG}, but neither {' nor '.join(WEIGHTS)}; fetch it again")


def _of_hub(model: str, predicts: bool) -> Path:
    """Fetch config.json first, so that no weights of another network are fetched."""
    config = hub.fetch(model, CONFIG)
    if config is None:
        if own := hub.fetch(model, OWN):
            with suppress(CheckpointError):
                hub.fetch(model, CARD, own.parent.name)
            return own
        raise CheckpointError(f"{model}: has no {CONFIG}, so it is no model of transformers; {vitmatte.EXPECTED}")
    _check_use(_read_config(config, model), model, predicts)
    vitmatte.transformers()
    commit = config.parent.name
    hub.fetch(model, PROCESSOR, commit)
    with suppress(CheckpointError):
        hub.fetch(model, CARD, commit)
    for name in WEIGHTS:
        if path := hub.fetch(model, name, commit):
            return path
    raise CheckpointError(f"{model}: has neither {' nor '.join(WEIGHTS)}; take another model")


def _read_config(path: Path, name: str) -> dict[str, Any]:
    """Return a config.json of ViTMatte or of vit.KINDS. name: of the model, in messages. Raises CheckpointError."""
    config = _read_json(path)
    architectures = config.get("architectures")
    kind = config.get("model_type") or (architectures or ["unknown"])[0]
    if kind not in ("vitmatte", *vit.KINDS):
        raise CheckpointError(f"{name}: {CONFIG} is of a model of type {kind}; {vitmatte.EXPECTED}")
    return config


def _check_use(config: Mapping[str, Any], name: str, predicts: bool) -> None:
    """Raise CheckpointError for a vision transformer where a network that predicts is asked for."""
    if predicts and config.get("model_type") in vit.KINDS:
        raise CheckpointError(f"{name}: {vit.ENCODER_ONLY.format(f'--config vitmatte --pretrain {name}')}")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: truncated or no JSON file; fetch it again") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: holds no object; fetch it again")
    return values


def is_of_folder(path: Path) -> bool:
    """Return whether a weights file is one of transformers', with a config.json beside it."""
    return path.name in WEIGHTS and is_file(path.parent / CONFIG)


def with_config(weights: Weights, path: Path) -> Weights:
    """Return weights with what the files beside them say, as metadata of deepmat; others unchanged.

    Raises CheckpointError if these files are broken or of another network.
    """
    if weights.about is not None or not is_of_folder(path):
        return weights
    config = _read_config(path.parent / CONFIG, str(path))
    if config.get("model_type") in vit.KINDS:
        return Weights(vit.translate(weights.state), {"model": None, "format": vit.FORMAT, **terms(path)})
    processor = _read_json(path.parent / PROCESSOR) if is_file(path.parent / PROCESSOR) else {}
    try:
        model = vitmatte.section(config, processor)
    except ConfigError as error:
        raise CheckpointError(f"{path.parent}: {error}") from error
    about = {"model": model, "format": FORMAT, **terms(path)}
    return Weights(weights.state, about)  # what transformers writes into the file is "format: pt" alone


def terms(path: Path) -> dict[str, str]:
    """Return "licence" and, where it is known, "trained on" by the model card beside a weights file.

    {} for a file that is neither of transformers nor a pushed one of the hub.
    """
    if not is_of_folder(path) and not (path.name == OWN and hub.id_of(path)):
        return {}
    return terms_of_card(hub.card(path.parent), hub.id_of(path) or path.parent.name)


def terms_of_card(card: Mapping[str, Any], model: str) -> dict[str, str]:
    """Return "licence" and, where it is known, "trained on" by the metadata of a model card. model: its name."""
    said = {"licence": _licence(card)}
    data = _as_list(card.get("datasets"))
    named = " ".join([model, *data]).lower()
    known = [about for name, about in TERMS.items() if name in named]
    if known or data:
        said["trained on"] = "; ".join(known or data)
    return said


def _licence(card: Mapping[str, Any]) -> str:
    stated = ", ".join(_as_list(card.get("license"))) or LICENCE_UNSTATED
    more = [str(card[key]) for key in ("license_name", "license_link") if card.get(key)]
    return f"{stated} ({', '.join(more)})" if more else stated


def _as_list(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)] if value else []
