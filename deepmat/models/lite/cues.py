"""Cues: the input features of lite, taken from classical matting.

A pixel lies on the line between a foreground and a background colour; its position there is its alpha (Chuang et al.
2001, Bayesian matting, equation 1). Guesses of both colours are the colours of the known regions, spread into the
unknown region from near and from far. For each guess the network gets the alpha that follows and how well the guess
explains the pixel. One more guess is made from known and hinted regions together (deepmat.models.lite.overview).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

SCALES = (0, 2, 4)
"""Scales of the guesses: the nearest known colours, those within about 16 pixels, within about 64 (4 x 2^scale)."""
GUESSES = len(SCALES) + 1
"""One for each scale, and one from known and hinted regions together."""
FIELDS = 14
"""Channels of a guess: foreground and background colour, the direction that separates them, their distance along it,
the spread of both, and the known share of both nearby."""
EXPLAINED = 4 * 4
"""Channels that `explain` adds to a guess: alpha and three distances for each of a cell's four pixels."""
SEEN = 3 * 4 + 2 * 4 + 1 + GUESSES * (EXPLAINED + FIELDS)
"""Input channels of the network: colours, known regions, the hint, the guesses and their explanations."""
SEEN_EVEN = 3 + 2 + 1 + GUESSES * (EXPLAINED // 4 + FIELDS)
"""Input channels where the four pixels of each cell are alike."""
LEVELS = 7
"""Of the pyramid in which colours are spread, at most."""
FAINT = 0.01
"""Weight of what a coarser level says beside what is known at a level, as a share of a whole known cell."""
NOISE = 0.003
"""Squared colour difference (colours in a range of 1) under which two colours are hard to separate."""
HINT_RANGE = 63
"""Levels from 128 to a hint that is certain of foreground or background."""


def known_sides(trimap: Tensor) -> tuple[Tensor, Tensor]:
    """Masks of known foreground and known background, bool, of a trimap that may hold hints in its unknown region."""
    return trimap > 128 + HINT_RANGE, trimap < 127 - HINT_RANGE


def unknown_region(trimap: Tensor) -> Tensor:
    """Mask of the unknown region, bool, hints included."""
    foreground, background = known_sides(trimap)
    return ~(foreground | background)


def _halve(x: Tensor) -> Tensor:
    """Means of 2 x 2 pixels of a picture with even sides. On a CPU F.avg_pool2d takes ten times as long."""
    rows = x[:, :, ::2] + x[:, :, 1::2]
    return (rows[..., ::2] + rows[..., 1::2]).mul_(0.25)


def _blurred_half(x: Tensor) -> Tensor:
    """avg_pool2d by 3 at every pixel, then avg_pool2d by 2; for sides of at least 2.

    Both leave out pixels beyond the border. The last cell may have one pixel.
    """
    for dim in (2, 3):
        side = x.shape[dim]
        first, second, before, last = (x.narrow(dim, at, 1) for at in (0, 1, side - 2, side - 1))
        # The value beyond a border that makes the mean of three there the mean of the two inside.
        x = torch.cat(((first + second) / 2, x, (before + last) / 2, *([before] if side % 2 else [])), dim)
        a, b, c, d = (x.narrow(dim, at, side + side % 2 - 1).unfold(dim, 1, 2).squeeze(-1) for at in range(4))
        x = (b + c).mul_(2).add_(a).add_(d).mul_(1 / 6)
    return x


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)


def _spread(values: Tensor, share: Tensor, beyond: Tensor, scales: tuple[int, ...]) -> list[Tensor]:
    """Means over the known region, extended into the unknown region, for each of `scales`, and the known share there.

    values: [N, C, h, w], means over the known part of each cell; share: [N, 1, h, w], the known share of it; beyond:
    [N, C, 1, 1], values for a picture with nothing known. Returns [N, C + 1, h, w] each. In a pyramid of normalised
    blurs, each level fills the holes of the finer ones.
    """
    levels = [torch.cat((values * share, share), 1)]
    while len(levels) < LEVELS and min(levels[-1].shape[2:]) > 2:
        levels.append(_blurred_half(levels[-1]))
    total = levels[-1].mean((2, 3), keepdim=True)
    filled = torch.where(total[:, -1:] > 1e-6, total[:, :-1] / total[:, -1:].clamp(min=1e-6), beyond)
    spread: list[Tensor] = []
    for level in reversed(levels):
        filled = (level[:, :-1] + FAINT * _resize(filled, level)) / (level[:, -1:] + FAINT)
        spread.insert(0, torch.cat((filled, level[:, -1:]), 1))
    return [_resize(spread[min(scale, len(spread) - 1)], values) for scale in scales]


