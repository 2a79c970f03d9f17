"""Pictures with exact alpha: a disc, a procedural subject before a backdrop with uneven light, a shadow and noise."""

import cv2
import numpy as np

from deepmat import synth

WHITE, GREY, GREEN, BLUE = (236, 236, 238), (150, 148, 146), (52, 168, 70), (40, 74, 190)


def disc(height=60, width=80, radius=20):
    """A hard mask, uint8 [H, W]."""
    y, x = np.mgrid[:height, :width]
    return np.where((x - width / 2) ** 2 + (y - height / 2) ** 2 < radius**2, 255, 0).astype(np.uint8)


def overlap(mask, alpha):
    """The pixels that are foreground in both, as a share of those in either."""
    found, true = mask > 127, alpha > 127
    return (found & true).sum() / (found | true).sum()


def backdrop(rng, height, width, colour, uneven=0.25):
    """uint8-range float32 [H, W, 3]: a colour under light that falls off to one side and to the corners."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    turn = rng.uniform(0, 2 * np.pi)
    light = 1 - uneven * (0.3 * (x * np.cos(turn) + y * np.sin(turn)) + 0.35 * (x * x + y * y))
    return np.float32(colour) * light[..., None]


def shaded(picture, alpha, strength=0.4):
    """The same with the soft shadow of a subject, to the lower right."""
    height, width = alpha.shape
    reach = 0.04 * max(height, width)
    move = np.float32([[1, 0, reach], [0, 1, reach / 2]])
    cast = cv2.warpAffine(alpha.astype(np.float32) / 255, move, (width, height))
    return picture * (1 - strength * cv2.GaussianBlur(cast, (0, 0), reach))[..., None]


def placed(colour, alpha, height, width, across=0.5, bottom=0.96):
    """Foreground and alpha on a canvas; `bottom` over 1 lets the subject cross the lower border."""
    fg, matte = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    fg[:] = colour.mean((0, 1)).astype(np.uint8)
    top, left = round(bottom * height) - alpha.shape[0], round(across * width - alpha.shape[1] / 2)
    y, x = slice(max(top, 0), min(top + alpha.shape[0], height)), slice(max(left, 0), min(left + alpha.shape[1], width))
    part = slice(y.start - top, y.stop - top), slice(x.start - left, x.stop - left)
    fg[y, x], matte[y, x] = colour[part], alpha[part]
    return fg, matte


def mixed(rng, fg, alpha, behind, noise=2.0, spill=0.0):
    """The photo, uint8 [H, W, 3]. spill: share of the backdrop's light on the subject near its edges."""
    share = alpha[..., None].astype(np.float32) / 255
    lit = fg.astype(np.float32)
    if spill:
        near = 1 - cv2.GaussianBlur(share, (0, 0), 0.015 * max(alpha.shape))
        lit = lit + spill * near[..., None] * behind
    picture = share * lit + (1 - share) * behind + rng.normal(0, noise, behind.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def scene(seed, kind="blob", colour=WHITE, height=240, width=320, shadow=0.35, noise=2.0, spill=0.0, bottom=0.96):
    """Photo uint8 [H, W, 3], alpha uint8 [H, W], foreground uint8 [H, W, 3], backdrop uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    side = round(0.75 * min(height, width))
    fg, alpha = placed(*synth.foreground(rng, side, side, kind), height, width, rng.uniform(0.4, 0.6), bottom)
    behind = shaded(backdrop(rng, height, width, colour), alpha, shadow)
    return mixed(rng, fg, alpha, behind, noise, spill), alpha, fg, np.rint(behind).astype(np.uint8)
