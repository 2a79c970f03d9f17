"""Prepare a training run: everything that can be checked and found before anything is written."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from deepmat.config import Config
from deepmat.data.origins import Origin, find_origins
from deepmat.errors import ConfigError, lookup
from deepmat.inference.modes import mode_options
from deepmat.models import MODELS, parts_of
from deepmat.runtime import distributed
from deepmat.runtime.addresses import local_only
from deepmat.runtime.devices import pick_device, pick_training_precision
from deepmat.runtime.paths import is_file
from deepmat.training.losses import LOSSES
from deepmat.training.optimisers import OPTIMIZERS, learning_rate, warmup_notices
from deepmat.training.run import BEST, states
from deepmat.training.validation import Pictures, find_tests


@dataclass(frozen=True)
class Plan:
    """A run whose config is checked and whose pictures are found."""

    config: Config
    device: torch.device
    precision: str
    """One of runtime.devices.TRAINING_PRECISIONS."""
    origins: list[Origin]
    pictures: int
    """Samples per epoch."""
    tests: Pictures
    batch: int
    """Samples per step, of all processes."""
    steps_per_epoch: int
    steps: int
    """Steps of the whole run."""
    notices: list[str]

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of the step that follows `step` steps."""
        return learning_rate(self.config.train, step, self.steps, self.steps_per_epoch)


def prepare(config: Config) -> Plan:
    """Check a config and find its pictures. Raises ConfigError, DataError, DeviceError; writes nothing."""
    settings = config.train
    if not parts_of(MODELS[config.model.arch]):
        raise ConfigError(f"model.arch {config.model.arch}: it has nothing to train; name another network")
    device = pick_device(distributed.device_name(settings.device))
    precision = pick_training_precision(settings.precision, device)
    for name in config.loss:
        lookup(LOSSES, name, "loss")
    lookup(OPTIMIZERS, settings.optimizer.name, "train.optimizer.name")
    mode_options(config.test)
    local_only(settings.runs, "--runs")
    origins, notices = find_origins(config.data)
    tests, more = find_tests(config)
    pictures = sum(map(len, origins))
    batch = settings.batch_size * settings.accumulate * distributed.world()
    steps_per_epoch = math.ceil(pictures / batch)
    steps = settings.iterations or settings.epochs * steps_per_epoch
    notices += [*more, *warmup_notices(settings, steps)]
    plan = Plan(config, device, precision, origins, pictures, tests, batch, steps_per_epoch, steps, notices)
    plan.learning_rate(0)  # refuses an unknown schedule
    return plan


def refuse_loss(folder: Path, resume: Path | str | None, overwrite: bool) -> None:
    """Raise ConfigError where a run in the folder would be lost."""
    there = bool(states(folder))
    best = is_file(folder / BEST)
    if (there or best) and not resume and not overwrite:
        raise ConfigError(
            f"{folder}: a run of this name is there; --resume auto continues it, --overwrite begins again, "
            "--name NAME keeps both"
        )
    if resume == "auto" and best and not there:
        raise ConfigError(f"{folder}: its saved states are gone; --overwrite begins again, --name NAME keeps {BEST}")