def _tell_apart(difference: Tensor, covariance: Tensor) -> Tensor:
    """(covariance + NOISE)^-1 difference, Fisher's direction: [N, 3, h, w]; covariance as `_squares` orders it."""
    rr, gg, bb, rg, rb, gb = covariance.unbind(1)
    rr, gg, bb = rr + NOISE, gg + NOISE, bb + NOISE
    r, g, b = difference.unbind(1)
    cofactors = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    determinant = rr * cofactors[0] + rg * cofactors[1] + rb * cofactors[2]
    solved = (
        cofactors[0] * r + cofactors[1] * g + cofactors[2] * b,
        cofactors[1] * r + (rr * bb - rb * rb) * g + (rg * rb - rr * gb) * b,
        cofactors[2] * r + (rg * rb - rr * gb) * g + (rr * gg - rg * rg) * b,
    )
    return torch.stack(solved, 1) / determinant.clamp(min=NOISE**3)[:, None]


def _guess(moments: Tensor, beyond: Tensor, scales: tuple[int, ...]) -> Tensor:
    """Guesses for each of `scales`: [N, len(scales) x FIELDS, h, w].

    moments: [N, 20, h, w], the `_moments` of the foreground and of the background; beyond: as `summary` made it.
    """
    fg, fg_share, bg, bg_share = moments.split((9, 1, 9, 1), 1)
    sides = _spread(fg, fg_share, beyond[:, 0], scales), _spread(bg, bg_share, beyond[:, 1], scales)
    fields = []
    for front, back in zip(*sides, strict=True):
        (fg, fg_squares, fg_share), (bg, bg_squares, bg_share) = (side.split((3, 6, 1), 1) for side in (front, back))
        fg_covariance, bg_covariance = fg_squares - _squares(fg), bg_squares - _squares(bg)
        spreads = [each[:, :3].sum(1, keepdim=True).clamp(min=0) for each in (fg_covariance, bg_covariance)]
        direction = _tell_apart(fg - bg, (fg_covariance + bg_covariance) / 2)
        apart = ((fg - bg) * direction).sum(1, keepdim=True).clamp(min=0)
        fields += [fg, bg, direction, apart, *spreads, fg_share, bg_share]
    return torch.cat(fields, 1)


def _squares(rgb: Tensor) -> Tensor:
    """[N, 3, h, w] -> the products of its channels, [N, 6, h, w] (rr, gg, bb, rg, rb, gb)."""
    return torch.cat((rgb * rgb, rgb[:, :1] * rgb[:, 1:2], rgb[:, :1] * rgb[:, 2:], rgb[:, 1:2] * rgb[:, 2:]), 1)


def _colours_and_known(image: Tensor, trimap: Tensor) -> tuple[Tensor, Tensor]:
    return image.float() / 255 - 0.5, torch.cat(known_sides(trimap), 1).float()


