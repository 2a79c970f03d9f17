"""Inner loops of the metrics, compiled by numba (`pip install 'deepmat[fast]'`).

Results equal those of the plain code in `scores`: Conn's to the last bit, Grad's up to the order of sums.
"""

from functools import partial

import numpy as np

from deepmat.runtime.compiled import compiled

STEPS = 10


@partial(compiled, fastmath=True)
def squared_gradient_difference(
    pred: np.ndarray,
    alpha: np.ndarray,
    region: np.ndarray,
    pred_range: float,
    alpha_range: float,
    gaussian: np.ndarray,
    derivative: np.ndarray,
) -> float:
    """The sum over the region of (|grad p| - |grad a|)^2, alphas divided by their ranges.

    pred, alpha: uint8 [H, W]; region: bool [H, W]; gaussian, derivative: float64 [9]. Each line is filtered down the
    columns first, where both filters share their pairs of lines, then across. The sums are written out over views that
    begin at 0, since the compiler vectorises no other form.
    """
    height, width = pred.shape
    smooth, steep = np.empty(width + 8), np.empty(width + 8)
    magnitudes = np.empty((2, width))
    g0, g1, g2, g3, g4 = gaussian[4], gaussian[5], gaussian[6], gaussian[7], gaussian[8]
    d1, d2, d3, d4 = derivative[5], derivative[6], derivative[7], derivative[8]
    total = 0.0
    for y in range(height):
        unknown = np.flatnonzero(region[y])
        if len(unknown) == 0:
            continue
        first, beyond = unknown[0], unknown[-1] + 1
        begin, end = max(0, first - 4), min(width, beyond + 4)
        for side in range(2):
            picture = pred if side == 0 else alpha
            centre = picture[y, begin:end]
            a1, b1 = picture[max(y - 1, 0), begin:end], picture[min(y + 1, height - 1), begin:end]
            a2, b2 = picture[max(y - 2, 0), begin:end], picture[min(y + 2, height - 1), begin:end]
            a3, b3 = picture[max(y - 3, 0), begin:end], picture[min(y + 3, height - 1), begin:end]
            a4, b4 = picture[max(y - 4, 0), begin:end], picture[min(y + 4, height - 1), begin:end]
            s, t = smooth[begin + 4 : end + 4], steep[begin + 4 : end + 4]
            for x in range(len(centre)):
                u1, u2, u3, u4 = np.int32(a1[x]), np.int32(a2[x]), np.int32(a3[x]), np.int32(a4[x])
                v1, v2, v3, v4 = np.int32(b1[x]), np.int32(b2[x]), np.int32(b3[x]), np.int32(b4[x])
                s[x] = g0 * np.int32(centre[x]) + g1 * (v1 + u1) + g2 * (v2 + u2) + g3 * (v3 + u3) + g4 * (v4 + u4)
                t[x] = d1 * (v1 - u1) + d2 * (v2 - u2) + d3 * (v3 - u3) + d4 * (v4 - u4)
            if begin == 0:
                smooth[:4], steep[:4] = smooth[4], steep[4]
            if end == width:
                smooth[width + 4 :], steep[width + 4 :] = smooth[width + 3], steep[width + 3]
            s, t, magnitude = smooth[first : beyond + 8], steep[first : beyond + 8], magnitudes[side]
            scale = 1.0 / (pred_range if side == 0 else alpha_range)
            for x in range(beyond - first):
                across = d1 * (s[x + 5] - s[x + 3]) + d2 * (s[x + 6] - s[x + 2])
                across += d3 * (s[x + 7] - s[x + 1]) + d4 * (s[x + 8] - s[x])
                down = g0 * t[x + 4] + g1 * (t[x + 5] + t[x + 3]) + g2 * (t[x + 6] + t[x + 2])
                down += g3 * (t[x + 7] + t[x + 1]) + g4 * (t[x + 8] + t[x])
                magnitude[x] = np.sqrt(across * across + down * down) * scale
        inside = region[y, first:beyond]
        for x in range(beyond - first):
            difference = magnitudes[0, x] - magnitudes[1, x]
            total += difference * difference * inside[x]
    return total


