"""A training run: what it carries from step to step, and its folder on disk."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from deepmat.checkpoint import load_state, save_state, save_weights
from deepmat.config import Config, build, dump
from deepmat.errors import CheckpointError, ConfigError, TrainingError
from deepmat.files import write_text

BEST, LAST = "best.safetensors", "last.pt"
ORDER = {"batch_size": "batch size", "seed": "seed", "pictures": "samples an epoch:"}
"""What the order of samples depends on, in words."""


def _flat(config: Config) -> dict[str, Any]:
    """Dotted keys and values; a loss is one value."""

    def leaves(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(value, dict) and prefix != "loss":
            for key, below in value.items():
                yield from leaves(f"{prefix}.{key}" if prefix else key, below)
        else:
            yield prefix, value

    return dict(leaves("", config.model_dump(mode="json")))


class Run:
    """Model, optimiser and progress of a run. Its folder holds config.yaml, last.pt and best.safetensors."""

    def __init__(self, config: Config, model: nn.Module, optimizer: torch.optim.Optimizer, pictures: int) -> None:
        self.config, self.model, self.optimizer = config, model, optimizer
        self.step, self.best_sad = 0, math.inf
        self.test_due = False
        """The step was taken, and its test not yet done."""
        self.saved: Path | None = None
        # A step means the same samples only as long as these stay.
        self.order = {"batch_size": config.train.batch_size, "seed": config.train.seed, "pictures": pictures}

    @property
    def last(self) -> Path:
        return self.config.run_folder / LAST

    @property
    def best(self) -> Path:
        return self.config.run_folder / BEST

    def begin(self, resume: Path | None) -> list[str]:
        """Make the folder: empty of an earlier run's states, or go on from the state `resume`; returns notices."""
        notices = []
        if resume:
            before = self._load(resume)
            changed = [
                f"{key} {before.get(key)} -> {now}" for key, now in _flat(self.config).items() if before.get(key) != now
            ]
            notices = [f"goes on from step {self.step} of {resume}", *(f"changed since: {each}" for each in changed)]
        else:
            for path in (self.last, self.best):
                path.unlink(missing_ok=True)
        write_text(self.config.run_folder / "config.yaml", dump(self.config))
        return notices

    def check(self) -> None:
        """TrainingError if a weight is not a finite number: such weights must not be kept."""
        if not all(torch.isfinite(value).all() for value in self.model.state_dict().values()):
            raise TrainingError("the weights are no longer finite numbers")

    def save_last(self) -> None:
        self.check()
        save_state(
            self.last,
            {
                "state_dict": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "model": self.config.model.model_dump(),
                "config": dump(self.config),
                "order": self.order,
                "random": torch.get_rng_state(),
                "step": self.step,
                "test_due": self.test_due,
                "best_sad": self.best_sad,
            },
        )
        self.saved = self.last

    def save_best(self, **scores: float) -> None:
        self.check()
        about: dict[str, Any] = {"run": self.config.train.name, "step": self.step, **scores}
        save_weights(self.best, self.model.state_dict(), self.config.model.model_dump(), **about)

    def _load(self, path: Path) -> dict[str, Any]:
        """Take the state in; returns the settings that it was saved under."""
        state = load_state(path)
        try:
            for key, ours in self.order.items():
                if state["order"][key] != ours:
                    raise ConfigError(
                        f"{path}: its run had {ORDER[key]} {state['order'][key]}, this one has {ours}, so its steps "
                        "would be others; --pretrain begins a new run from its weights"
                    )
            self.model.load_state_dict(state["state_dict"])
            self.optimizer.load_state_dict(state["optimizer"])
            torch.set_rng_state(state["random"])
            before = _flat(build(yaml.safe_load(state["config"]), str(path)))
            self.step, self.test_due, self.best_sad = state["step"], state["test_due"], state["best_sad"]
        except (LookupError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{path}: not the state of such a run (another model, other frozen parts, or weights alone); "
                "--pretrain begins a new run from weights"
            ) from error
        self.saved = path
        return before
