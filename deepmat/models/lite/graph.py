"""Lite as a graph of ONNX operators: `Lite.forward` of one picture, of any size (deepmat.models.graphs).

The functions are those of deepmat.models.lite.cues, overview and network of the same names, where their formulas are
explained. The picture is seen three times: at full size, as a copy, and as a copy of the copy.
"""

from collections.abc import Mapping
from typing import NamedTuple

from deepmat.models.graphs import (
    Op,
    Value,
    at_least,
    convolve,
    count_up,
    cut,
    doubled,
    floats,
    halved,
    parts,
    repeat_edge,
    size_of,
    stretched,
    unit,
    up,
)
from deepmat.models.lite.cues import FAINT, FIELDS, GUESSES, HINT_RANGE, LEVELS, NOISE, SCALES
from deepmat.models.lite.network import BLOCKS
from deepmat.models.lite.overview import AT_ONCE, COPY_SIDE, NEAR, RAMP, SHRINK, SMOOTH


class Picture(NamedTuple):
    """A picture at one size, with its trimap, known regions and sides."""

    image: Value
    trimap: Value
    foreground: Value
    background: Value
    height: Value
    width: Value


def lite(op: Op, weights: Mapping[str, Value], image: Value, trimap: Value) -> Value:
    """See deepmat.models.graphs.Network."""
    full = _picture(op, image, trimap)
    longer = op.Max(full.height, full.width)
    times = op.Max(up(op, longer, COPY_SIDE), [SHRINK])
    small = _shrink(op, full, times)
    shown = _padded(op, small)
    tiny = _shrink(op, shown, op.Identity([SHRINK]))
    last = _padded(op, tiny)
    first = _see(op, weights, last, last.trimap, _summary(op, last))
    second = _guided(op, weights, shown, tiny, op.Identity([SHRINK]), first)
    alpha = _guided(op, weights, full, small, times, second)
    small_alpha = cut(op, second, small.height, small.width)
    settled = _settled(op, alpha, full, times, small_alpha)
    return op.Where(op.Greater(longer, [SHRINK * AT_ONCE]), settled, alpha)


def _picture(op: Op, image: Value, trimap: Value) -> Picture:
    sides = (op.Greater(trimap, 128.0 + HINT_RANGE), op.Less(trimap, 127.0 - HINT_RANGE))
    foreground, background = (floats(op, side) for side in sides)
    return Picture(image, trimap, foreground, background, *size_of(op, trimap))


def _padded(op: Op, seen: Picture) -> Picture:
    more = [up(op, side, 32) * 32 - side for side in (seen.height, seen.width)]
    return _picture(op, repeat_edge(op, seen.image, *more), repeat_edge(op, seen.trimap, *more))


def _shrink(op: Op, seen: Picture, times: Value) -> Picture:
    means = _means(op, op.Concat(seen.image, seen.foreground, seen.background, axis=1), 5, times)
    image, foreground, background = parts(op, means, (3, 1, 1))
    known = [floats(op, op.Greater(share, 0.999)) for share in (foreground, background)]
    return _picture(op, image, known[0] * 127.0 - known[1] * 128.0 + 128.0)


def _means(op: Op, x: Value, channels: int, times: Value) -> Value:
    """Means of `times` x `times` pixels of [1, channels, H, W]; of fewer in the last cells."""
    height, width = size_of(op, x)
    rows, columns = up(op, height, times), up(op, width, times)
    more = op.Concat([0, 0, 0, 0, 0, 0], rows * times - height, columns * times - width, axis=0)
    sums = op.ReduceSum(op.Reshape(op.Pad(x, more), op.Concat([-1], columns, times, axis=0)), [2], keepdims=0)
    sums = op.ReduceSum(op.Reshape(sums, op.Concat([channels], rows, times, columns, axis=0)), [2], keepdims=0)
    down, across = (
        op.Min(times, side - count_up(op, cells) * times) for side, cells in ((height, rows), (width, columns))
    )
    return op.Unsqueeze(sums, [0]) / floats(op, op.Unsqueeze(down, [1]) * across)