def split(image: Tensor, trimap: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Split image [N, 3, H, W] and trimap [N, 1, H, W], 0 ... 255, into colours, masks and hints.

    Returns colours [N, 3, H, W], -0.5 ... 0.5; float masks [N, 2, H, W] of known foreground and background; hints
    [N, 1, H/2, W/2], -1 for background to 1 for foreground, 0 where there is none.
    """
    rgb, known = _colours_and_known(image, trimap)
    hint = (trimap.float() - 128) * (1 / HINT_RANGE) * (1 - known.sum(1, keepdim=True))
    return rgb, known, _halve(hint)


def summary(image: Tensor, trimap: Tensor) -> Tensor:
    """Mean colours of a whole picture, for parts of it that know nothing of one side: [N, 2, 9, 1, 1].

    They are means of colours and their `_squares` over the known foreground and the known background; zeros, a middle
    grey, for none.
    """
    rgb, known = _colours_and_known(image, trimap)
    both = torch.cat((rgb, _squares(rgb)), 1)
    sides = [(both * mask).sum((2, 3)) / mask.sum((2, 3)).clamp(min=1) for mask in known.split(1, 1)]
    return torch.stack(sides, 1)[..., None, None]


def gather(rgb: Tensor, known: Tensor, hint: Tensor) -> Tensor:
    """Statistics of both colours in each cell of 4 x 4 pixels, [N, 40, H/4, W/4].

    They are the `_moments` of the known foreground, of the known background, and of both with their hinted regions.
    rgb, known, hint: from `split`.
    """
    colours = [_halve(rgb * mask) for mask in known.split(1, 1)]
    others = _halve(rgb) - colours[0] - colours[1]
    shares = _halve(known).split(1, 1)
    # Only certain hints count, since a pixel that is foreground in part has a mixed colour.
    hinted = [((sign * hint - 0.8) * 5).clamp(0, 1) for sign in (1, -1)]
    unknown = 1 - shares[0] - shares[1]
    found = [share + unknown * more for share, more in zip(shares, hinted, strict=True)]
    seen = [colour + others * more for colour, more in zip(colours, hinted, strict=True)]
    sides = zip((*colours, *seen), (*shares, *found), strict=True)
    return torch.cat([_moments(*side) for side in sides], 1)


def _moments(colours: Tensor, share: Tensor) -> Tensor:
    """Means of the colours of one side of each cell and of their `_squares`, and its share: [N, 10, h/2, w/2].

    colours: means over the cell, 0 beyond the side, [N, 3, h, w]; share: [N, 1, h, w].
    """
    colours = colours / share.clamp(min=1e-6)
    within = _halve(share)
    both = torch.cat((colours, _squares(colours)), 1)
    return torch.cat((_halve(both * share) / within.clamp(min=1e-6), within), 1)


def look(gathered: Tensor, beyond: Tensor) -> Tensor:
    """Guesses of both colours, [N, GUESSES x FIELDS, H/4, W/4].

    They are made from the known regions for each of SCALES, then from known and hinted regions together.
    gathered: from `gather`; beyond: the `summary` of the whole picture.
    """
    near, hinted = gathered.split(20, 1)
    return torch.cat((_guess(near, beyond, SCALES), _guess(hinted, beyond, (0,))), 1)


def explain(colours: Tensor, guesses: Tensor) -> tuple[list[Tensor], Tensor]:
    """How the guesses explain pixels, and the alphas that follow.

    Returns parts of [N, GUESSES, EXPLAINED + FIELDS, h, w]; and the alphas, [N, GUESSES, 4, h, w] in [0, 1].

    colours: [N, 3, 4, h, w], of cells of four pixels; guesses: [N, GUESSES, FIELDS, h, w]. Distances are to the
    foreground, the background, both by their spread, and to the line between the two.
    """
    fg, bg, direction, apart, fg_spread, bg_spread, shares = guesses.split((3, 3, 3, 1, 1, 1, 2), 2)
    line = fg - bg
    length = (line**2).sum(2, keepdim=True)
    off = [colours[:, None, channel] - bg[:, :, channel, None] for channel in range(3)]

    def dot(vector: Sequence[Tensor]) -> Tensor:
        """With `off`, of each pixel."""
        return (off[0] * vector[0]).addcmul_(off[1], vector[1]).addcmul_(off[2], vector[2])

    along, towards = (vector[:, :, :, None].unbind(2) for vector in (line, direction))
    projected, to_bg = dot(along), dot(off)
    alpha = dot(towards).mul_(1 / (apart + 1))
    to_fg = (to_bg - 2 * projected).add_(length).clamp_(min=0)
    beside = (to_bg - projected.square_().mul_(1 / (length + NOISE))).clamp_(min=0)
    units = 1 / (4 * (fg_spread + NOISE)), 1 / (4 * (bg_spread + NOISE)), 1 / (4 * NOISE)
    distances = (
        1 - distance.mul_(unit).add_(1).rsqrt_() for distance, unit in zip((to_fg, to_bg, beside), units, strict=True)
    )
    # Numbers of one size; a direction's length says no more than how far apart the two are.
    size = 1 + (direction * direction).sum(2, keepdim=True).sqrt_()
    made = [alpha.clamp(-0.5, 1.5), *distances]
    made += [fg, bg, direction / size, apart / (apart + 4), fg_spread.sqrt(), bg_spread.sqrt(), shares]
    return made, alpha.clamp_(0, 1)


def see(
    rgb: Tensor,
    known: Tensor,
    hint: Tensor,
    guesses: Tensor,
    out: Tensor | None = None,
    *,
    even: bool = False,
) -> tuple[Tensor, Tensor]:
    """The network's input in cells of 2 x 2 pixels, and the alphas that classical matting finds.

    Returns the input, [N, SEEN, H/2, W/2], written to `out` if given; and alphas [N, GUESSES, 4, H/2, W/2] in [0, 1].
    rgb, known, hint: from `split`; guesses: [N, GUESSES x FIELDS, H/2, W/2]. even: the four pixels of each cell are
    alike, and stand in the input and in the alphas once (`even_weight`).
    """
    colours, sides = cells(rgb, even), cells(known, even)
    explained, alphas = explain(colours, guesses.unflatten(1, (GUESSES, FIELDS)))
    own = [colours.flatten(1, 2), sides.flatten(1, 2), hint]
    if out is None:
        return torch.cat((*own, torch.cat(explained, 2).flatten(1, 2)), 1), alphas
    first = sum(part.shape[1] for part in own)
    torch.cat(own, 1, out=out[:, :first])
    torch.cat(explained, 2, out=out[:, first:].unflatten(1, (GUESSES, -1)))
    return out, alphas


def even_weight(weight: Tensor) -> Tensor:
    """The weight [C, SEEN, k, k] of a convolution of the input as one of the input of even cells, [C, SEEN_EVEN, k, k].

    What the four pixels of a cell have in common is multiplied by the sum of their weights.
    """
    explained = [channels for _ in range(GUESSES) for channels in (*[4] * (EXPLAINED // 4), *[1] * FIELDS)]
    groups = weight.split([4] * 3 + [4] * 2 + [1] + explained, 1)
    return torch.cat([group.sum(1, keepdim=True) for group in groups], 1)


def cells(pixels: Tensor, even: bool = False) -> Tensor:
    """Pixels in cells of 2 x 2: [N, C, H, W] -> [N, C, 4, H/2, W/2]; of even cells the first, [N, C, 1, H/2, W/2]."""
    if even:
        return pixels[:, :, None, ::2, ::2]
    return F.pixel_unshuffle(pixels, 2).unflatten(1, (-1, 4))


def even_cells(image: Tensor, trimap: Tensor) -> tuple[int, int]:
    """How many rows and columns of cells, from the top left on, hold pixels of one colour and one side each.

    They are all of a picture that was enlarged by repeating pixels but for the border by which it was mirrored, and
    (0, 0) of others. image: [1, 3, H, W]; trimap: [1, 1, H, W].
    """
    alike = torch.ones_like(trimap[0, 0, ::2, ::2], dtype=torch.bool)
    for pixels in (image[0], *(side[0] for side in known_sides(trimap))):
        first = pixels[:, ::2, ::2]
        for row, column in ((0, 1), (1, 0), (1, 1)):
            alike &= (pixels[:, row::2, column::2] == first).all(0)
    rows, columns = (
        int(half.all(dim).cumprod(0).sum())
        for dim, half in ((1, alike[:, : alike.shape[1] // 2]), (0, alike[: len(alike) // 2]))
    )
    return (rows, columns) if alike[:rows, :columns].all() else (0, 0)


def double(x: Tensor) -> Tensor:
    """A map at twice its size, by bilinear interpolation."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
