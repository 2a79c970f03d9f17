"""The runs of an evaluation: networks and folders of saved mattes, each under a name of its own."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deepmat import config as configs
from deepmat.config import Config, TestConfig
from deepmat.errors import ConfigError, DataError
from deepmat.inference.modes import mode_options
from deepmat.inference.opening import Opening
from deepmat.inference.predict import as_network
from deepmat.models import SHIPPED
from deepmat.models.weights import sha256
from deepmat.runtime import hub
from deepmat.runtime.files import AnyPath, as_path, as_path_or_none, as_paths
from deepmat.runtime.paths import is_folder, is_there
from deepmat.runtime.storage import addressed
from deepmat.scoring.pictures import Network
from deepmat.scoring.records import Run, Settings

GENERAL = ("best", "last", "model", "pytorch_model", "prediction", "predictions", "alpha", "pred")
"""Names that do not distinguish one run from another."""
FOLDERS = {"data": "data.root", "images": "test.image", "trimaps": "test.trimap", "alphas": "test.alpha"}
"""Config keys by argument of `evaluate`."""

Weights = AnyPath | None
"""A file, a name of models.SHIPPED, or None for the first of these."""


@dataclass(frozen=True)
class Runs:
    """The runs of an evaluation, in the order of comparison: networks first, then saved mattes."""

    records: list[Run] = field(default_factory=list)
    networks: dict[str, Network] = field(default_factory=dict)
    settings: Settings = field(default_factory=dict)
    """Precision, mode and the mode's options, where there are networks."""
    about: list[str] = field(default_factory=list)
    """One line on each network."""

    @property
    def first(self) -> str:
        """The run that others are compared with."""
        return self.records[0]["run"]

    @property
    def names(self) -> list[str]:
        """The runs, the first one first."""
        return [run["run"] for run in self.records]

    @property
    def made_with(self) -> dict[str, Any]:
        """What the alphas of the only network depend on."""
        return {**self.settings, "sha256": self.records[0]["sha256"]}

    def add(self, run: Run) -> None:
        """Add a run. ConfigError if its name is taken."""
        new_name(run["run"], self.names)
        self.records.append(run)


def load_settings(
    data: AnyPath | None,
    images: AnyPath | None,
    trimaps: AnyPath | None,
    alphas: AnyPath | None,
    geometry: Mapping[str, Any],
    settings: str | Sequence[str],
) -> Config:
    """The config of an evaluation: its test pictures and how a network sees them.

    data, images, trimaps, alphas, settings: as for `evaluate`; geometry: "mode", "max_size" and "fit". Raises
    ConfigError.
    """
    configs.refuse_keys(settings, ("test", "data"))
    given = {"data": data, "images": images, "trimaps": trimaps, "alphas": alphas}
    found = {name: as_path_or_none(path, name) for name, path in given.items()}
    paths = {FOLDERS[name]: str(path) if path else None for name, path in found.items()}
    flags = configs.flags({**paths, **{f"test.{key}": value for key, value in geometry.items()}})
    return configs.load(flags=flags, overrides=settings)


def open_runs(
    weights: Sequence[Weights],
    folders: Mapping[str, Path],
    test: TestConfig,
    geometry: Mapping[str, Any],
    opening: Opening,
) -> Runs:
    """Open the networks, and name all runs.

    folders: of saved mattes, by run. geometry: settings that the protocol replaces in `test`. opening: device,
    precision and assume of all networks. Raises CheckpointError, DeviceError, ConfigError.
    """
    runs = Runs()
    options = mode_options(test.model_copy(update=dict(geometry)))
    precisions: set[str] = set()
    for named in weights:
        opened = opening._replace(weights=named).open()
        # Not "lite", which is the name of a run of `train --config lite`.
        name = f"deepmat's {opened.path.stem}" if opened.path in SHIPPED.values() else label(opened.path)
        runs.add({"run": name, "weights": opened.label, "sha256": sha256(opened.path)})
        runs.networks[name] = as_network(opened.network, test)
        precisions.add(opened.precision)
        runs.settings.update({"precision": ", ".join(sorted(precisions)), **options})
        shown = ", ".join(f"{key} {value}" for key, value in options.items() if value is not None)
        runs.about.append(f"{opened.about}, {shown}")
    for name, folder in folders.items():
        runs.add({"run": name, "mattes": str(folder)})
    return runs


def as_list(weights: Weights | Iterable[Weights]) -> list[Weights]:
    """The weights of an argument that takes one or several, each a path or None. Raises DataError for anything else."""
    if isinstance(weights, Iterable) and not isinstance(weights, (str, bytes, os.PathLike)):
        return [each for one in weights for each in (as_list(one) or [None])]
    return [as_path(weights, "weights")] if weights else []


def matte_folders(predictions: AnyPath | Iterable[AnyPath] | Mapping[str, AnyPath]) -> dict[str, Path]:
    """Folders of saved mattes by the name of their run: the name given, or the folder's.

    predictions: by name, or folders, each perhaps as "NAME=DIR". Raises ConfigError, DataError if there is no such
    folder.
    """
    if isinstance(predictions, Mapping):
        given = [(str(name), as_path(path, "predictions")) for name, path in predictions.items()]
    else:
        given = [_named_folder(str(path)) for path in as_paths(predictions, "predictions")]
    folders: dict[str, Path] = {}
    for name, path in given:
        if not is_folder(path):
            problem = "is not a folder" if is_there(path) else "no such folder"
            raise DataError(f"{path}: {problem}; check --predictions")
        folders[new_name(name or label(path.absolute()), folders)] = path
    return folders


def _named_folder(text: str) -> tuple[str, Path]:
    """Name, "" where there is none, and folder of "NAME=DIR" or "DIR"."""
    name, equals, rest = text.partition("=")
    if not equals or is_there(addressed(text)):
        return "", addressed(text)
    if not (name and rest):
        raise ConfigError(f"--predictions {text}: write NAME=DIR, or the folder alone")
    return name, addressed(rest)


def label(path: Path) -> str:
    """The name of a run from the path of its weights or mattes, or the model's on the hub."""
    if model := hub.id_of(path):
        return model.rpartition("/")[2]
    return path.parent.name if path.stem in GENERAL and path.parent.name else path.stem


def new_name(name: str, names: Iterable[str]) -> str:
    """The name, if it is not among the names. Raises ConfigError if it is."""
    if name in names:
        raise ConfigError(f"two runs are called {name}; name mattes by --predictions NAME=DIR, rename weights")
    return name