def _summary(op: Op, seen: Picture) -> list[Value]:
    """`cues.summary`: [1, 9, 1, 1] of the foreground and of the background."""
    rgb = seen.image * (1 / 255) - 0.5
    both = op.Concat(rgb, _squares(op, rgb), axis=1)
    return [
        op.ReduceSum(both * mask, [2, 3]) / at_least(op, op.ReduceSum(mask, [2, 3]), 1)
        for mask in (seen.foreground, seen.background)
    ]


def _guided(op: Op, weights: Mapping[str, Value], seen: Picture, copy: Picture, times: Value, alpha: Value) -> Value:
    """The alpha of a picture of which a copy, `times` times smaller, has an alpha, which may be padded."""
    alpha = cut(op, alpha, copy.height, copy.width)
    large = op.Greater(op.Max(seen.height, seen.width), [AT_ONCE])
    corner = seen._replace(
        **{name: cut(op, getattr(seen, name), [AT_ONCE], [AT_ONCE]) for name in ("image", "foreground", "background")}
    )
    beyond = [op.Where(large, *pair) for pair in zip(_summary(op, copy), _summary(op, corner), strict=True)]
    hints = (_enlarged(op, alpha, copy, times, seen) * 2.0 - 1.0) * float(HINT_RANGE) + 128.0
    unknown = op.Greater(1.0 - seen.foreground - seen.background, 0.5)
    return _see(op, weights, seen, op.Where(op.And(large, unknown), hints, seen.trimap), beyond)


def _enlarged(op: Op, x: Value, copy: Picture, times: Value, like: Picture) -> Value:
    large = stretched(op, x, 1, copy.height * times, copy.width * times)
    return cut(op, large, like.height, like.width)


def _settled(op: Op, alpha: Value, seen: Picture, times: Value, small: Value) -> Value:
    """`overview.settle` for a picture of any size."""
    unknown = 1.0 - seen.foreground - seen.background
    shares, means = parts(op, _means(op, op.Concat(unknown, alpha, axis=1), 2, times), (1, 1))
    inside = floats(op, op.Greater(shares, 0.0))
    near = floats(op, op.Greater(_box(op, 1.0 - inside, NEAR), 0.0))
    share = at_least(op, _box(op, _box(op, inside, SMOOTH), SMOOTH), 1e-3)
    off = _box(op, _box(op, (small - means) * inside, SMOOTH), SMOOTH) / share
    more = (1.0 - _box(op, near, RAMP)) * off
    height, width = size_of(op, more)
    more = cut(op, stretched(op, more, 1, height * times, width * times), seen.height, seen.width)
    return unit(op, alpha + more * unknown)


def _box(op: Op, x: Value, radius: int) -> Value:
    for kernel, pads in (([2 * radius + 1, 1], [radius, 0, radius, 0]), ([1, 2 * radius + 1], [0, radius, 0, radius])):
        x = op.AveragePool(x, kernel_shape=kernel, pads=pads, count_include_pad=0)
    return x


def _see(op: Op, weights: Mapping[str, Value], seen: Picture, trimap: Value, beyond: list[Value]) -> Value:
    """`Lite.forward` of a picture, its trimap perhaps with hints."""
    rgb = seen.image * (1 / 255) - 0.5
    hint = halved(op, (trimap - 128.0) * (1 / HINT_RANGE) * (1.0 - seen.foreground - seen.background))
    guesses = doubled(op, _look(op, _gather(op, rgb, seen, hint), beyond), "linear")
    colours = [op.SpaceToDepth(channel, blocksize=2) for channel in parts(op, rgb, (1, 1, 1))]
    explained = [_explain(op, colours, guess) for guess in parts(op, guesses, (FIELDS,) * GUESSES)]
    known = [op.SpaceToDepth(side, blocksize=2) for side in (seen.foreground, seen.background)]
    features = op.Concat(*colours, *known, hint, *(made for made, _ in explained), axis=1)
    out = _network(op, weights, features)
    own, *slope, each = parts(op, out, (4, 1, 1, 1, GUESSES))
    for colour, factor in zip(colours, slope, strict=True):
        own = own + colour * factor
    for (_, alpha), weight in zip(explained, parts(op, each, (1,) * GUESSES), strict=True):
        own = own + alpha * weight
    return unit(op, op.DepthToSpace(own, blocksize=2))


