"""Training samples drawn on demand: a subject seen from near or far, before a background that may have its colours."""

import cv2
import numpy as np

from deepmat.runtime.processes import keep_memory
from deepmat.synth.backgrounds import Photo, background
from deepmat.synth.camera import finish, gaussian_blur
from deepmat.synth.colours import some_of
from deepmat.synth.drawing import check_sides, to_bytes, whole
from deepmat.synth.foregrounds import KINDS, Kind
from deepmat.synth.foregrounds.frizz import frizz
from deepmat.synth.foregrounds.locks import locks
from deepmat.synth.textures import natural, surface

# Subjects that photographs show most often, and the hardest ones, are drawn more often. Data sets have no frizz and
# no locks, since a further kind would change every one of them.
DRAWN: tuple[Kind, ...] = (
    *KINDS.values(),
    *(KINDS[kind] for kind in ("hair", "fur", "thing", "flag", "net", "glass", "dandelion") * 2),
    *(KINDS[kind] for kind in ("sieve", "plant", "leaves", "tuft", "basket", "lace", "veil", "smoke", "feathers")),
    *[frizz] * 5,
    *[locks] * 7,
)
EASY = 0.4
"""Share of the scenes whose subject keeps its own plain colours, before a background with any colours."""
CLOTH = 0.5
"""Share of the subjects' textures that show a photo, where there are photos."""


def _close_up(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A subject at a random zoom, around its edge. Without an edge in view, the next try is from further away."""
    draw, wander = DRAWN[rng.integers(len(DRAWN))], 1.0
    # Nearer, frizz has no edge in view.
    zoom = float(np.exp(rng.uniform(np.log(0.85), np.log(2.5 if draw is frizz else 6))))
    while True:
        turn = wander * rng.normal(0, 0.3)
        view = whole(height, width)._replace(scale=float(min(height, width) * zoom), turn=turn, wander=wander)
        layers = draw(rng, view)
        opaque, clear = (layers[..., 3] > 0.98).mean(), (layers[..., 3] < 0.02).mean()
        # Every try lowers wander and thereby what is required, since some shapes have no view that meets it all.
        if opaque + clear < 1 - 0.003 * wander and opaque < 1 - 0.04 * wander and clear < 1 - 0.02 * wander:
            colour, alpha = finish(rng, layers)
            if ((alpha > 0) & (alpha < 255)).any():  # faint threads can round to 0
                return colour, alpha
        zoom, wander = 1 + (zoom - 1) / 2, wander / 2


def _means(picture: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread of each channel [3], weighted."""
    share = (weight / max(float(weight.sum()), 1e-6))[..., None]
    mean = (picture * share).sum((0, 1))
    return mean, np.sqrt((((picture - mean) ** 2) * share).sum((0, 1)))


def _dress(rng: np.random.Generator, colour: np.ndarray, alpha: np.ndarray, photo: Photo | None) -> np.ndarray:
    """The colours, uint8 [H W 3], with the relief of a natural texture, mixed with one or a photo, or unchanged."""
    height, width = alpha.shape
    how = rng.random()
    if how < 0.35:
        relief = surface(rng, height, width, colour.mean((0, 1), dtype=np.float32) / 255)
        return cv2.multiply(colour, relief, dtype=cv2.CV_8U)
    if how < 0.6:
        palette = _palette(rng, colour, alpha) if how < 0.5 else rng.random((6, 3))
        if photo and rng.random() < CLOTH:
            cloth = photo(rng, height, width)
        else:
            cloth = to_bytes(natural(rng, height, width, some_of(rng, palette)))
        share = rng.uniform(0.1, 0.7)
        return cv2.addWeighted(colour, share, cloth, 1 - share, 0)
    return colour


def _palette(rng: np.random.Generator, colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Twelve colours of a foreground, [12 3] in [0, 1], weighted by alpha."""
    chances = alpha.ravel().astype(np.float32) ** 2 + 1e-3
    spots = np.searchsorted(np.cumsum(chances) / chances.sum(), rng.random(12)).clip(0, chances.size - 1)
    return colour.reshape(-1, 3)[spots] / 255


def background_like(
    rng: np.random.Generator,
    height: int,
    width: int,
    colour: np.ndarray,
    alpha: np.ndarray,
    photo: Photo | None = None,
) -> np.ndarray:
    """A background, uint8 [H W 3], that colour alone hardly separates from a foreground of any size.

    It is drawn in the foreground's colours, in half of the cases with the subject far out of focus in it; then its mean
    and spread are moved towards those of the foreground.
    """
    scale = min(1.0, 80 / min(alpha.shape))
    small = cv2.resize(colour, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    weight = cv2.resize(alpha, small.shape[1::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    picture = background(rng, height, width, _palette(rng, small, 255 * weight), photo=photo)

    if rng.random() < 0.5:
        rows, columns = weight.shape
        move = cv2.getRotationMatrix2D((columns / 2, rows / 2), rng.uniform(0, 360), rng.uniform(0.7, 2.0))
        move[:, 2] = move[:, 2] + rng.uniform(-0.4, 0.4, 2) * [columns, rows]
        sigma = rng.uniform(0.015, 0.06) * min(rows, columns)
        moved = (cv2.warpAffine(part, move, (columns, rows), borderMode=cv2.BORDER_REFLECT) for part in (small, weight))
        soft = (gaussian_blur(part, sigma) for part in moved)
        thing, share = (cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC) for part in soft)
        share = np.clip(share, 0, 1)
        picture = cv2.blendLinear(thing, picture, share, 1 - share)

    size = max(1, width // 8), max(1, height // 8)
    little = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    (mean, spread), (target, wanted) = _means(little, np.ones(size[::-1], np.float32)), _means(small, weight)
    near, gain = rng.uniform(0.5, 1.0), np.clip((wanted + 4) / (spread + 4), 0.5, 1.8)
    levels = np.arange(256)[:, None]
    table = levels + near * ((levels - mean) * gain + target - levels)
    return cv2.LUT(picture, np.rint(np.clip(table, 0, 255)).astype(np.uint8)[None])


def scene(
    rng: np.random.Generator, height: int, width: int, correlated: bool | None = None, photo: Photo | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A training sample: foreground uint8 [H W 3], alpha uint8 [H W], background uint8 [H W 3].

    A subject of a random kind at a random zoom, from the whole to a close-up of its edge; some of alpha is always
    fractional. correlated: whether the background has the foreground's colours; None: in two scenes of five. photo:
    draws parts of photographs, for backgrounds and textures. Colours are straight and defined everywhere. DataError if
    a side is under 32 pixels.
    """
    keep_memory()
    check_sides(height, width)
    easy = correlated is None and rng.random() < EASY
    alike = rng.random() < 0.4 and not easy if correlated is None else correlated
    colour, alpha = _close_up(rng, height, width)
    if not easy:
        colour = _dress(rng, colour, alpha, photo)
    if alike:
        behind = background_like(rng, height, width, colour, alpha, photo)
    else:
        behind = background(rng, height, width, photo=photo)
    return colour, alpha, behind
