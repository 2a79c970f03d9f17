"""The state of a training run in memory and in its folder."""

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from deepmat.config import Config, build, dump
from deepmat.errors import CheckpointError, ConfigError, TrainingError
from deepmat.models.checkpoint import load_state, load_weights, refuse_folder, save_state, save_weights
from deepmat.runtime.files import remove_leftovers, write_text
from deepmat.training.origins import CONFIG

BEST, STATES = "best.safetensors", "state-*.pt"
ORDER = {"samples": "samples a step:", "seed": "seed", "pictures": "samples an epoch:"}
"""What the order of samples depends on, and its name in messages."""
PROGRESS = ("step", "test_due", "best_sad", "best_of", "began", "skipped", "in_row", "window")
"""Plain values of a Run that a saved state holds besides tensors."""

NOT_SUCH = (
    "not the state of such a run (another model, other frozen parts, or weights alone); --pretrain begins a new run "
    "from weights"
)


def read_state(path: Path) -> dict[str, Any]:
    """Return what a saved state holds. Raises CheckpointError if it is missing, broken or holds weights alone."""
    refuse_folder(path, STATES, "saved state")
    state = load_state(path)
    if not state.keys() >= {"state_dict", "optimizer", "order", "config", *PROGRESS}:
        raise CheckpointError(f"{path}: {NOT_SUCH}")
    return state


def states(folder: Path) -> list[Path]:
    """Return the saved states in a run's folder, the newest first."""
    return sorted(folder.glob(STATES), reverse=True)


