"""Where weights began: the chain of what training started from, with the licence of each."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from deepmat.config import Config, load_config
from deepmat.errors import DeepmatError
from deepmat.models import find_weights, folders, label_of, read_weights
from deepmat.models.finding import SHIPPED
from deepmat.models.weights import UNSAID, licence_of
from deepmat.runtime import hub
from deepmat.runtime.files import real
from deepmat.runtime.paths import is_file, is_there

CONFIG, BEGAN = "config.yaml", "began_with"
GONE = "unknown: the file is not there any more"
UNREAD = "unknown: its model card cannot be read"


class Origin(NamedTuple):
    """Weights that others began with."""

    name: str
    """Without the folders that they lie in: of a run and its step, of shipped weights, a model's id, a file's name."""
    licence: str
    model: str | None = None
    """The id, of a model of the hub."""
    trained_on: str | None = None
    """Data sets, by the model card."""

    @property
    def is_known(self) -> bool:
        """Whether the licence is stated."""
        return not self.licence.startswith(("not stated", "unknown"))


def config_of(weights: Path) -> Config | None:
    """The config of the run whose folder a weights file lies in; None if it lies elsewhere or is of another run."""
    beside = weights.parent / CONFIG
    if not is_file(beside):
        return None
    config = load_config(beside)
    return config if (read_weights(weights).about or {}).get("run") == config.train.name else None


def origins(weights: Path) -> list[Origin]:
    """What a file of a run began with, what that began with, and so on; [] for random weights and other files."""
    found: list[Origin] = []
    seen = {real(weights)}
    file: Path | None = weights
    while file:
        found += _said((read_weights(file).about or {}).get(BEGAN))
        config = config_of(file)
        wanted = config.train.pretrain if config else None
        if not wanted:
            break
        named = wanted.replace("{runs}", str(file.parent.parent))
        if not is_there(Path(named)) and named not in SHIPPED and hub.is_id(named):
            found += _of_hub(named)
            break
        path = find_weights(named)
        if real(path) in seen:
            break
        seen.add(real(path))
        origin, file = _of_file(path)
        found.append(origin)
    return list(dict.fromkeys(found))


def _said(began: object) -> Iterator[Origin]:
    """What a pushed file or its card says of where it began."""
    for each in began if isinstance(began, list) else ():
        if isinstance(each, dict) and isinstance(each.get("weights"), str):
            licence = str(each.get("licence", UNSAID))
            yield Origin(each["weights"], licence, each.get("model"), each.get("trained_on"))


def said(found: list[Origin]) -> list[dict[str, str]]:
    """Origins as a file or a card holds them, under BEGAN."""
    kept = [
        {"weights": each.name, "licence": each.licence, "model": each.model, "trained_on": each.trained_on}
        for each in found
    ]
    return [{key: value for key, value in each.items() if value} for each in kept]


def _of_hub(model: str) -> Iterator[Origin]:
    """A model that is not fetched for this: only its card is."""
    path = None
    with suppress(DeepmatError):
        path = hub.fetch(model, folders.CARD)
    card = hub.card(path.parent) if path else {}
    terms = folders.terms_of_card(card, model)
    yield Origin(model, terms["licence"] if path else UNREAD, model, terms.get("trained on"))
    yield from _said(card.get(BEGAN))


def _of_file(path: Path) -> tuple[Origin, Path | None]:
    """The origin that a file is, and the file if it says itself where it began."""
    label = label_of(path)
    name = label if label != str(path) else path.parent.name if folders.is_of_folder(path) else path.name
    if not is_there(path):
        return Origin(name, GONE), None
    if terms := folders.terms(path):
        return Origin(name, terms["licence"], hub.id_of(path), terms.get("trained on")), path
    read = read_weights(path)
    if config_of(path):
        about = read.about or {}
        name = f"run {about['run']}, step {about.get('step', '?')}"
    return Origin(name, licence_of(read)), path
