"""One step of training, in one process or several, and the account of steps that is printed."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from deepmat.errors import ConfigError, TrainingError
from deepmat.imaging.trimap import UNKNOWN, unknown_region
from deepmat.report.records import TrainingRecord
from deepmat.runtime import distributed
from deepmat.training.losses import weighted_sum
from deepmat.training.run import Run

Batch = Mapping[str, Any]
"""A collated batch of samples (training.batches.collate)."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Type for autocast by name of runtime.devices.TRAINING_PRECISIONS."""
Taken = tuple[int, list[str], dict[str, Tensor]]
"""Number of a step, names of its samples in this process, and the result of `optimise`."""


def to_device(
    batch: Batch, device: torch.device, count: float | None = None, known: float | None = None
) -> dict[str, Tensor]:
    """Move a batch to the device in the form that losses take (training.losses).

    count, known: the losses' divisors; None is the batch's number of unknown, of known pixels + 1.
    """
    # Image and composite are often the same tensor, which is moved once.
    distinct = {id(value): value for value in batch.values() if isinstance(value, Tensor)}
    moved = {key: value.to(device, non_blocking=True).float() for key, value in distinct.items()}
    tensors = {key: moved[id(value)] for key, value in batch.items() if isinstance(value, Tensor)}
    unknown = unknown_region(tensors["trimap"]).float()
    divisor = unknown.sum() + 1 if count is None else torch.full((), count, device=device)
    others = (1 - unknown).sum() + 1 if known is None else torch.full((), known, device=device)
    return {**tensors, "alpha": tensors["alpha"] / 255, "unknown": unknown, "count": divisor, "known": others}


def freeze_unreached(model: nn.Module, weights: dict[str, float], matte: bool = False) -> list[str]:
    """Freeze the parameters that no loss term reaches, such as a refinement without its term. Returns their names.

    matte: whether it takes the alpha of closed-form matting. Raises ConfigError if no parameter is left.
    """
    kinds = {"image": 3, "composite": 3, "fg": 3, "bg": 3, "alpha": 1, "trimap": 1, "matte": 1}
    device = next(model.parameters()).device
    blank = {kind: torch.full((1, planes, 64, 64), UNKNOWN, dtype=torch.uint8) for kind, planes in kinds.items()}
    batch = to_device(blank, device)
    training = model.training
    more = {"matte": batch["matte"]} if matte else {}
    total, _ = weighted_sum(model.eval()(batch["image"], batch["trimap"], **more), batch, weights)
    if not total.requires_grad:
        raise ConfigError("no loss term reaches a part that is trained: change loss or train.freeze")
    total.backward()
    model.train(training)
    unreached = [name for name, each in model.named_parameters() if each.requires_grad and each.grad is None]
    model.zero_grad(set_to_none=True)
    for name in unreached:
        model.get_parameter(name).requires_grad_(False)
    return unreached


def optimise(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Batch],
    weights: dict[str, float],
    *,
    count: float | None = None,
    known: float | None = None,
    precision: str = "fp32",
    scaler: torch.amp.GradScaler | None = None,
    clip: float | None = None,
) -> dict[str, Tensor]:
    """Take one step over the summed losses of some batches, without synchronising with a GPU.

    count, known: the losses' divisors (`to_device`). clip: the largest norm of the gradient.

    Returns scalars: each loss term, their weighted sum "total", and the gradient's "norm" before clipping. If loss or
    gradient is not finite, neither is the norm, and the weights do not change.
    """
    optimizer.zero_grad(set_to_none=True)
    device = next(model.parameters()).device
    scaler = scaler or torch.amp.GradScaler(enabled=False)
    sums: dict[str, Tensor] = {}
    for left, collated in zip(range(len(batches) - 1, -1, -1), batches, strict=True):
        batch = to_device(collated, device, count, known)
        with getattr(model, "no_sync", nullcontext)() if left else nullcontext():
            with torch.autocast(device.type, DTYPES[precision], enabled=precision != "fp32"):
                more = {"matte": batch["matte"]} if "matte" in batch else {}
                outputs = model(batch["image"], batch["trimap"], **more)
            total, terms = weighted_sum(outputs, batch, weights)
            for name, term in {**terms, "total": total}.items():
                sums[name] = sums.get(name, 0) + term.detach()
            # The gradient of a loss that is not finite can be finite; other processes would apply it.
            spoilt = torch.where(total.detach().isfinite(), 1.0, math.nan)
            scaler.scale(total * spoilt).backward()
    scaler.unscale_(optimizer)
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = nn.utils.get_total_norm(parameter.grad for parameter in trained if parameter.grad is not None)
    if clip:
        nn.utils.clip_grads_with_norm_(trained, clip, norm)
    if scaler.is_enabled():
        scaler.step(optimizer)
        scaler.update()
    elif optimizer.defaults.get("fused"):
        optimizer.found_inf = (~norm.isfinite()).float()  # type: ignore[attr-defined]
        optimizer.step()
    elif norm.isfinite():  # without a fused optimiser only the processor can decide
        optimizer.step()
    return {"norm": norm, **sums}


def account(run: Run, taken: list[Taken]) -> Iterator[TrainingRecord]:
    """Add the losses of steps to the run's window and empty the list. Yields a warning for each skipped step.

    Nowhere else in a step does the processor wait for a GPU. Raises TrainingError after too many skipped steps.
    """
    settings = run.config.train
    steps, taken[:] = list(taken), []
    if not steps:
        return
    names = list(steps[0][2])
    own = torch.stack([torch.stack([values[name].float() for name in names]) for _, _, values in steps])
    rows = distributed.total(own.flatten().tolist())
    processes = distributed.world()
    for index, (step, samples, _) in enumerate(steps):
        row = {name: value / processes for name, value in zip(names, rows[index * len(names) :], strict=False)}
        loss = row["total"]
        # An overflow by scaling alone is normal: so the scale is found.
        scaled = run.scaler.is_enabled() and math.isfinite(loss) and run.scaler.get_scale() >= 1
        if math.isfinite(row["norm"]) or scaled:
            run.in_row = 0
            if not math.isfinite(row["norm"]):
                del row["norm"]
            for name, value in {"steps": 1.0, "norms": float("norm" in row), **row}.items():
                run.window[name] = run.window.get(name, 0.0) + value
            continue
        run.skipped += 1
        run.in_row += 1
        of = ", ".join(name for each in distributed.gather(samples) for name in each)
        what = f"the loss became {loss}" if not math.isfinite(loss) else "the gradient is not finite"
        if run.in_row > settings.max_skipped:
            kept = f"{run.saved} keeps the last good state" if run.saved else "no state was saved yet"
            raise TrainingError(
                f"step {step}: {what} on {of}, {run.in_row} steps in a row; {kept}. "
                f"Lower train.lr (now {settings.lr:g}) or check those pictures"
            )
        text = f"step {step}: {what} on {of}; skipped ({run.in_row} in a row, {settings.max_skipped} are allowed)"
        yield {"event": "warning", "step": step, "text": text}
