"""Subjects with many holes: nets, baskets and lace."""

import cv2
import numpy as np

from deepmat.synth.camera import defocus
from deepmat.synth.drawing import (
    WHITE,
    View,
    aim,
    coordinates,
    draw_lines,
    dye,
    ellipse_outline,
    fill_convex,
    fill_shape,
    make_paint,
    new_canvas,
    random_colour,
    shade,
    smooth_step,
    stack_layers,
    texture,
    to_layers,
    whole,
)


def net(rng: np.random.Generator, view: View) -> np.ndarray:
    """A hanging net: knotted threads in a rope rim, bent by smooth waves, partly out of focus."""
    thread = random_colour(rng, (0, 1), (0.05, 0.6), (0.3, 0.95))
    extent = np.array([view.width, view.height]) / min(view.width, view.height) * 0.78
    pixels = min(view.height, view.width)  # in a small picture, many meshes would close
    cells = np.rint(extent * rng.uniform(min(7, pixels / 12), min(18, pixels / 8))).astype(int)
    waves = [(rng.normal(0, 4.5, 2), rng.uniform(0, 2 * np.pi), rng.normal(0, 0.022, 2)) for _ in range(5)]
    shear, sag = rng.normal(0, 0.06), rng.uniform(0.02, 0.07)

    def bend(uv: np.ndarray) -> np.ndarray:
        """Points in [0, 1]^2 as units around the centre."""
        p = (uv - 0.5) * extent
        out = p + np.stack([shear * p[..., 1], sag * np.cos(np.pi * (uv[..., 0] - 0.5))], -1)
        for frequency, phase, shift in waves:
            out += np.sin(p @ frequency + phase)[..., None] * shift
        return out.astype(np.float32)

    def across(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
        """Bent lines [N 32 2] from starts to stops [N 2] in [0, 1]^2."""
        return bend(start[:, None] + (stop - start)[:, None] * np.linspace(0, 1, 32)[:, None])

    wide, tall = cells
    grid = np.stack(np.meshgrid(np.arange(wide + 1), np.arange(tall + 1)), -1).reshape(-1, 2)
    if rng.random() < 0.6:  # meshes on their corner: diagonals both ways, which meet in the middle of cells too
        c = np.arange(1 - tall, wide)
        starts = np.stack([np.maximum(c, 0), np.maximum(-c, 0)], -1)
        stops = np.stack([np.minimum(wide, tall + c), np.minimum(wide - c, tall)], -1)
        ends = [(starts, stops), (starts * [-1, 1] + [wide, 0], stops * [-1, 1] + [wide, 0])]
        grid = np.concatenate([grid, grid[(grid < cells).all(1)] + 0.5])
    else:
        left, top = grid[grid[:, 0] == 0], grid[grid[:, 1] == 0]
        ends = [(top, top + [0, tall]), (left, left + [wide, 0])]
    curves, knots = [across(start / cells, stop / cells) for start, stop in ends], bend(grid / cells)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]])
    rim = across(corners, np.roll(corners, -1, 0)).reshape(1, -1, 2)
    size, lit = rng.uniform(0.003, 0.008), np.array([-0.0012, -0.0012])
    view = aim(rng, view, knots)
    canvas, sheet = new_canvas(view, size * 0.6)
    dot = ellipse_outline(0, 0, size, size, count=12)
    for shift, share, tone in ((0 * lit, 1.0, 0.55), (lit, 0.45, 1.0)):
        for family in curves:
            draw_lines(canvas, sheet, family + shift, make_paint(thread * tone), size * share)
        shown = dot * share + (knots + shift)[:, None]
        fill_convex(canvas, sheet, shown, [make_paint(thread * tone)] * len(shown))
        draw_lines(canvas, sheet, rim + shift, make_paint(thread * tone * 0.9), size * 1.8 * share, closed=True)
    layers = to_layers(canvas, view)
    if rng.random() < 0.5:
        depth = smooth_step(texture(rng, view, 2.0, 2, 4), 0.45, 1.0)
        layers = defocus(layers, depth, rng.uniform(0.0, 0.006) * view.scale)
    return layers


