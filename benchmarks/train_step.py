"""Training steps, compared with the same network in plain float32 NCHW and plain Adam.

A step begins with a batch in memory, uint8, as the loader returns it; its time is the median of a few. "of_peak" is the
share of the fastest matrix product or convolution measured in the same run and precision. Memory is that of the process
and, on a GPU ("gpu_mb"), of torch's tensors. There is one side per stage, batch size and way of training.
"""

import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from deepmat import config as configs
from deepmat import synth
from deepmat.imaging import trimap
from deepmat.models import build_model, freeze
from deepmat.models.convolving import layout
from deepmat.models.dim.network import DIM
from deepmat.runtime.devices import pick_device, pick_training_precision
from deepmat.runtime.processes import cores
from deepmat.training.batches import collate
from deepmat.training.losses import weighted_sum
from deepmat.training.optimisers import build_optimizer
from deepmat.training.step import DTYPES, optimise, to_device

UNIT = "samples"
THREADS = cores()
SIZE = 320
BATCHES = (1, 4, 16)


class Plain(DIM):
    def _convolve(self, name: str, x: Tensor) -> Tensor:
        return F.relu(self.get_submodule(name)(x))


def prepare(folder: Path) -> None:
    samples = []
    for seed in range(4):
        fg, alpha, bg = synth.scene(np.random.default_rng(seed), SIZE, SIZE)
        share = alpha[..., None] / 255
        image = np.round(share * fg + (1 - share) * bg).astype(np.uint8)
        levels = trimap.by_distance(alpha, 10, 10)
        samples.append({"image": image, "composite": image, "fg": fg, "bg": bg, "alpha": alpha, "trimap": levels})
    np.savez(
        folder / "samples.npz", **{f"{key}{i}": value for i, each in enumerate(samples) for key, value in each.items()}
    )


def _batch(folder: Path, size: int) -> dict[str, Any]:
    stored = np.load(folder / "samples.npz")
    kinds = ("image", "composite", "fg", "bg", "alpha", "trimap")
    samples = [{"name": str(i), **{kind: stored[f"{kind}{i % 4}"] for kind in kinds}} for i in range(size)]
    for sample in samples:
        sample["image"] = sample["composite"]
    batch = collate(samples)
    assert isinstance(batch, dict)
    return batch


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _fastest(device: torch.device, work: Callable[[], Any]) -> float:
    times = []
    for _ in range(4):
        _wait(device)
        begin = time.perf_counter()
        work()
        _wait(device)
        times.append(time.perf_counter() - begin)
    return min(times)


def _peak(device: torch.device, kind: torch.dtype) -> float:
    """FLOP/s of the fastest of a large matrix product and a convolution."""
    size = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
    x = torch.randn(4, 256, 80, 80, device=device).to(kind).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(256, 256, 3, 3, device=device).to(kind).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        product = 2 * size**3 / _fastest(device, lambda: a @ b)
        convolution = 2 * 4 * 80**2 * 256**2 * 9 / _fastest(device, lambda: F.conv2d(x, weight, padding=1))
    return max(product, convolution)


def _step(
    folder: Path,
    stage: int,
    size: int,
    precision: str = "fp32",
    plain: bool = False,
    compiled: bool = False,
    **more: bool,
) -> tuple[int, float, dict[str, float]]:
    if plain:
        os.environ["THP_MEM_ALLOC_ENABLE"] = "0"  # torch's default
    config = configs.load(configs.recipe(f"stage{stage}"))
    device = pick_device()
    precision = pick_training_precision(precision, device)
    peak = _peak(device, DTYPES[precision])
    torch.manual_seed(0)
    model = Plain(refine=config.model.refine) if plain else build_model(config.model)
    freeze(model, config.train.freeze)
    model = model.to(device).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    batch = _batch(folder, size)
    if plain:
        optimizer: torch.optim.Optimizer = torch.optim.Adam(trained, lr=1e-5)
        batch = {key: value if key == "name" else value.contiguous() for key, value in batch.items()}
    else:
        model = model.to(memory_format=layout(device, DTYPES[precision]))
        optimizer = build_optimizer(config.train.optimizer, trained, 1e-5)

    def take() -> float:
        if not plain:
            return float(optimise(forward, optimizer, [batch], config.loss, precision=precision)["total"])
        moved = to_device(batch, device)
        total, _ = weighted_sum(model(moved["image"], moved["trimap"]), moved, config.loss)
        value = total.item()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        return value

    forward = model
    with FlopCounterMode(display=False) as counter:
        first = take()
    forward = torch.compile(model) if compiled else model
    model.recompute = more.get("recompute", False)  # type: ignore[assignment]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    take()
    times, losses = [], []
    for _ in range(3 if size < 16 or device.type == "cuda" else 1):
        _wait(device)
        begin = time.perf_counter()
        losses.append(take())
        _wait(device)
        times.append(time.perf_counter() - begin)
    seconds = statistics.median(times)
    figures = {"step_s": seconds, "of_peak": counter.get_total_flops() / seconds / peak, "gflops_peak": peak / 1e9}
    figures |= {"first_loss": first, "last_loss": losses[-1]}
    if device.type == "cuda":
        figures["gpu_mb"] = torch.cuda.max_memory_allocated() / 1e6
    return size, seconds, figures


WAYS: dict[str, dict[str, Any]] = {
    "reference": {"plain": True},
    "fp32": {},
    "auto": {"precision": "auto"},
    "auto, recompute": {"precision": "auto", "recompute": True},
    **({"auto, compile": {"precision": "auto", "compiled": True}} if torch.cuda.is_available() else {}),
}
SIDES = {
    f"stage {stage}, batch {size}: {way}": partial(_step, stage=stage, size=size, **options)
    for stage in range(4)
    for size in (*BATCHES, *((64,) if torch.cuda.is_available() else ()))
    for way, options in WAYS.items()
}
