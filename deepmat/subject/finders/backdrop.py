"""A plain backdrop: its colours modelled from the border of a picture and continued inwards.

The model is a polynomial of x and y for each channel, for the light falls off smoothly, plus the smoothed rest of it
where the backdrop is seen, for paper has folds and lamps have edges.
"""

import cv2
import numpy as np

from deepmat.errors import NoSubject
from deepmat.imaging.shrinking import shrunk

REMEDIES = "finder", "box"
"""What helps where the finder `plain` finds no subject (`errors.NoSubject`)."""
TINY = 160
"""Longer side of the copy on which the border is fitted."""
RING = 0.03
"""Width of the border that is looked at, as a share of the longer side."""
NEAR = 10.0
"""Distance from the model, in levels, up to which a pixel of the border may belong to a backdrop."""
ROUGH = 3.0
"""Scatter of a copy of TINY pixels around the model, in levels, that is texture."""
DARK = 60
"""Level below which a backdrop is dark."""
SIDES = ("top", "left", "right", "bottom")
STARTS: tuple[tuple[str, ...], ...] = (
    SIDES,
    ("top", "left", "right"),
    ("bottom", "left", "right"),
    ("top",),
    ("left", "right"),
    ("top", "left"),
    ("top", "right"),
    ("top", "bottom"),
)
"""Parts of the border from which a fit starts; a subject may cover the others."""


def dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the scalar products of colours, float32 [...], of float32 [..., 3]."""
    return np.einsum("...c,...c->...", first, second)


def distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the Euclidean distance of colours, float32 [...], of float32 [..., 3]."""
    apart = first - second
    return np.sqrt(dot(apart, apart))


def brightest(colours: np.ndarray) -> np.ndarray:
    """Return the largest channel, float32 [...], of float32 [..., 3]; several times as fast as max."""
    return np.maximum(np.maximum(colours[..., 0], colours[..., 1]), colours[..., 2])


def _terms(height: int, width: int, degree: int) -> np.ndarray:
    """Return the monomials of x and y up to a degree, float32 [H, W, N]; the longer side spans [-1, 1]."""
    y, x = ((np.arange(side, dtype=np.float32) * 2 - side + 1) / max(height, width) for side in (height, width))
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    return np.stack([(y**i)[:, None] * (x**j)[None] for i, j in powers], -1)


def _fit(terms: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Return the coefficients, [N, 3], of a least-squares fit, small where the samples say nothing."""
    square = (terms.T @ terms).astype(np.float64) / len(terms)
    square[1:, 1:] += 1e-4 * np.eye(len(square) - 1)
    return np.linalg.solve(square, (terms.T @ colours).astype(np.float64) / len(terms)).astype(np.float32)


def _sides(height: int, width: int) -> dict[str, np.ndarray]:
    """Return the strip along each side of the border, bool [H, W]."""
    ring = max(2, round(RING * max(height, width)))
    strips = {side: np.zeros((height, width), bool) for side in SIDES}
    strips["top"][:ring] = strips["left"][:, :ring] = strips["right"][:, -ring:] = strips["bottom"][-ring:] = True
    return strips


def fit_border(tiny: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit a polynomial to the largest part of the border that one fits.

    tiny: float32 [H, W, 3]. Returns the polynomial's colours, float32 [H, W, 3], and the pixels of the border that are
    near to them, bool [H, W].
    """
    height, width = tiny.shape[:2]
    strips = _sides(height, width)
    ring = np.logical_or.reduce(list(strips.values()))
    colours, terms = tiny[ring], {degree: _terms(height, width, degree) for degree in (1, 2)}
    best, coefficients = -1.0, np.zeros((terms[2].shape[-1], 3), np.float32)
    for start in STARTS:
        kept = np.logical_or.reduce([strips[side] for side in start])[ring]
        for degree in (1, 1, 2, 2, 2, 2):
            samples = terms[degree][ring]
            found = _fit(samples[kept], colours[kept])
            apart = distance(samples @ found, colours)
            kept = apart <= max(NEAR, float(np.median(apart[kept])))
        score = float(np.mean(apart < NEAR) - 0.01 * np.mean(np.minimum(apart, NEAR)))
        if score > best:
            best, coefficients = score, found
    model = terms[2] @ coefficients
    return model, ring & (distance(model, tiny) < NEAR)


def spread(values: np.ndarray, known: np.ndarray, sigma: float) -> np.ndarray:
    """Return values, float32 [H, W, C], smoothed over the known pixels and continued beyond them, fading to 0."""
    weight = cv2.GaussianBlur(known.astype(np.float32), (0, 0), sigma)
    total = cv2.GaussianBlur(np.where(known[..., None], values, np.float32(0)), (0, 0), sigma)
    return total / (weight + 0.02)[..., None]


def touching(region: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Return the connected parts of a region, bool [H, W], that hold a seed, bool [H, W]."""
    _, labels = cv2.connectedComponents(region.astype(np.uint8), connectivity=4)
    chosen = np.zeros(int(labels.max()) + 1, bool)
    chosen[labels[seeds & region]] = True
    chosen[0] = False
    return chosen[labels]


def model_backdrop(small: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Model the backdrop of a reduced picture, float32 [H, W, 3] of 0 to 255, smoothed against noise.

    Returns its colours continued over the whole picture, float32 [H, W, 3]; the pixels of the border that are backdrop,
    bool [H, W]; how far these scatter around the model, in levels. Raises NoSubject where the border is not plain.
    """
    height, width = small.shape[:2]
    tiny = shrunk(small, TINY)
    size = tiny.shape[1::-1]
    model, seeds = fit_border(tiny)
    if not seeds.any():
        raise NoSubject("the border is not plain: no smooth backdrop fits it", REMEDIES)
    sigma, terms = max(size) / 24, _terms(size[1], size[0], 3)
    region = seeds
    for _ in range(6):
        region = touching(distance(model, tiny) < NEAR, seeds)
        if not region.any():
            break
        model = terms @ _fit(terms[region], tiny[region])
        model = model + spread(tiny - model, region, sigma)
    scatter = float(np.median(distance(model, tiny)[region])) if region.any() else NEAR
    if scatter > ROUGH:
        raise NoSubject("the border is not plain: it has a texture", REMEDIES)
    full = cv2.resize(model, (width, height), interpolation=cv2.INTER_CUBIC)
    seeds = cv2.resize(region.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    border = np.logical_or.reduce(list(_sides(height, width).values()))
    return full, seeds & border & (distance(full, small) < NEAR), scatter


def shares(region: np.ndarray) -> dict[str, float]:
    """Return the share of each side of the border that a region, bool [H, W], covers."""
    return {side: float(region[strip].mean()) for side, strip in _sides(*region.shape).items()}


def check_border(region: np.ndarray, brightness: float) -> None:
    """Raise NoSubject unless enough of the border is backdrop: most of three sides, or nearly all where it is dark.

    region: the backdrop, bool [H, W]. brightness: its mean level; at night most of a border is dark and has no edges.
    """
    covered = shares(region)
    most = sorted(covered.values(), reverse=True)
    least = (0.9, 0.9, 0.9) if brightness < DARK else (0.8, 0.75, 0.65)
    if covered["top"] < 0.5 or any(share < limit for share, limit in zip(most, least, strict=False)):
        raise NoSubject(f"the border is not plain: one smooth backdrop fits {25 * sum(most):.0f} % of it", REMEDIES)
