"""Predict alphas by DIM and by lite.

DIM with refinement: `predict` in modes whole and tile, against the network as it is trained, in float32. lite: against
DIM without refinement, as `predict` runs both.

The pictures are fur before a photo-like background; a quarter of each is unknown, as is usual, or (worst case) all of
it. "folder" is the whole command, from files to files, over 50 pictures of 0.5 megapixels: alphas and cut-outs.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from deepmat import imaging, synth
from deepmat.config import DIMConfig, LiteConfig, ModelConfig
from deepmat.imaging import trimap
from deepmat.inference import predict as inference
from deepmat.models import build_model, for_prediction
from deepmat.runtime.processes import cores

UNIT = "pictures"
THREADS = cores()
SIZES = {"0.5 MP": (576, 864), "1600": (1088, 1600), "2 MP": (1152, 1728), "8 MP": (2304, 3456)}
FOLDER = 50
REFERENCE = 3
REFINING = DIMConfig(refine=True)


def prepare(folder: Path) -> None:
    colours, alpha = synth.foreground(np.random.default_rng(0), *SIZES["0.5 MP"], "fur")
    background = synth.background(np.random.default_rng(1), *SIZES["0.5 MP"])
    image = (background + (alpha[..., None] / 255) * (colours.astype(float) - background)).astype(np.uint8)
    for name, (height, width) in SIZES.items():
        # Of the size that makes about a quarter of the picture unknown.
        guide = trimap.by_distance(alpha, 12, 12)
        imaging.write_image(folder / f"{name}.png", cv2.resize(image, (width, height)))
        levels = cv2.resize(guide, (width, height), interpolation=cv2.INTER_NEAREST)
        imaging.write_image(folder / f"{name} trimap.png", levels)
    for index in range(FOLDER):
        imaging.write_image(folder / "photos" / f"{index}.jpg", image)
        imaging.write_image(folder / "trimaps" / f"{index}.png", guide)
    torch.manual_seed(0)
    torch.save({"state_dict": build_model(REFINING).state_dict()}, folder / "weights.pth")


def _read(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    image = imaging.read_image(folder / f"{name}.png")
    levels = cv2.imread(str(folder / f"{name} trimap.png"), cv2.IMREAD_GRAYSCALE)
    assert levels is not None
    return image, levels


def _model(precision: str | None, config: ModelConfig = REFINING) -> torch.nn.Module:
    if precision is None:
        os.environ["THP_MEM_ALLOC_ENABLE"] = "0"  # as torch runs where nothing is said
    torch.manual_seed(0)
    model = build_model(config).eval()
    return for_prediction(model, precision) if precision else model


def _side(
    size: str,
    precision: str | None,
    mode: str = "whole",
    everywhere: bool = False,
    config: ModelConfig = REFINING,
) -> Callable[[Path], tuple[int, float, dict[str, float]]]:
    options = {"max_size": 2**15} if mode == "whole" else {"tile": 1024, "overlap": 256}

    def side(folder: Path) -> tuple[int, float, dict[str, float]]:
        model = _model(precision, config)
        image, levels = _read(folder, size)
        if everywhere:
            levels[:] = trimap.UNKNOWN
        inference.predict(model, image[:64, :64], np.full((64, 64), trimap.UNKNOWN, np.uint8), mode="whole")
        times = []
        for _ in range(1 if size == "8 MP" else 2):
            begin = time.perf_counter()
            inference.predict(model, image, levels, mode=mode, **options)
            times.append(time.perf_counter() - begin)
        return 1, min(times), {"unknown": float(trimap.unknown_region(levels).mean())}

    return side


def folder_reference(folder: Path) -> tuple[int, float]:
    """As the obvious script does it."""
    model = _model(None)
    begin = time.perf_counter()
    for index in range(REFERENCE):
        image = cv2.imread(str(folder / "photos" / f"{index}.jpg"))
        levels = cv2.imread(str(folder / "trimaps" / f"{index}.png"), cv2.IMREAD_GRAYSCALE)
        assert image is not None and levels is not None
        alpha = inference.predict(model, image[..., ::-1], levels, mode="whole")
        grey = (alpha * 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"alpha {index}.png"), grey)
        cv2.imwrite(str(folder / f"cutout {index}.png"), np.dstack((image, grey)))
    return REFERENCE, time.perf_counter() - begin


def folder_deepmat(folder: Path, precision: str) -> tuple[int, float, dict[str, float]]:
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "deepmat", "predict", "photos", "-t", "trimaps", "-o", "out", "-w", "weights.pth"]
    begin = time.perf_counter()
    subprocess.run([*command, "--precision", precision], cwd=folder, check=True, capture_output=True)
    seconds = time.perf_counter() - begin
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    stages = {"read": "read_seconds", "network": "seconds", "write": "write_seconds"}
    figures = {stage: sum(record[key] for record in records) / FOLDER for stage, key in stages.items()}
    return FOLDER, seconds, figures


SIDES = (
    {
        f"{size}: {name}": side
        for size in ("0.5 MP", "2 MP", "8 MP")
        for name, side in (
            ("reference", _side(size, None)),
            ("whole", _side(size, "bf16")),
            ("tile", _side(size, "bf16", "tile")),
            ("whole, all unknown", _side(size, "bf16", everywhere=True)),
            ("whole, fp32", _side(size, "fp32")),
            ("whole, int8", _side(size, "int8")),
            ("tile, int8", _side(size, "int8", "tile")),
            ("whole, int8, all unknown", _side(size, "int8", everywhere=True)),
        )
    }
    | {
        f"lite, 1600, {kind}: {name}": _side("1600", precision, everywhere=everywhere, config=config)
        for kind, precision, everywhere in (
            ("bf16", "bf16", False),
            ("fp32", "fp32", False),
            ("all unknown", "bf16", True),
        )
        for name, config in (("reference", DIMConfig()), ("whole", LiteConfig()))
    }
    | {
        "folder: reference": folder_reference,
        "folder: predict": lambda folder: folder_deepmat(folder, "bf16"),
        "folder: predict, int8": lambda folder: folder_deepmat(folder, "int8"),
    }
)