def _flat(config: Config) -> dict[str, Any]:
    """Return the config as dotted keys and values; `loss` is one value."""

    def leaves(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(value, dict) and prefix != "loss":
            for key, below in value.items():
                yield from leaves(f"{prefix}.{key}" if prefix else key, below)
        else:
            yield prefix, value

    return dict(leaves("", config.model_dump(mode="json")))


class Run:
    """Model, optimiser and progress of a run. Its folder holds config.yaml, state-*.pt and best.safetensors.

    main: whether this process writes. samples: number per step, of all processes. pictures: samples per epoch. tests:
    names of the test pictures.
    """

    def __init__(
        self,
        config: Config,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        *,
        samples: int,
        pictures: int,
        tests: list[str],
        main: bool = True,
    ) -> None:
        self.config, self.model, self.optimizer, self.scaler, self.main = config, model, optimizer, scaler, main
        self.tests = self.tested_on = tests
        """Names of the test pictures: those of now, and those that the best score is the mean of."""
        self.average: nn.Module | None = None
        """The moving average of the weights, with train.ema."""
        self.step, self.best_sad = 0, math.inf
        self.best_of: list[str] = []
        """Names of the pictures that were scored in the best test."""
        self.test_due = False
        """Whether the test of the last step is not done yet."""
        self.began: tuple[float, str] | None = None
        """SAD of the initial weights, and their file."""
        self.skipped, self.in_row = 0, 0
        """Steps skipped because loss or gradient was not finite: in all, and the last ones in a row."""
        self.window: dict[str, float] = {}
        """Sums since the last step record: "steps", "norms" (number of finite ones), "norm" and each loss term."""
        self.saved: Path | None = None
        # A step takes the same samples only while these stay the same.
        self.order = {"samples": samples, "seed": config.train.seed, "pictures": pictures}

    @property
    def folder(self) -> Path:
        """Where the run keeps its files."""
        return self.config.run_folder

    @property
    def best(self) -> Path:
        """The weights file of the lowest SAD."""
        return self.folder / BEST

    @property
    def tested(self) -> nn.Module:
        """The network that is tested and kept as the best: the average of the weights if there is one."""
        return self.average or self.model

    def means(self) -> tuple[float | None, dict[str, float]]:
        """Return the window's mean gradient norm and losses by term; None and {} if no step was finite."""
        count = self.window.get("steps", 0)
        norms = self.window.get("norms", 0)
        terms = {name: total for name, total in self.window.items() if name not in ("steps", "norms", "norm")}
        losses = {name: total / count for name, total in terms.items()} if count else {}
        return self.window["norm"] / norms if norms else None, losses

    def begin(self, resume: Path | str | None) -> list[str]:
        """Load a saved state, or remove the states of an earlier run; write config.yaml. Returns notices.

        resume: a saved state, or "auto" for the newest whole one of the folder; None, or a folder without states,
        begins a new run. Raises CheckpointError for a file that is no state of such a run, ConfigError if its steps
        had other samples.
        """
        notices: list[str] = []
        before: dict[str, Any] = {}
        if resume == "auto":
            before, notices = self._load_newest()
        elif resume:
            before = self._take(read_state(Path(resume)), Path(resume))
        if self.saved:
            if self.saved.parent.resolve() != self.folder.resolve() and states(self.folder):
                raise ConfigError(f"{self.folder}: holds a run, whose states would be dropped; give another --name")
            notices += self._check_best()
            notices.append(f"continues from step {self.step} of {self.saved}")
            for key, now in _flat(self.config).items():
                if before.get(key) != now:
                    notices.append(f"changed since: {key} {before.get(key)} -> {now}")
        if self.config.train.ema and not self.average:
            self.average = copy.deepcopy(self.model).requires_grad_(False)
        if self.main:
            remove_leftovers(self.folder)
            if not self.saved:
                for path in (*states(self.folder), self.best):
                    path.unlink(missing_ok=True)
            write_text(self.folder / CONFIG, dump(self.config))
        return notices

    def check(self) -> None:
        """Raise TrainingError if a weight is not a finite number: such weights must not be kept."""
        if not all(torch.isfinite(value).all() for value in self.model.state_dict().values()):
            raise TrainingError("the weights are no longer finite numbers")

    def save(self) -> None:
        """Write the state and remove old ones. Raises DataError if that fails, TrainingError as `check`."""
        path = self.folder / f"state-{self.step:09}.pt"
        if not self.main:
            self.saved = path
            return
        self.check()
        save_state(
            path,
            {
                "state_dict": self.model.state_dict(),
                "average": self.average.state_dict() if self.average else None,
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "model": self.config.model.model_dump(),
                "config": dump(self.config),
                "order": self.order,
                "tests": self.tests,
                **{key: getattr(self, key) for key in PROGRESS},
            },
        )
        self.saved = path
        kept = states(self.folder)
        now = kept.index(path)
        # Later states are broken, or of an attempt that this one replaces.
        for other in kept[:now] + kept[now + self.config.train.keep :]:
            other.unlink(missing_ok=True)

    def save_best(self, **scores: float) -> None:
        """Write best.safetensors with these scores in it."""
        if not self.main:
            return
        self.check()
        about: dict[str, Any] = {"run": self.config.train.name, "step": self.step, **scores}
        save_weights(self.best, self.tested.state_dict(), self.config.model.model_dump(), **about)

    def _check_best(self) -> list[str]:
        """Reset the best score if best.safetensors has another or the test pictures have changed. Returns notices."""
        kept = load_weights(self.best).about if self.best.is_file() else None
        same = self.best_sad == math.inf or bool(kept and kept.get("sad") == self.best_sad)
        notices = []
        if self.tests != self.tested_on:
            self.began = None
            notices.append("other test pictures than before: the best score and that of the initial weights are reset")
        elif not same:
            notices.append(f"{self.best}: not the best weights of this state; the best score is reset")
        if notices:
            self.best_sad = math.inf
        return notices

    def _load_newest(self) -> tuple[dict[str, Any], list[str]]:
        """Load the newest state that is whole. Returns its settings, {} without states; and notices of broken ones."""
        broken: list[str] = []
        for path in states(self.folder):
            try:
                state = load_state(path)
            except CheckpointError as error:
                broken.append(f"skipped: {error}")
                continue
            return self._take(state, path), broken
        if broken:
            why = "; ".join(broken)
            raise CheckpointError(f"{self.folder}: no saved state is whole: {why} (--overwrite begins again)")
        return {}, []

    def _take(self, state: dict[str, Any], path: Path) -> dict[str, Any]:
        try:
            for key, ours in self.order.items():
                if state["order"][key] != ours:
                    raise ConfigError(
                        f"{path}: its run had {ORDER[key]} {state['order'][key]}, this one has {ours}, so the order of "
                        "samples would change; --pretrain begins a new run from its weights"
                    )
            self.model.load_state_dict(state["state_dict"])
            asked = [{key: group[key] for key in group if key != "params"} for group in self.optimizer.param_groups]
            self.optimizer.load_state_dict(state["optimizer"])
            for group, options in zip(self.optimizer.param_groups, asked, strict=True):
                group.update(options)  # options are those of the config, not of the state
            if self.scaler.is_enabled() and state["scaler"]:
                self.scaler.load_state_dict(state["scaler"])
            if self.config.train.ema:
                self.average = copy.deepcopy(self.model).requires_grad_(False)
                self.average.load_state_dict(state["average"] or state["state_dict"])
            before = _flat(build(yaml.safe_load(state["config"]), str(path)))
            for key in PROGRESS:
                setattr(self, key, state[key])
            self.tested_on = state["tests"]
        except (LookupError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path}: {NOT_SUCH}") from error
        self.saved = path
        return before