def _squares(op: Op, rgb: Value) -> Value:
    r, g, b = parts(op, rgb, (1, 1, 1))
    return op.Concat(rgb * rgb, r * g, r * b, g * b, axis=1)


def _gather(op: Op, rgb: Value, seen: Picture, hint: Value) -> list[Value]:
    """`cues.gather`: the statistics of the foreground, of the background, and of both with their hinted regions."""
    sides = seen.foreground, seen.background
    colours, shares = [halved(op, rgb * side) for side in sides], [halved(op, side) for side in sides]
    others, unknown = halved(op, rgb) - colours[0] - colours[1], 1.0 - shares[0] - shares[1]
    hinted = [unit(op, (hint * sign - 0.8) * 5.0) for sign in (1.0, -1.0)]
    colours += [colour + others * more for colour, more in zip(colours, hinted, strict=True)]
    shares += [share + unknown * more for share, more in zip(shares, hinted, strict=True)]
    return [_moments(op, *side) for side in zip(colours, shares, strict=True)]


def _moments(op: Op, colours: Value, share: Value) -> Value:
    colours = colours / at_least(op, share, 1e-6)
    within = halved(op, share)
    both = op.Concat(colours, _squares(op, colours), axis=1)
    return op.Concat(halved(op, both * share) / at_least(op, within, 1e-6), within, axis=1)


def _look(op: Op, gathered: list[Value], beyond: list[Value]) -> Value:
    near = [_spread(op, side, mean, SCALES) for side, mean in zip(gathered[:2], beyond, strict=True)]
    hinted = [_spread(op, side, mean, (0,)) for side, mean in zip(gathered[2:], beyond, strict=True)]
    pairs = [*zip(*near, strict=True), *zip(*hinted, strict=True)]
    return op.Concat(*(_guess(op, *pair) for pair in pairs), axis=1)


def _spread(op: Op, moments: Value, beyond: Value, scales: tuple[int, ...]) -> list[Value]:
    """`cues._spread`, whose pyramid has as many levels as the size allows: here all, of which so many are used."""
    values, share = parts(op, moments, (9, 1))
    levels, sides, used = [op.Concat(values * share, share, axis=1)], [size_of(op, moments)], op.Identity([1])
    for _ in range(LEVELS - 1):
        used = used + op.Cast(op.Greater(op.Min(*sides[-1]), [2]), to=7)
        level = op.AveragePool(levels[-1], kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=0)
        odd = [op.Mod(side, [2]) for side in sides[-1]]
        levels.append(halved(op, repeat_edge(op, level, *odd)))
        sides.append((up(op, sides[-1][0], 2), up(op, sides[-1][1], 2)))
    totals = op.Concat(*(op.ReduceMean(level, [2, 3]) for level in levels), axis=0)
    total, known = parts(op, op.Gather(totals, used - 1, axis=0), (9, 1))
    start = op.Where(op.Greater(known, 1e-6), total / at_least(op, known, 1e-6), beyond)
    filled = start
    extended: list[tuple[Value, Value]] = []
    for index, (level, size) in reversed(list(enumerate(zip(levels, sides, strict=True)))):
        sums, weight = parts(op, level, (9, 1))
        found = (sums + stretched(op, filled, 9, *size) * FAINT) / (weight + FAINT)
        filled = op.Where(op.Greater(used, [index]), found, start) if index > 2 else found
        extended.insert(0, (filled, weight))
    return [_at_scale(op, extended, scale, used, sides[0]) for scale in scales]


def _at_scale(op: Op, extended: list[tuple[Value, Value]], scale: int, used: Value, size: tuple[Value, Value]) -> Value:
    """The level of that scale, or the last that is used, at full size; three are used always."""
    large = [stretched(op, op.Concat(*extended[index], axis=1), 10, *size) for index in range(min(scale, 2), scale + 1)]
    found = large[-1]
    for index in range(scale - 1, 1, -1):
        found = op.Where(op.Greater(used, [index + 1]), found, large[index - 2])
    return found


