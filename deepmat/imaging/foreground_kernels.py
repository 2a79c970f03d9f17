"""Inner loops of foreground colours, compiled by numba (`pip install 'deepmat[fast]'`); imported only if it is there.

`halved_sums` and `improved` do line by line what `foreground` does plane by plane, so that what they work on stays in
the processor's nearest caches. Results differ by rounding only.

The quantities of a line lie in one array, at distances that the compiler knows: only then is it sure that what a loop
writes is not what it reads next, and computes several pixels at a time.
"""

from functools import partial

import numpy as np

from deepmat.imaging import foreground
from deepmat.runtime.compiled import compiled

ZERO, ONE, WHITE, QUARTER, NEAR = (np.float32(each) for each in (0, 1, 255, 0.25, 0.75))
FAITH, WITHIN = np.float32(foreground.FAITH), np.float32(foreground.WITHIN)
NOISE, ALPHA_NOISE = np.float32(foreground.NOISE), np.float32(foreground.ALPHA_NOISE)
SPREAD, LEAST_SPREAD = np.float32(foreground.SPREAD), np.float32(foreground.LEAST_SPREAD)
EDGE = foreground.MARGIN // 2

ROUND = 32
"""Lines are computed in so many pixels at a time, since what is left over takes as long."""
LONGEST = 288
"""Pixels of the longest line, a multiple of ROUND."""
WIDTH = LONGEST + 4
"""Floats from one quantity of a line to the next."""
PICTURE, ALPHA, OF_FG, FF, FG, BG, WEIGHTED_FG, WEIGHTED_BG = (WIDTH * each for each in (0, 3, 4, 7, 8, 11, 14, 17))
WEIGHT_FG, WEIGHT_BG, VARIED_FG, VARIED_BG, AROUND_FG, AROUND_BG = (WIDTH * each for each in range(20, 26))
NOISES, PULL_FG, PULL_BG, SCALE, LINE = (WIDTH * each for each in range(26, 31))
COLOURS = 3 * WIDTH
KEPT = 5
"""Lines of which a later step reads neighbours."""
SUMMED = (0, 8, 2, 6)
"""Quantities of which each step reads the sums of 3x3 pixels: layers and weights, variances, layers."""

fast = partial(compiled, error_model="numpy")  # a division by zero needs no exception, which costs the vectors


@fast
def _halve(planes: np.ndarray, out: np.ndarray) -> None:
    for c in range(planes.shape[0]):
        for y in range(out.shape[1]):
            above, below, means = planes[c, 2 * y], planes[c, 2 * y + 1], out[c, y]
            for x in range(means.size):
                means[x] = QUARTER * (above[2 * x] + above[2 * x + 1] + below[2 * x] + below[2 * x + 1])


@fast
def _halve_products(planes: np.ndarray, out: np.ndarray) -> None:
    for c in range(4):
        for y in range(out.shape[1]):
            above, below, means = planes[c, 2 * y], planes[c, 2 * y + 1], out[c, y]
            alpha_above, alpha_below = planes[3, 2 * y], planes[3, 2 * y + 1]
            for x in range(means.size):
                left = above[2 * x] * alpha_above[2 * x] + below[2 * x] * alpha_below[2 * x]
                right = above[2 * x + 1] * alpha_above[2 * x + 1] + below[2 * x + 1] * alpha_below[2 * x + 1]
                means[x] = QUARTER * (left + right)


@fast
def _copy(source: np.ndarray, out: np.ndarray) -> None:
    for x in range(out.size):
        out[x] = source[x]


@fast
def _double(near: np.ndarray, far: np.ndarray, work: np.ndarray, out: np.ndarray) -> None:
    """Write a line between two of half its size, which have EDGE pixels more at either end."""
    for x in range(near.size):
        work[x] = NEAR * near[x] + QUARTER * far[x]
    half = out.size // 2
    for x in range(half):
        middle = NEAR * work[x + EDGE]
        out[2 * x] = middle + QUARTER * work[x + EDGE - 1]
        out[2 * x + 1] = middle + QUARTER * work[x + EDGE + 1]
    if out.size % 2:
        out[2 * half] = NEAR * work[half + EDGE] + QUARTER * work[half + EDGE - 1]