def basket(rng: np.random.Generator, view: View) -> np.ndarray:
    """A wire basket, cage or pencil pot: its far wall is seen through the near one, and so are the things in it."""
    wire = random_colour(rng, (0, 1), (0.0, 0.15), (0.3, 1.0))
    if rng.random() < 0.4:  # painted
        wire = random_colour(rng, (0, 1), (0.1, 0.8), (0.1, 0.95))
    wide, taper, tilt = rng.uniform(0.18, 0.34), rng.uniform(0.65, 1.05), rng.uniform(0.03, 0.25)
    top, floor = -rng.uniform(0.05, 0.25), rng.uniform(0.2, 0.4)
    most = min(60.0, min(view.height, view.width) / 6)  # in a small picture, many meshes would close
    count, slant = round(np.exp(rng.uniform(np.log(10), np.log(max(11, most))))), rng.uniform(0.6, 1.7)
    mesh = 2 * np.pi * wide / count
    size = float(np.clip(mesh * rng.uniform(0.06, 0.3), 0.0015, 0.03))
    rim, lit = rng.uniform(1.2, 5) * size + 0.006, -0.22 * size * np.ones(2)

    def wall(turn: np.ndarray, down: np.ndarray) -> np.ndarray:
        """Points on the wall in units [... 2], by their angle from the near side and depth 0 ... 1."""
        across = wide * (1 + (taper - 1) * down)
        return np.stack([across * np.sin(turn), top + (floor - top) * down + tilt * across * np.cos(turn)], -1)

    down = np.linspace(0, 1, 24)
    start, around = 2 * np.pi * (np.arange(count)[:, None] + rng.random()) / count, np.linspace(0, 2 * np.pi, 73)
    if rng.random() < 0.65:  # meshes on their corner
        twist = slant * (floor - top) / wide
        turns, downs = np.concatenate([start + twist * down, start - twist * down]), np.tile(down, (2 * count, 1))
        parts = [(turns, downs)]
    else:
        rings = np.linspace(0, 1, max(3, round((floor - top) / (mesh * slant))))[:, None]
        parts = [(start + 0 * down, down + 0 * start), (around + 0 * rings, rings + 0 * around)]
    pieces, facing = [], []
    for turns, downs in parts:
        points, depth = wall(turns, downs), np.cos((turns[:, 1:] + turns[:, :-1]) / 2)
        pieces.append(np.stack([points[:, :-1], points[:, 1:]], 2).reshape(-1, 2, 2))
        facing.append(depth.ravel())
    lines, near = np.concatenate(pieces), np.concatenate(facing) > 0
    mouth, foot = wall(around, 0 * around), wall(around, 0 * around + 1)

    view = aim(rng, view, np.concatenate([lines[::5, 0], mouth]))
    canvas, sheet = new_canvas(view, size * 0.6)

    def draw(curves: np.ndarray, width: float, light: float) -> None:
        for shift, share, tone in ((0 * lit, 1.0, 0.45), (lit, 0.5, 1.0)):
            draw_lines(canvas, sheet, curves + shift, make_paint(wire * tone * light), width * share)

    draw(lines[~near], size, rng.uniform(0.4, 0.9))
    draw(mouth[None, 18:55], rim, 0.7)
    for _ in range(int(rng.choice([0, 0, 1, 2, 4]))):
        thing, (low, high) = random_colour(rng, (0, 1), (0.0, 0.9), (0.1, 1.0)), rng.uniform(-0.75, 0.75, 2) * wide
        half, end = wide * rng.choice([0.06, 0.1, 0.3]) * rng.uniform(0.7, 1.4), top - rng.uniform(-0.15, 0.28)
        if rng.random() < 0.1:  # fills the lower part
            low, high, half, end = 0.0, 0.0, 0.85 * wide, rng.uniform(top, floor)
        ends = np.array([[low * taper, floor], [low * taper, floor], [high, end], [high, end]])
        for left, tone in ((-1.0, 0.7), (-0.4, 1.0)):
            outline = ends + half * np.array([[left, 0], [1, 0], [1, 0], [left, 0]])
            fill_shape(canvas, sheet, outline, make_paint(thing * tone))
    if rng.random() < 0.7:
        fill_shape(canvas, sheet, foot, make_paint(wire * 0.5))
    draw(lines[near], size, 1.0)
    draw(foot[None], rim * rng.uniform(0.4, 1.5), 0.8)
    draw(np.concatenate([mouth[54:], mouth[:19]])[None], rim, 1.0)
    return shade(to_layers(canvas, view), 0.6 + 0.8 * texture(rng, view, 1.0, 3))


