"""Weights by what they are called: a file, a folder of transformers, a name of SHIPPED, a model of the hub."""

from pathlib import Path

from deepmat.errors import CheckpointError
from deepmat.models import folders
from deepmat.models.checkpoint import Weights, load_weights
from deepmat.runtime import hub
from deepmat.runtime.copies import local_copy, origin_of
from deepmat.runtime.files import AnyPath, as_path
from deepmat.runtime.paths import is_file, is_there

SHIPPED: dict[str, Path] = {
    "lite": Path(__file__).with_name("lite") / "lite.safetensors",
    "closed-form": Path(__file__).with_name("closed_form") / "closed-form.safetensors",
}
"""Weights that come with deepmat, by name; the first ones are the default."""


def find_weights(named: AnyPath | None = None, argument: str = "weights", *, predicts: bool = False) -> Path:
    """The file that `named` stands for: shipped weights for None or a name of SHIPPED, unless a file has that name.

    A folder with transformers' config.json stands for the weights in it, USER/NAME for a model of the hub, which is
    fetched; a file or folder of that name goes before both. An address (s3://bucket/best.safetensors) stands for a copy
    of its file in deepmat's cache (`copies.local_copy`). argument: its name in messages. predicts: refuse an encoder
    alone, before its weights are fetched. Raises CheckpointError for a model of the hub or a folder that is of no use.
    """
    if named is None:
        return next(iter(SHIPPED.values()))
    path = local_copy(as_path(named, argument))
    if is_file(path):
        return path
    return SHIPPED.get(str(named)) or folders.find_file(path, predicts=predicts) or path


def read_weights(path: Path) -> Weights:
    """The content of a weights file, with the config beside it. Raises CheckpointError as `load_weights`."""
    if not path.suffix and not is_there(path):
        others = f"one of {', '.join(SHIPPED)}, or a model of the hub (USER/NAME)"
        raise CheckpointError(f"{path}: no such file; check the path, or name a folder of transformers, {others}")
    return folders.with_config(load_weights(path), path)


def label_of(path: Path) -> str:
    """The name of a weights file in messages: that of SHIPPED, the model's on the hub, its address, or its path."""
    shipped = next((name for name, shipped in SHIPPED.items() if shipped == path), None)
    return shipped or hub.id_of(path) or origin_of(path) or str(path)
