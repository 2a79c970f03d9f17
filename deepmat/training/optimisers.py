"""Optimisers, learning-rate schedules, and the moving average of weights.

A schedule is a function of the step alone and has no state to save.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from deepmat.config import OptimizerConfig, ScheduleConfig, TrainConfig
from deepmat.errors import ConfigError, lookup

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
"""Classes with a fused form, which skips a step on the device (`found_inf`)."""


def _cosine(options: ScheduleConfig, done: float, epoch: int) -> float:
    """Half a cosine wave from 1 to `floor` (Loshchilov and Hutter, ICLR 2017, equation 5, without restarts)."""
    return options.floor + (1 - options.floor) * (1 + math.cos(math.pi * done)) / 2


def _poly(options: ScheduleConfig, done: float, epoch: int) -> float:
    return options.floor + (1 - options.floor) * (1 - done) ** options.power


def _piecewise(options: ScheduleConfig, done: float, epoch: int) -> float:
    begun = [(begin, share) for begin, share in options.pieces if begin <= epoch]
    return max(begun)[1] if begun else 1.0


SCHEDULES: dict[str, Callable[[ScheduleConfig, float, int], float]] = {
    "constant": lambda options, done, epoch: 1.0,
    "step": lambda options, done, epoch: options.gamma ** (epoch // options.every),
    "cosine": _cosine,
    "poly": _poly,
    "piecewise": _piecewise,
}
"""Functions of (options, share of the steps after warm-up that is done, epoch from 0) -> share of train.lr."""


def learning_rate(settings: TrainConfig, step: int, steps: int, steps_per_epoch: int) -> float:
    """Return the learning rate of the step that follows `step` steps. Raises ConfigError for an unknown schedule."""
    options = settings.schedule
    share = lookup(SCHEDULES, options.name, "train.schedule.name")
    if step < options.warmup:
        return settings.lr * (step + 1) / options.warmup
    done = (step - options.warmup) / max(steps - options.warmup, 1)
    return settings.lr * share(options, min(done, 1.0), step // steps_per_epoch)


def warmup_notices(settings: TrainConfig, steps: int) -> list[str]:
    """Return a notice if the warm-up takes more than half of the run's steps."""
    warmup, lr = settings.schedule.warmup, settings.lr
    if 2 * warmup <= steps:
        return []
    reached = lr * min(1, steps / warmup)
    return [
        f"warm-up takes {min(warmup, steps)} of {steps} steps, up to a learning rate of {reached:.3g} of {lr:.3g}; "
        f"little is learned; train longer, or --set train.schedule.warmup={steps // 10}"
    ]


def by_depth(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Return the trained parameters in groups of one depth, with "share", that of the learning rate: decay^depth.

    As ViTDet (Li et al. 2022) has it after BEiT. A network says by depth(name) how many layers lie above a parameter.
    With a decay of 1 all are one group. Raises ConfigError for a network that does not say it.
    """
    trained = [(name, each) for name, each in model.named_parameters() if each.requires_grad]
    if decay == 1:
        return [{"params": [each for _, each in trained], "share": 1.0}]
    if not hasattr(model, "depth"):
        raise ConfigError(f"train.optimizer.layer_decay {decay:g}: this network has no layers of that kind; leave it 1")
    groups: dict[int, list[nn.Parameter]] = {}
    for name, each in trained:
        groups.setdefault(cast(Any, model).depth(name), []).append(each)
    return [{"params": groups[depth], "share": decay**depth} for depth in sorted(groups)]


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of all parameters, each group its share (`by_depth`)."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("share", 1.0)


def build_optimizer(
    options: OptimizerConfig, parameters: Iterable[nn.Parameter] | list[dict[str, Any]], lr: float
) -> torch.optim.Optimizer:
    """Make the optimiser of these parameters, or groups of them. Raises ConfigError for an unknown name."""
    made = lookup(OPTIMIZERS, options.name, "train.optimizer.name")
    keys = {"lr": lr, "betas": tuple(options.betas), "eps": options.eps, "weight_decay": options.weight_decay}
    trained: list[Any] = list(parameters)
    # On other devices the fused form ignores `found_inf`.
    flat: list[nn.Parameter] = [each for one in trained for each in (one["params"] if isinstance(one, dict) else [one])]
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in flat)
    return made(trained, fused=fused, **keys)  # type: ignore[call-arg, arg-type]


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, decay: float, step: int, taken: Tensor) -> None:
    """Update the moving average after a step, with a decay of at most (1 + step) / (10 + step).

    taken: bool [], false for a skipped step, which leaves the average.
    torch.optim.swa_utils.AveragedModel is not used: its decay is a number, so that a skipped step would have to wait
    for the GPU, and its first update replaces the average.
    """
    share = (1 - min(decay, (1 + step) / (10 + step))) * taken.float()
    for weight, now in zip(average.parameters(), model.parameters(), strict=True):
        weight.lerp_(now, share)
    for kept, buffer in zip(average.buffers(), model.buffers(), strict=True):
        kept.copy_(buffer)
