"""Push weights to the hub, with a model card."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, TypedDict

from deepmat.errors import CheckpointError, ConfigError, DataError
from deepmat.models import describe_config, find_weights, folders, identify, read_weights
from deepmat.models.checkpoint import to_bytes
from deepmat.models.weights import UNSAID, sha256
from deepmat.report.records import LOG
from deepmat.runtime import hub
from deepmat.runtime.files import AnyPath, as_path, as_path_or_none
from deepmat.runtime.paths import is_file, is_folder
from deepmat.scoring.records import SCORES
from deepmat.training import card
from deepmat.training.origins import BEGAN, Origin, config_of, origins, said
from deepmat.training.run import BEST


class Pushed(TypedDict):
    """What `push` wrote."""

    model: str
    address: str | None
    """None of a dry run."""
    licence: str | None
    card: str
    bytes: int
    """Of the weights."""
    notices: list[str]


def push(
    weights: AnyPath,
    model: str,
    *,
    licence: str | None = None,
    scores: AnyPath | None = None,
    private: bool = False,
    dry_run: bool = False,
) -> Pushed:
    """Push a run's best weights to the hub, with a model card: what `deepmat push` does.

    weights: the folder of a run, or a weights file in deepmat's format. model: USER/NAME; it is made if need be.
    licence: by default what the weights state, else the licence of those that they began with, if all of them have the
    same. scores: scores.json of `deepmat eval` of these weights, or its folder. private: of a model that is made.
    dry_run: nothing is sent. The pushed file, deepmat.safetensors, also says licence and origins itself.

    Raises ConfigError without huggingface_hub or for a wrong name, CheckpointError for other weights, without a token,
    or where the hub cannot be reached or refuses, DataError for broken scores or those of other weights.
    """
    path, evaluated = as_path(weights, "weights"), as_path_or_none(scores, "scores")
    evaluated = evaluated / SCORES if evaluated and is_folder(evaluated) else evaluated
    if not isinstance(model, str) or not hub.is_id(model):
        raise ConfigError(f"{model}: no name of a model of the hub; give USER/NAME")
    if is_folder(path) and not is_file(path / BEST):
        raise CheckpointError(f"{path}: holds no {BEST}; name the folder of a run, or a weights file")
    path = path / BEST if is_folder(path) else find_weights(path)
    read = read_weights(path)
    known = identify(read, path)
    if read.about is None or known.config is None or known.format != "deepmat" or path.suffix != ".safetensors":
        raise CheckpointError(
            f"{path}: no whole network in deepmat's format; name a run's folder or its {BEST}"
            " (`deepmat import` converts weights of other tools)"
        )
    digest, found = sha256(path), origins(path)
    licence, notices = _licence(licence, read.about.get("licence"), found)
    content = card.Content(
        model=model,
        network=describe_config(known.config),
        licence=licence,
        origins=found,
        about=read.about,
        sha256=digest,
        config=config_of(path),
        tested=_tested(path, read.about.get("step")),
        evaluation=_evaluation(evaluated, digest) if evaluated else [],
    )
    text = card.write(content)
    about = {**read.about, **({"licence": licence} if licence else {}), **({BEGAN: said(found)} if found else {})}
    data = to_bytes(read.state, about)
    files = {folders.OWN: data, folders.CARD: text.encode()}
    address = None if dry_run else hub.upload(model, files, "Weights of deepmat", private)
    return {
        "model": model,
        "address": address,
        "licence": licence,
        "card": text,
        "bytes": len(data),
        "notices": notices,
    }


def _licence(given: str | None, stated: Any, found: list[Origin]) -> tuple[str | None, list[str]]:
    """The licence of pushed weights, and notices. given: by the user; stated: by the file."""
    told = [each for each in found if each.licence != UNSAID]
    same = len({each.licence for each in told}) == 1 and told[0].is_known
    own = given or (str(stated) if stated else None) or (told[0].licence if same else None)
    others = [f"{each.name} ({each.licence})" for each in told if each.licence != own]
    notices = [] if own else ["no licence is stated; --licence states one"]
    if others:
        notices.append(
            f"training began with {', '.join(others)}, whose licence may bind these weights; the card says so"
        )
    return own, notices


def _tested(weights: Path, step: Any) -> dict[str, Any]:
    """The run's record of the test at a step; {} where its log has none."""
    log, found = weights.parent / LOG, {}
    lines = log.read_text(encoding="utf-8").splitlines() if is_file(log) and config_of(weights) else []
    for line in lines:
        with suppress(ValueError, AttributeError):  # a kill can cut a line short
            record = json.loads(line)
            if record.get("event") == "test" and record.get("step") == step:
                found = record
    return found


def _evaluation(path: Path, digest: str) -> list[str]:
    """What a card says of scores. digest: the checksum of the weights. Raises DataError for a file of others."""
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        runs = {run.get("sha256"): run["run"] for run in summary["runs"]}
        lines = list(card.evaluation(summary, runs[digest])) if digest in runs else []
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; `deepmat eval -o DIR` writes it") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON; `deepmat eval -o DIR` writes it") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: no scores of `deepmat eval`, which writes them with -o DIR") from error
    if not lines:
        raise DataError(
            f"{path}: scores of other weights, by their checksum; score these: `deepmat eval -w FILE -o DIR`"
        )
    return lines