@fast
def _begin(line: np.ndarray, width: int, whole: bool) -> None:
    """Write what a line of the fit weighs, and how far its layers may be off, from its sums and its first layers."""
    for c in range(0, COLOURS, WIDTH):
        for x in range(width):
            mean = line[ALPHA + x] * line[PICTURE + c + x]
            line[OF_FG + c + x] = mean if whole else mean + WITHIN * (line[OF_FG + c + x] - mean)
    for x in range(width):
        alpha = line[ALPHA + x]
        square = alpha * alpha
        ff = square if whole else square + WITHIN * (line[FF + x] - square)
        line[FF + x] = ff
        line[WEIGHT_FG + x] = ff + FAITH
        line[WEIGHT_BG + x] = (ONE - alpha) - (alpha - ff) + FAITH
        red = line[FG + x] - line[BG + x]
        green = line[FG + WIDTH + x] - line[BG + WIDTH + x]
        blue = line[FG + 2 * WIDTH + x] - line[BG + 2 * WIDTH + x]
        noise = NOISE + ALPHA_NOISE * (red * red + green * green + blue * blue)
        line[NOISES + x] = noise
        line[PULL_FG + x] = noise / SPREAD
        line[PULL_BG + x] = noise / SPREAD


@fast
def _move(line: np.ndarray, width: int) -> None:
    """Move F and B of a line towards its picture."""
    for x in range(width):
        alpha, ff, f, b = line[ALPHA + x], line[FF + x], line[PULL_FG + x], line[PULL_BG + x]
        fb = alpha - ff
        bb = (ONE - alpha) - fb
        line[SCALE + x] = ONE / (ff * b + bb * f + f * b + (ff * bb - fb * fb))
    for c in range(0, COLOURS, WIDTH):
        for x in range(width):
            alpha, ff, f, b, scale = (
                line[ALPHA + x],
                line[FF + x],
                line[PULL_FG + x],
                line[PULL_BG + x],
                line[SCALE + x],
            )
            fb = alpha - ff
            bb = (ONE - alpha) - fb
            of_fg, fg, bg = line[OF_FG + c + x], line[FG + c + x], line[BG + c + x]
            fg_rest = of_fg - ff * fg - fb * bg
            bg_rest = line[PICTURE + c + x] - of_fg - fb * fg - bb * bg
            line[FG + c + x] = min(max(fg + scale * ((bb + b) * fg_rest - fb * bg_rest), ZERO), WHITE)
            line[BG + c + x] = min(max(bg + scale * ((ff + f) * bg_rest - fb * fg_rest), ZERO), WHITE)


@fast
def _weigh(line: np.ndarray, width: int) -> None:
    for c in range(0, COLOURS, WIDTH):
        for x in range(width):
            line[WEIGHTED_FG + c + x] = line[FG + c + x] * line[WEIGHT_FG + x]
            line[WEIGHTED_BG + c + x] = line[BG + c + x] * line[WEIGHT_BG + x]


@fast
def _add_up(above: np.ndarray, line: np.ndarray, below: np.ndarray, out: np.ndarray) -> None:
    """Write sums of three lines, with an edge of a pixel."""
    width = line.size
    for x in range(width):
        out[x + 1] = above[x] + line[x] + below[x]
    out[0], out[width + 1] = out[1], out[width]


@fast
def _average(line: np.ndarray, width: int, sums: np.ndarray) -> None:
    """Make the layers of a line the means around it."""
    for c in range(0, COLOURS, WIDTH):
        for x in range(width):
            fg = sums[c + x] + sums[c + x + 1] + sums[c + x + 2]
            bg = sums[COLOURS + c + x] + sums[COLOURS + c + x + 1] + sums[COLOURS + c + x + 2]
            line[FG + c + x] = line[AROUND_FG + x] * fg
            line[BG + c + x] = line[AROUND_BG + x] * bg


@fast
def _average_first(line: np.ndarray, width: int, sums: np.ndarray) -> None:
    """As `_average`, and write the variance around the means."""
    fg, bg = 2 * COLOURS, 2 * COLOURS + WIDTH
    for x in range(width):
        line[AROUND_FG + x] = ONE / (sums[fg + x] + sums[fg + x + 1] + sums[fg + x + 2])
        line[AROUND_BG + x] = ONE / (sums[bg + x] + sums[bg + x + 1] + sums[bg + x + 2])
        line[VARIED_FG + x] = ZERO
        line[VARIED_BG + x] = ZERO
    for c in range(0, COLOURS, WIDTH):
        for x in range(width):
            front = line[AROUND_FG + x] * (sums[c + x] + sums[c + x + 1] + sums[c + x + 2])
            back = line[AROUND_BG + x] * (sums[COLOURS + c + x] + sums[COLOURS + c + x + 1] + sums[COLOURS + c + x + 2])
            of_fg, of_bg = line[FG + c + x] - front, line[BG + c + x] - back
            line[FG + c + x] = front
            line[BG + c + x] = back
            line[VARIED_FG + x] += of_fg * of_fg * line[WEIGHT_FG + x]
            line[VARIED_BG + x] += of_bg * of_bg * line[WEIGHT_BG + x]


