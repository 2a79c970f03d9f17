"""A rough mask settled by its picture: each pixel takes the side of the mask, its own colour and its neighbours."""

import cv2
import numpy as np
from scipy import sparse
from scipy.ndimage import gaussian_filter
from scipy.sparse import linalg

from deepmat.imaging.trimap import depth

TRUST = 0.55
"""Weight of the mask's log-odds: networks are surer of themselves than they are right."""
COLOUR = 0.7
"""Weight of the log-odds of a pixel's colour."""
SEEN = 3.0
"""Log-odds added to an even grey: where a network sees something faintly over an area, it mostly is the subject. At a
soft edge grey is no more than an edge out of focus."""
EVEN = 0.3
"""Range of the mask over 5 x 5 pixels from which on grey counts as an edge."""
DATA = 0.1
"""Weight of what is known of a pixel against that of an edge to a neighbour of its colour (1)."""
BINS = (24, 48, 48)
"""Bins of the three channels of CIELAB; chroma spans about half of its range."""
REACH = 0.03
"""Share of the longer side up to which greys of the mask belong to its edge: hair that a network shows as haze. Darker
greys farther from the mask's own edge are doubts of what belongs to the subject, which the picture settles."""
FAINT, ENCLOSED = 0.005, 1.5
"""Level of the mask above which it shows something, and the least log-odds by the mask in a part that the subject
encloses: what is seen through a hole is background, of which networks show nothing."""
UNLIKE = -1.0
"""Median log-likelihood ratio above which the colours of such a part do not speak for the background."""
CLEAN = 64
"""How fast a pixel loses its weight among the background's colours as the mask grows from 0, as (1 - mask) ** CLEAN:
networks are 0 on background, and faint on what they miss of the subject."""
FEW = 3.0
"""Pixels of a colour that are no evidence yet."""
LEAST = 1 / 4096
"""Probability that stands for 0 in a mask."""
ROUNDS = 2
"""Times that the colours of both sides are learnt and the mask is settled by them."""


def settle(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the probability of foreground of each pixel, float32 [H, W] in [0, 1].

    image: uint8 RGB [H, W, 3]; mask: float32 [H, W] in [0, 1], the probabilities of a rough mask. Best at a few hundred
    pixels a side. A random walker (Grady, PAMI 2006): probabilities x minimise the sum of w (x_i - x_j)^2 over
    neighbours, w = exp(-b |c_i - c_j|^2), and of DATA |2 d_i - 1| (x_i - d_i)^2, where d joins the mask's odds with
    those of the colour among the pixels that are sure of their side.
    """
    colours = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32) / 255
    cells = _cells(colours)
    smooth = _smoothness(colours)
    prior, clean = _prior(mask), (1 - mask.ravel()) ** CLEAN
    prior = np.where(_enclosed(mask, cells, clean), np.maximum(prior, ENCLOSED), prior)
    settled = mask
    for _ in range(ROUNDS):
        odds = prior + COLOUR * _colour_odds(cells, settled, clean)
        target = 1 / (1 + np.exp(-odds))
        weight = DATA * np.abs(2 * target - 1).ravel()
        system = (smooth + sparse.diags(weight)).tocsr()
        inverse = sparse.diags(1 / system.diagonal())
        found, _ = linalg.cg(system, weight * target.ravel(), settled.ravel(), rtol=1e-3, maxiter=200, M=inverse)
        settled = np.clip(found, 0, 1).reshape(mask.shape)
    return settled.astype(np.float32)


def _prior(mask: np.ndarray) -> np.ndarray:
    """Return the log-odds of foreground by the mask alone, [H, W]."""
    likely = np.clip(mask, LEAST, 1 - LEAST)
    around = np.ones((5, 5), np.uint8)
    even = np.clip(1 - (cv2.dilate(mask, around) - cv2.erode(mask, around)) / EVEN, 0, 1)
    grey = np.minimum(24 * mask * (1 - mask), 1) * (mask < 0.9)
    return TRUST * np.log(likely / (1 - likely)) + SEEN * even * grey


def _enclosed(mask: np.ndarray, cells: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Return where the subject, with one side of the frame or none, encloses a part of its own, bool [H, W].

    Such a part is faint all over and not of the background's colours. In parts no deeper than REACH the faint greys are
    those of the edge. mask: float32 [H, W] in [0, 1]; cells, clean: as for `_colour_odds`.
    """
    outside, least = mask < 0.5, REACH * max(mask.shape)
    deep = depth(outside)
    count, labels, about, _ = cv2.connectedComponentsWithStats(outside.view(np.uint8), connectivity=4)
    faint = []
    for label in range(1, count):
        left, top, width, height, area = about[label]
        sides = sum((left == 0, top == 0, left + width == mask.shape[1], top + height == mask.shape[0]))
        if sides > 1 or not least**2 < area < np.count_nonzero(outside) / 2:
            continue
        part = labels == label
        middle = part & (deep > max(least, deep[part].max() / 2))
        if middle.any() and np.median(mask[middle]) > FAINT:
            faint.append(part)
    found = np.zeros(mask.shape, bool)
    if faint:
        odds = _colour_odds(cells, mask, np.where(np.any(faint, axis=0).ravel(), 0, clean))
        for part in faint:
            found |= part & (np.median(odds[part]) > UNLIKE)
    return found


def _cells(colours: np.ndarray) -> np.ndarray:
    """Return the bin of each colour in a histogram of BINS, int [H * W]. colours: float32 [H, W, 3] in [0, 1]."""
    places = [np.minimum((colours[..., axis] * bins).astype(int), bins - 1) for axis, bins in enumerate(BINS)]
    return np.ravel_multi_index(places, BINS).ravel()


def _colour_odds(cells: np.ndarray, settled: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Return the log-likelihood ratio of each pixel's colour, [H, W], by histograms of both sides.

    cells: int [H * W], from `_cells`; clean: [H * W], weights of pixels among those of the background.
    """
    sure, inside = (2 * settled - 1).ravel() ** 2, settled.ravel() > 0.5
    sides = []
    for weights in (sure * inside, sure * ~inside * clean):
        counts = np.bincount(cells, weights, int(np.prod(BINS))).reshape(BINS)
        share = counts * (cells.size / 2 / max(weights.sum(), 1))
        sides.append(gaussian_filter(share, 1, mode="constant").ravel()[cells] + FEW)
    return np.log(sides[0] / sides[1]).reshape(settled.shape)


def _smoothness(colours: np.ndarray) -> sparse.csr_matrix:
    """Return the Laplacian of the grid of pixels with weights by the difference of colours, [H * W, H * W]."""
    across, down = (((np.diff(colours, axis=axis)) ** 2).sum(axis=-1) for axis in (1, 0))
    both = np.concatenate((across.ravel(), down.ravel()))
    weights = np.exp(-both / (2 * both.sum() / max(both.size, 1) + 1e-6)) + 1e-3  # of a single pixel, there are none
    index = np.arange(colours[..., 0].size).reshape(colours.shape[:2])
    one = np.concatenate((index[:, :-1].ravel(), index[:-1].ravel()))
    other = np.concatenate((index[:, 1:].ravel(), index[1:].ravel()))
    links = sparse.coo_matrix((weights, (one, other)), shape=(index.size, index.size))
    links = (links + links.T).tocsr()
    return sparse.diags(np.asarray(links.sum(axis=1)).ravel()) - links