def _guess(op: Op, front: Value, back: Value) -> Value:
    """`cues._guess` for one scale: the fields of a guess, [1, 14, h, w]."""
    (fg, fg_squares, fg_share), (bg, bg_squares, bg_share) = (parts(op, side, (3, 6, 1)) for side in (front, back))
    covariances = fg_squares - _squares(op, fg), bg_squares - _squares(op, bg)
    spreads = [at_least(op, op.ReduceSum(parts(op, each, (3, 3))[0], [1]), 0) for each in covariances]
    difference = fg - bg
    direction = _tell_apart(op, difference, (covariances[0] + covariances[1]) * 0.5)
    apart = at_least(op, op.ReduceSum(difference * direction, [1]), 0)
    return op.Concat(fg, bg, direction, apart, *spreads, fg_share, bg_share, axis=1)


def _tell_apart(op: Op, difference: Value, covariance: Value) -> Value:
    rr, gg, bb, rg, rb, gb = parts(op, covariance, (1,) * 6)
    rr, gg, bb = rr + NOISE, gg + NOISE, bb + NOISE
    r, g, b = parts(op, difference, (1, 1, 1))
    first, second, third = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    crossed = rg * rb - rr * gb
    determinant = rr * first + rg * second + rb * third
    solved = op.Concat(
        first * r + second * g + third * b,
        second * r + (rr * bb - rb * rb) * g + crossed * b,
        third * r + crossed * g + (rr * gg - rg * rg) * b,
        axis=1,
    )
    return solved / at_least(op, determinant, NOISE**3)


def _explain(op: Op, colours: list[Value], guess: Value) -> tuple[Value, Value]:
    """`cues.explain` for one guess: its part of the features, [1, 30, h, w], and its alphas, [1, 4, h, w] in [0, 1]."""
    fg, bg, direction, apart, fg_spread, bg_spread, shares = parts(op, guess, (3, 3, 3, 1, 1, 1, 2))
    line = fg - bg
    length = op.ReduceSum(line * line, [1])
    off = [colour - back for colour, back in zip(colours, parts(op, bg, (1, 1, 1)), strict=True)]

    def dot(vector: Value) -> Value:
        r, g, b = parts(op, vector, (1, 1, 1))
        return off[0] * r + off[1] * g + off[2] * b

    projected, to_bg = dot(line), off[0] * off[0] + off[1] * off[1] + off[2] * off[2]
    alpha = dot(direction) / (apart + 1.0)
    to_fg = at_least(op, to_bg - projected * 2.0 + length, 0)
    beside = at_least(op, to_bg - projected * projected / (length + NOISE), 0)
    units = (fg_spread + NOISE) * 4.0, (bg_spread + NOISE) * 4.0, 4 * NOISE
    distances = [
        1.0 - 1.0 / op.Sqrt(distance / each + 1.0) for distance, each in zip((to_fg, to_bg, beside), units, strict=True)
    ]
    size = op.Sqrt(op.ReduceSum(direction * direction, [1])) + 1.0
    made = [op.Clip(alpha, -0.5, 1.5), *distances, fg, bg, direction / size]
    made += [apart / (apart + 4.0), op.Sqrt(fg_spread), op.Sqrt(bg_spread), shares]
    return op.Concat(*made, axis=1), unit(op, alpha)


def _network(op: Op, weights: Mapping[str, Value], features: Value) -> Value:
    """The U-Net: the head's channels, [1, 11, h, w]."""
    x, kept = op.Relu(convolve(op, weights, "stem", features)), []
    for level, blocks in enumerate(BLOCKS):
        if level:
            kept.append(x)
            x = op.Relu(convolve(op, weights, f"down.{level - 1}", x, stride=2))
        for block in range(blocks):
            x = _block(op, weights, f"encode.{level}.{block}", x)
    height, width = size_of(op, x)
    even = repeat_edge(op, x, op.Mod(height, [2]), op.Mod(width, [2]))
    deepest = _block(op, weights, "bottom", halved(op, even))
    x = x + cut(op, doubled(op, deepest, "nearest"), height, width)
    for level in (3, 2, 1, 0):
        x = kept[level] + doubled(op, convolve(op, weights, f"across.{level}", x), "nearest")
        x = _block(op, weights, f"decode.{level}", x)
    return convolve(op, weights, "head", x)


def _block(op: Op, weights: Mapping[str, Value], name: str, x: Value) -> Value:
    inner = op.Relu(convolve(op, weights, f"{name}.conv1", x))
    return op.Relu(convolve(op, weights, f"{name}.conv2", inner) + x)
