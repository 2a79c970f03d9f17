"""100 or more composites: deepmat's, and a loop that reads three files, blends in float64 and writes four PNGs."""

import itertools
import math
import shutil
from pathlib import Path

import cv2
import numpy as np

from benchmarks.pictures import BACKGROUNDS, FOREGROUNDS, write_pictures
from deepmat.data.compositing import build_composites, plan_folders

UNIT = "pictures"
EACH = 10


def prepare(folder: Path) -> None:
    write_pictures(folder)


def _deepmat(folder: Path, workers: int, each: int = EACH, **options: str) -> int:
    shutil.rmtree(folder / "ours", ignore_errors=True)
    plan, _ = plan_folders(folder, None, folder / "bg", "train", each)
    records = list(build_composites(plan, folder / "ours", workers, **options))
    assert not [record for record in records if "error" in record]
    return len(records)


def reference(folder: Path) -> int:
    """As the obvious script does it; one process, one thread."""
    cv2.setNumThreads(1)
    shutil.rmtree(folder / "theirs", ignore_errors=True)
    for kind in ("image", "fg", "bg", "alpha"):
        (folder / "theirs" / kind).mkdir(parents=True)
    done = 0
    for fg_number, k in itertools.product(range(FOREGROUNDS), range(EACH)):
        fg = cv2.imread(str(folder / "fg" / f"{fg_number}.png"))
        alpha = cv2.imread(str(folder / "alpha" / f"{fg_number}.png"), cv2.IMREAD_GRAYSCALE)
        bg = cv2.imread(str(folder / "bg" / f"{(fg_number * EACH + k) % BACKGROUNDS}.jpg"))
        height, width = alpha.shape
        ratio = max(height / bg.shape[0], width / bg.shape[1])
        if ratio > 1:
            size = (math.ceil(bg.shape[1] * ratio), math.ceil(bg.shape[0] * ratio))
            bg = cv2.resize(bg, size, interpolation=cv2.INTER_CUBIC)
        bg = bg[:height, :width]
        fraction = alpha[..., None] / 255.0
        image = (fraction * fg + (1 - fraction) * bg).astype(np.uint8)
        for kind, pixels in (("image", image), ("fg", fg), ("bg", bg), ("alpha", alpha)):
            cv2.imwrite(str(folder / "theirs" / kind / f"{fg_number}_{k}.png"), pixels)
        done += 1
    return done


SIDES = {
    "reference": reference,
    "one thread": lambda folder: _deepmat(folder, 1),
    "two threads": lambda folder: _deepmat(folder, 2),
    # numba takes a second to start, a sixth of the time of 100.
    "two threads, 300 composites": lambda folder: _deepmat(folder, 2, each=3 * EACH),
    "two threads, jpg": lambda folder: _deepmat(folder, 2, image_format="jpg"),
    "two threads, full layout": lambda folder: _deepmat(folder, 2, layout="full"),
}