def _lace_tile(rng: np.random.Generator, side: int, thread: float) -> np.ndarray:
    """The thickness of lace, float32 [side side] in [0, 1]: one repeat of a fine mesh with a sewn flower."""
    view, mesh = whole(side, side), int(rng.integers(8, 15))
    canvas = np.zeros((side, side, 4), np.uint8)
    # diagonals that end where the next repeat's begin
    c = (np.arange(-mesh, mesh + 1) / mesh - 0.5)[:, None]
    ones = np.array([[-0.5, 0.5]])
    for slope in (-1, 1):
        lines = np.stack([np.broadcast_to(ones, (len(c), 2)), c + 0.5 + slope * ones], -1)
        draw_lines(canvas, view, lines, make_paint(WHITE, rng.uniform(0.5, 0.9)), thread)
    petals, size = int(rng.integers(5, 9)), rng.uniform(0.14, 0.2)
    # a large flower in the middle, and a small one on the corners that four repeats share
    middles = np.array([[0, 0], [-1, -1], [1, -1], [-1, 1], [1, 1]]) / 2
    sizes, turns = np.repeat([size, *[0.6 * size] * 4], petals), np.tile(np.arange(petals) * 2 * np.pi / petals, 5)
    ahead = np.stack([np.cos(turns), np.sin(turns)], -1) * sizes[:, None]
    aside = ahead[:, ::-1] * [-1, 1]
    centres, round_ = np.repeat(middles, petals, 0)[:, None], ellipse_outline(0, 0, 1, 1, count=24)

    def ovals(away: float, long: float, wide: float) -> np.ndarray:
        return centres + ahead[:, None] * (away + long * round_[:, :1]) + aside[:, None] * wide * round_[:, 1:]

    outlines, holes, count = ovals(1.1, 1.0, 0.42), ovals(1.4, 0.4, 0.13), len(turns)
    fill_convex(canvas, view, outlines, [make_paint(WHITE, rng.uniform(0.8, 1.0))] * count)
    draw_lines(canvas, view, outlines, make_paint(WHITE), thread * 1.6, closed=True)
    fill_convex(canvas, view, holes, [make_paint(WHITE, 0.25)] * count)
    fill_convex(canvas, view, centres + 0.3 * sizes[:, None, None] * round_, [make_paint(WHITE)] * count)
    return canvas[..., 3].astype(np.float32) / 255


def lace(rng: np.random.Generator, view: View) -> np.ndarray:
    """A piece of lace or tulle in folds: fine mesh that light goes through, sewn flowers, a scalloped hem."""
    repeats, cloth = rng.uniform(4, 8), random_colour(rng, (0, 1), (0.0, 0.35), (0.1, 1.0))
    waves = [(rng.normal(0, 5, 2), rng.uniform(0, 2 * np.pi), rng.normal(0, 0.02, 2)) for _ in range(4)]
    half = np.array([view.width, view.height]) / min(view.width, view.height) * 0.36
    t = np.linspace(-1, 1, 24)
    border = [half * np.stack([t, np.full_like(t, side)], -1) for side in (-1, 1)]
    border += [half * np.stack([np.full_like(t, side), t], -1) for side in (-1, 1)]
    inner = rng.uniform(-0.9, 0.9, (60, 2)) * half
    view = aim(rng, view, np.concatenate([*border, inner]))
    x, y = coordinates(view)
    u, v, fold = x.copy(), y.copy(), np.zeros_like(x)
    for (fx, fy), phase, (dx, dy) in waves:
        swing = np.float32(fx) * x + np.float32(fy) * y + np.float32(phase)
        wave = np.sin(swing)
        u, v = u + wave * np.float32(dx), v + wave * np.float32(dy)
        fold += np.cos(swing) * np.float32(dx * fx + dy * fy)
    # A repeat at the size it is seen, since a larger one would alias when shrunk.
    side = int(np.clip(view.scale / repeats * 1.2, 24, 1500))
    tile = _lace_tile(rng, side, max(rng.uniform(0.012, 0.03), 1.0 / side))
    tiled = (u * np.float32(repeats), v * np.float32(repeats))
    across, down = ((p - np.floor(p)) * side - np.float32(0.5) for p in tiled)
    thick = cv2.remap(tile, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    sheer = rng.uniform(0.0, 0.35)
    alpha = sheer + (1 - sheer) * thick
    scallop = 0.018 * np.abs(np.sin(np.float32(np.pi * repeats) * (u + v)))
    inside = np.minimum(half[0] - np.abs(u), half[1] - np.abs(v)).astype(np.float32) + scallop
    hem = smooth_step(inside, 0.034, 0.026) * (0.85 + 0.15 * thick)
    alpha = np.maximum(alpha, hem) * np.clip(inside * np.float32(view.scale) + 0.5, 0, 1)
    alpha = np.clip(alpha * (1 + 0.5 * np.abs(fold)), 0, 1)  # folds lie over themselves
    light = (0.7 + 0.3 * thick) * (1 + 0.9 * fold) * (0.8 + 0.4 * texture(rng, view, 1.0, 4))
    return stack_layers(dye(cloth, light), alpha)
