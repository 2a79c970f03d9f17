"""Pictures for tests of prompts: objects of plain colours, and where they are."""

import numpy as np

from deepmat import synth


def picture(height=180, width=240, at=((90, 70), (90, 180)), radius=35):
    """Two textured discs, a red one and a blue one, before leaves; and the mask of the first, uint8 [H, W]."""
    image = synth.background(np.random.default_rng(2), height, width, place="plants")
    y, x = np.mgrid[:height, :width]
    discs = [(y - row) ** 2 + (x - column) ** 2 < radius**2 for row, column in at]
    cloth = np.random.default_rng(1).integers(0, 40, (height, width, 1), np.uint8)
    for disc, colour in zip(discs, ((190, 40, 50), (40, 60, 190)), strict=False):
        image[disc] = (np.uint8(colour) + cloth)[disc]
    return image, discs[0].astype(np.uint8) * 255


def box_of(mask, margin=4):
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    height, width = mask.shape
    ends = min(columns[-1] + 1 + margin, width), min(rows[-1] + 1 + margin, height)
    return max(int(columns[0]) - margin, 0), max(int(rows[0]) - margin, 0), int(ends[0]), int(ends[1])


def hatted():
    """A red disc and a black cap above it, on grey below a black hedge: the image, the mask of the disc, of both."""
    grain = np.random.default_rng(3).integers(0, 30, (180, 240, 1), np.uint8)
    disc = np.hypot(*(np.mgrid[:180, :240] - np.array([120, 120])[:, None, None])) < 40
    hat, hedge = np.zeros_like(disc), np.zeros_like(disc)
    hat[60:76, 108:132], hedge[:45] = True, True
    image = np.uint8([150, 150, 140]) + grain
    image[hat | hedge] = (np.uint8([10, 10, 10]) + grain)[hat | hedge]
    image[disc & ~hat] = (np.uint8([190, 40, 50]) + grain)[disc & ~hat]
    return image, np.uint8(255) * (disc & ~hat), np.uint8(255) * (disc | hat)