@compiled
def _runs(passed: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The runs of a picture: their begins, ends and levels, [R], and the number of the first run of each line, [H + 1].

    A run is a stretch of a line whose pixels all reach the same last threshold, its level, of 1 or more.
    """
    height, width = passed.shape
    count = 0
    for y in range(height):
        line = passed[y]
        count += line[0] > 0
        for x in range(1, width):
            count += (line[x] != line[x - 1]) & (line[x] > 0)
    begins, ends = np.empty(count, np.int32), np.empty(count, np.int32)
    levels, lines = np.empty(count, np.uint8), np.empty(height + 1, np.int32)
    run = 0
    for y in range(height):
        line = passed[y]
        lines[y] = run
        x = 0
        while x < width:
            level, begin = line[x], x
            while x < width and line[x] == level:
                x += 1
            if level:
                begins[run], ends[run], levels[run] = begin, x, level
                run += 1
    lines[height] = run
    return begins, ends, levels, lines


@compiled
def _root(parents: np.ndarray, run: int) -> int:
    """The run that stands for the component of a run."""
    while parents[run] != run:
        parents[run] = parents[parents[run]]
        run = parents[run]
    return run


@compiled
def _neighbours(
    begins: np.ndarray, ends: np.ndarray, levels: np.ndarray, lines: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of adjacent runs, int32 [E, 2], sorted by the last threshold that both reach, the highest first.

    Also returns ends, int64 [STEPS + 2]: the pairs of threshold k are those from ends[k + 1] up to ends[k].
    """
    pairs = np.empty((0, 2), np.int32)
    counts = np.zeros(STEPS + 2, np.int64)
    places = np.zeros(STEPS + 2, np.int64)
    for filling in range(2):
        if filling:
            for k in range(STEPS, 0, -1):
                places[k] = counts[k + 1]
                counts[k] += counts[k + 1]
            pairs = np.empty((counts[1], 2), np.int32)
        for y in range(len(lines) - 1):
            above = lines[y - 1] if y else lines[y]
            last_above = lines[y]
            for run in range(lines[y], lines[y + 1]):
                if run > lines[y] and ends[run - 1] == begins[run]:
                    k = min(levels[run - 1], levels[run])
                    if filling:
                        pairs[places[k], 0], pairs[places[k], 1] = run - 1, run
                        places[k] += 1
                    else:
                        counts[k] += 1
                while above < last_above and ends[above] <= begins[run]:
                    above += 1
                other = above
                while other < last_above and begins[other] < ends[run]:
                    k = min(levels[other], levels[run])
                    if filling:
                        pairs[places[k], 0], pairs[places[k], 1] = other, run
                        places[k] += 1
                    else:
                        counts[k] += 1
                    other += 1
    return pairs, counts


@compiled
def last_in_source(passed: np.ndarray) -> np.ndarray:
    """`scores._last_in_source` without the background: uint8 [H, W] -> uint8 [H, W].

    Components are joined from the highest threshold down, so that each pair of runs is visited once.
    """
    height, width = passed.shape
    begins, ends, levels, lines = _runs(passed)
    pairs, pair_ends = _neighbours(begins, ends, levels, lines)
    count = len(begins)
    parents = np.arange(count).astype(np.int32)
    areas = (ends - begins).astype(np.int64)
    firsts = np.empty(count, np.int64)
    """The first pixel of each component, column by column."""
    for y in range(height):
        for run in range(lines[y], lines[y + 1]):
            firsts[run] = np.int64(begins[run]) * height + y
    sources = np.zeros(count, np.uint16)
    """A bit for each threshold at which a run is in the source."""
    done = 0
    for k in range(STEPS, 0, -1):
        for pair in range(done, pair_ends[k]):
            a, b = _root(parents, pairs[pair, 0]), _root(parents, pairs[pair, 1])
            if a != b:
                a, b = min(a, b), max(a, b)
                parents[b] = a
                areas[a] += areas[b]
                firsts[a] = min(firsts[a], firsts[b])
        done = pair_ends[k]
        source = -1
        for run in range(count):
            if levels[run] >= k and parents[run] == run:
                if source < 0 or areas[run] > areas[source]:
                    source = run
                elif areas[run] == areas[source] and firsts[run] < firsts[source]:
                    source = run
        for run in range(count):
            if levels[run] >= k and _root(parents, run) == source:
                sources[run] |= np.uint16(1 << k)
    last = np.zeros((height, width), np.uint8)
    for y in range(height):
        line = last[y]
        for run in range(lines[y], lines[y + 1]):
            k = 0
            while k < STEPS and sources[run] >> (k + 1) & 1:
                k += 1
            if k:
                line[begins[run] : ends[run]] = k
    return last


@compiled
def phi_difference(pred: np.ndarray, alpha: np.ndarray, region: np.ndarray, last: np.ndarray, table: np.ndarray) -> int:
    """The sum over the region of |phi(p) - phi(a)|. table: phi by l (`last`) and level, int32 [11, 256]."""
    total = 0
    for y in range(pred.shape[0]):
        for x in range(pred.shape[1]):
            if region[y, x]:
                total += abs(table[last[y, x], pred[y, x]] - table[last[y, x], alpha[y, x]])
    return total