@fast
def _loosen(line: np.ndarray, width: int, sums: np.ndarray) -> None:
    """Let the layers of a line be the further off their means, the more they vary around it."""
    for x in range(width):
        fg = line[AROUND_FG + x] * (sums[x] + sums[x + 1] + sums[x + 2])
        bg = line[AROUND_BG + x] * (sums[WIDTH + x] + sums[WIDTH + x + 1] + sums[WIDTH + x + 2])
        line[PULL_FG + x] = line[NOISES + x] / (fg + LEAST_SPREAD)
        line[PULL_BG + x] = line[NOISES + x] / (bg + LEAST_SPREAD)


@fast
def _improve(sums: np.ndarray, edge: int, smaller: np.ndarray, out: np.ndarray) -> None:
    planes, layers, height, width = sums.shape[0], out.shape[0], out.shape[1], out.shape[2]
    last, rounded = 2 if planes == 4 else 3, (width + ROUND - 1) // ROUND * ROUND
    lines, around = np.zeros((KEPT, LINE), np.float32), np.zeros(8 * WIDTH, np.float32)
    for step in range(height + last):
        for late in range(last + 1):
            y = step - late
            if not 0 <= y < height:
                continue
            above, line, below = lines[max(y - 1, 0) % KEPT], lines[y % KEPT], lines[min(y + 1, height - 1) % KEPT]
            first = VARIED_FG if late == 2 else WEIGHTED_FG
            for plane in range(SUMMED[late]):
                start, end = first + plane * WIDTH, first + plane * WIDTH + width
                _add_up(above[start:end], line[start:end], below[start:end], around[plane * WIDTH :])
            if late == 0:
                for plane in range(planes):
                    _copy(sums[plane, edge + y, edge:], line[plane * WIDTH : plane * WIDTH + width])
                near = y // 2 + EDGE
                far = near + (1 if y % 2 else -1)
                for plane in range(6):
                    start = FG + plane * WIDTH
                    _double(smaller[plane, near], smaller[plane, far], around, line[start : start + width])
                _begin(line, rounded, planes == 4)
            elif late == 1:
                _average_first(line, rounded, around)
                continue
            elif late == 2:
                _loosen(line, rounded, around)
            else:
                _average(line, rounded, around)
            _move(line, rounded)
            if late < last:
                _weigh(line, rounded)
            else:
                for plane in range(layers):
                    _copy(line[FG + plane * WIDTH :], out[plane, y])


def halved(planes: np.ndarray) -> np.ndarray:
    """Return planes, float32 [C, H, W], at half the size: the means of 2x2 pixels."""
    out = np.empty((len(planes), planes.shape[1] // 2, planes.shape[2] // 2), np.float32)
    _halve(planes, out)
    return out


def halved_sums(planes: np.ndarray) -> np.ndarray:
    """Return the sums, [8, H / 2, W / 2], of picture and alpha, [4, H, W]; all float32."""
    out = np.empty((8, planes.shape[1] // 2, planes.shape[2] // 2), np.float32)
    _halve(planes, out[:4])
    _halve_products(planes, out[4:])
    return out


def improved(sums: np.ndarray, edge: int, smaller: np.ndarray) -> np.ndarray:
    """Return layers at some level, as `foreground._improve`.

    sums: float32 [8, H, W], or [4, H, W] at full size, where F alone is returned; W is LONGEST at most beside `edge`
    pixels all around, which are left out. smaller: float32 [2, 3, ...], layers of half the size, with EDGE around.
    """
    height, width = (side - 2 * edge for side in sums.shape[1:])
    out = np.empty((1 if len(sums) == 4 else 2, 3, height, width), np.float32)
    smaller = np.ascontiguousarray(smaller).reshape(6, *smaller.shape[2:])
    _improve(np.ascontiguousarray(sums), edge, smaller, out.reshape(-1, height, width))
    return out
