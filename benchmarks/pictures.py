"""Procedural pictures for benchmarks: foregrounds of 1.5 megapixels as PNG, backgrounds of COCO's size as JPEG."""

from pathlib import Path

import cv2
import numpy as np

from deepmat import imaging, synth

FOREGROUNDS, BACKGROUNDS = 10, 20


def write_pictures(folder: Path) -> None:
    """Write folder/fg, folder/alpha (PNG, 1.1 to 1.7 megapixels) and folder/bg (JPEG, 640x480 or 480x640)."""
    kinds = list(synth.KINDS)
    for index in range(FOREGROUNDS):
        rng = np.random.default_rng(index)
        height, width = (int(side) for side in rng.integers(1050, 1300, 2))
        colours, alpha = synth.foreground(rng, height, width, kinds[index % len(kinds)])
        # Grain, as in a photo: without it PNG files are unrealistically small.
        grain = rng.normal(0, 3, colours.shape)
        grainy = np.clip(colours[..., ::-1] + grain, 0, 255).astype(np.uint8)
        for kind, pixels in (("fg", grainy), ("alpha", alpha)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / kind / f"{index}.png"), pixels)  # compressed as by common tools
    for index in range(BACKGROUNDS):
        size = (480, 640) if index % 3 else (640, 480)
        imaging.write_image(folder / "bg" / f"{index}.jpg", synth.background(np.random.default_rng(index), *size))
