"""Draw docs/cutout.jpg, the picture at the top of README.md: procedural photos, cut out by lite.

Run it as `python docs/make_pictures.py`.
"""

from pathlib import Path

import numpy as np

import deepmat
from deepmat import imaging, synth
from deepmat.data.compositing import COMPOSITORS
from deepmat.imaging import trimap
from deepmat.imaging.sheets import sheet

SIDE = 512
ROWS = (("hair", 0, "city", "land"), ("feathers", 1, "plants", "land"))
"""Kind of foreground, seed, background of the photo and of the cut-out."""
TITLES = ("photo", "trimap", "alpha, predicted by lite", "on another background")


def main() -> None:
    """Write the sheet: a row per foreground."""
    model = deepmat.load_model()
    blend = COMPOSITORS["cv2"].blend
    rows = []
    for kind, seed, before, after in ROWS:
        rng = np.random.default_rng([7, seed])
        colours, truth = synth.foreground(rng, SIDE, SIDE, kind)
        photo = blend(colours, truth, synth.background(rng, SIDE, SIDE, place=before))
        levels = trimap.by_distance(truth, 14, 14)
        alpha = deepmat.predict(model, photo, levels)
        foreground = deepmat.estimate_foreground(photo, alpha)
        cutout = blend(foreground, imaging.to_uint8(alpha), synth.background(rng, SIDE, SIDE, place=after))
        rows.append(("", [photo, levels, imaging.to_uint8(alpha), cutout]))
    imaging.write_image(Path(__file__).with_name("cutout.jpg"), sheet(rows, TITLES, side=360))


if __name__ == "__main__":
    main()
