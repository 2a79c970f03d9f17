"""The small network that deepmat ships: it is told what classical matting knows, and corrects it, twice.

A pixel lies on the line between a foreground and a background colour, which says its alpha (Chuang et al. 2001,
Bayesian matting, equation 1). Guesses of both colours are those of the known regions, spread into the unknown region
from near and from far; the network sees the alpha that follows from each pair and how well each pair explains the
pixel. Half way it says alpha at an eighth of the size: what that finds to be foreground or background counts as known
in a second look. In the end it weighs all these alphas and adds what it makes of the picture itself. It is built for
processors: half the size from the first layer on, no normalisation, plain convolutions of 32 to 256 channels.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from deepmat.config import LiteConfig

WIDTHS = (32, 64, 128, 160, 256)
"""Channels at 1/2, 1/4 ... 1/32 of the size."""
BLOCKS = (1, 2, 2, 2, 1)
"""Residual blocks of the encoder at each of them."""
SCALES = (0, 2, 4)
"""Of the guesses: colours from as near as there are any, from about 16 pixels, from about 64 (4 x 2^scale)."""
FIELDS = 14
"""Channels of a guess: foreground and background colour, the direction that tells them apart, how far apart they are
along it, the spread of both, and how much is known of both nearby."""
EXPLAINED = 4 * 4
"""What `explain` makes of a guess: alpha and three distances for each of a cell's four pixels."""
NOISE = 0.003
"""Square of the difference in colour, of 1, under which two colours are hard to tell apart."""


def _blur(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)


def _spread(values: Tensor, share: Tensor, beyond: Tensor, scales: tuple[int, ...]) -> list[Tensor]:
    """Means of what is known, gone on into what is not, for each of `scales`, and the share that is known there.

    values: [N, C, h, w], means over the known part of each cell; share: [N, 1, h, w], how much of it is known; beyond:
    [N, C, 1, 1], to take where nothing is. Returns [N, C + 1, h, w] each: from a pyramid of normalised blurs, each
    level fills the holes of the finer ones.
    """
    levels = [torch.cat((values * share, share), 1)]
    while len(levels) < 7 and min(levels[-1].shape[2:]) > 2:
        levels.append(F.avg_pool2d(_blur(levels[-1]), 2, ceil_mode=True, count_include_pad=False))
    total = levels[-1].mean((2, 3), keepdim=True)
    filled = torch.where(total[:, -1:] > 1e-6, total[:, :-1] / total[:, -1:].clamp(min=1e-6), beyond)
    spread: list[Tensor] = []
    for level in reversed(levels):
        filled = (level[:, :-1] + 0.01 * _resize(filled, level)) / (level[:, -1:] + 0.01)
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


def _guess(
    moments: Tensor, foreground: Tensor, background: Tensor, beyond: Tensor | None, scales: tuple[int, ...]
) -> Tensor:
    """Guesses for each of `scales`: [N, len(scales) x FIELDS, h, w].

    moments: [N, 2, 9, h, w], means of colours and their `_squares` over the foreground of each cell and over its
    background; foreground, background: [N, 1, h, w], their shares of the cell; beyond: as `summary` made it.
    """
    if beyond is None:
        beyond = torch.zeros_like(moments[..., :1, :1])
    sides = [
        _spread(moments[:, index], share, beyond[:, index], scales)
        for index, share in enumerate((foreground, background))
    ]
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


def split(image: Tensor, trimap: Tensor) -> tuple[Tensor, Tensor]:
    """image [N, 3, H, W] and trimap [N, 1, H, W], 0 ... 255 -> colours, -0.5 ... 0.5, and float masks [N, 2, H, W] of
    known foreground and background."""
    return image.float() / 255 - 0.5, torch.cat((trimap > 191, trimap < 64), 1).float()


def summary(rgb: Tensor, known: Tensor) -> Tensor:
    """Of a whole picture, for parts of it in which nothing is known of one side: [N, 2, 9, 1, 1], means of colours and
    their `_squares` over the known foreground and over the known background; zeros, a middle grey, for none."""
    both = torch.cat((rgb, _squares(rgb)), 1)
    sides = [(both * mask).sum((2, 3)) / mask.sum((2, 3)).clamp(min=1) for mask in known.split(1, 1)]
    return torch.stack(sides, 1)[..., None, None]


def look(rgb: Tensor, known: Tensor, beyond: Tensor | None = None) -> Tensor:
    """Guesses of both colours from what is known, one for each of SCALES: [N, 3 x FIELDS, H/4, W/4].

    beyond: the `summary` of the whole picture, where this is a part of it.
    """
    moments, shares = [], []
    for mask in known.split(1, 1):
        share = F.avg_pool2d(mask, 2)
        colours = F.avg_pool2d(rgb * mask, 2) / share.clamp(min=1e-6)
        within = F.avg_pool2d(share, 2)
        both = torch.cat((colours, _squares(colours)), 1)
        moments.append(F.avg_pool2d(both * share, 2) / within.clamp(min=1e-6))
        shares.append(within)
    return _guess(torch.stack(moments, 1), shares[0], shares[1], beyond, SCALES)


def look_again(rgb: Tensor, known: Tensor, alpha: Tensor, beyond: Tensor | None = None) -> Tensor:
    """A guess from what is known or found so: [N, FIELDS, H/8, W/8]. alpha: [N, 1, H/8, W/8]; beyond: as for `look`."""
    colours, shares = F.avg_pool2d(rgb, 8), F.avg_pool2d(known, 8)
    alpha = shares[:, :1] + (1 - shares.sum(1, keepdim=True)) * alpha.clamp(0, 1)
    moments = torch.cat((colours, _squares(colours)), 1)
    found = (2 * alpha - 1).clamp(min=0), (1 - 2 * alpha).clamp(min=0)
    return _guess(torch.stack((moments, moments), 1), *found, beyond, (0,))


def explain(colours: Tensor, fields: Tensor) -> tuple[Tensor, Tensor]:
    """What a guess makes of each pixel: [N, EXPLAINED + FIELDS, h, w], and the alpha that follows [N, 4, h, w].

    colours: [N, 3, 4, h, w], of cells of four pixels; fields: [N, FIELDS, h, w]. Distances are to the foreground, the
    background, both by their spread, and to the line between the two.
    """
    fg, bg, direction, apart, fg_spread, bg_spread, shares = fields.split((3, 3, 3, 1, 1, 1, 2), 1)
    line = fg - bg
    length = (line**2).sum(1, keepdim=True)
    along, projected, to_bg = (torch.zeros_like(colours[:, 0]) for _ in range(3))
    for channel in range(3):
        off = colours[:, channel] - bg[:, channel, None]
        along.addcmul_(off, line[:, channel, None])
        projected.addcmul_(off, direction[:, channel, None])
        to_bg.addcmul_(off, off)
    alpha = projected * (1 / (apart + 1))
    to_fg = (to_bg - 2 * along + length).clamp_(min=0)
    beside = (to_bg - along.square_() * (1 / (length + NOISE))).clamp_(min=0)
    units = 1 / (4 * (fg_spread + NOISE)), 1 / (4 * (bg_spread + NOISE)), 1 / (4 * NOISE)
    distances = (
        1 - (1 + distance * unit).rsqrt_() for distance, unit in zip((to_fg, to_bg, beside), units, strict=True)
    )
    # Numbers of one size; a direction's length says no more than how far apart the two are.
    size = 1 + (direction * direction).sum(1, keepdim=True).sqrt_()
    made = [alpha.clamp(-0.5, 1.5), *distances]
    made += [fg, bg, direction / size, apart / (apart + 4), fg_spread.sqrt(), bg_spread.sqrt(), shares]
    return torch.cat(made, 1), alpha.clamp_(0, 1)


def see(rgb: Tensor, known: Tensor, guesses: Tensor) -> tuple[Tensor, Tensor]:
    """What the network sees at first, in cells of 2 x 2 pixels: [N, 20 + 3 x (EXPLAINED + FIELDS), H/2, W/2].

    rgb, known: as `split` made them; guesses: [N, 3 x FIELDS, H/2, W/2]. Also returns the alphas that follow from the
    guesses, [N, 3, 4, H/2, W/2] in [0, 1].
    """
    colours = cells(rgb)
    told, alphas = zip(*(explain(colours, fields) for fields in guesses.split(FIELDS, 1)), strict=True)
    return torch.cat((colours.flatten(1, 2), F.pixel_unshuffle(known, 2), *told), 1), torch.stack(alphas, 1)


def cells(rgb: Tensor) -> Tensor:
    """[N, 3, H, W] -> [N, 3, 4, H/2, W/2]."""
    return F.pixel_unshuffle(rgb, 2).unflatten(1, (3, 4))


def blend(out: Tensor, colours: Tensor, alphas: Tensor) -> Tensor:
    """Alpha [N, 1, H, W], not yet held to [0, 1], from the head's channels [N, 11, H/2, W/2] for each cell.

    Four are alphas, three a linear function of a pixel's colour (as closed-form matting has it, Levin et al. 2008,
    equation 2), four the weights of the guesses' alphas [N, 4, 4, H/2, W/2].
    """
    own, slope, weights = out.split((4, 3, 4), 1)
    found = own + (colours * slope[:, :, None]).sum(1) + (alphas * weights[:, :, None]).sum(1)
    return F.pixel_shuffle(found, 2)


def double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class Block(nn.Module):
    """Two convolutions and a way past them (He et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.conv2(F.relu_(self.conv1(x))) + x)


class Lite(nn.Module):
    """A residual U-Net over cells of 2 x 2 pixels."""

    PARTS = {"encoder": ("stem", "down", "encode", "bottom"), "decoder": ("across", "decode", "first", "again", "head")}
    LASTING = ()

    def __init__(self) -> None:
        super().__init__()
        self.recompute = False
        self.bytes_a_pixel = 450
        steps = list(zip(WIDTHS, WIDTHS[1:], strict=False))
        self.stem = nn.Conv2d(20 + len(SCALES) * (EXPLAINED + FIELDS), WIDTHS[0], 3, padding=1)
        self.encode = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(count))) for width, count in zip(WIDTHS, BLOCKS, strict=True)
        )
        self.down = nn.ModuleList(nn.Conv2d(wide, deep, 3, stride=2, padding=1) for wide, deep in steps)
        self.bottom = Block(WIDTHS[-1])
        self.across = nn.ModuleList(nn.Conv2d(deep, wide, 1) for wide, deep in steps)
        self.decode = nn.ModuleList(Block(width) for width in WIDTHS[:-1])
        self.first = nn.Conv2d(WIDTHS[2], 1, 3, padding=1)
        self.again = nn.Conv2d(EXPLAINED + FIELDS, WIDTHS[0], 3, padding=1)
        self.head = nn.Conv2d(WIDTHS[0], 11, 3, padding=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        for last in (self.first, self.head):
            nn.init.zeros_(last.weight)
        assert self.first.bias is not None and self.head.bias is not None
        nn.init.constant_(self.first.bias, 0.5)
        nn.init.constant_(self.head.bias[-4:], 1 / 4)  # begins as the mean of the guesses

    @staticmethod
    def recognise(state: Mapping[str, Tensor]) -> LiteConfig | None:
        """No other tool has weights of it."""
        return None

    def summarise(self, image: Tensor, trimap: Tensor) -> Tensor:
        """The `summary` of a whole picture, for `forward` with a part of it."""
        return summary(*split(image, trimap))

    def forward(self, image: Tensor, trimap: Tensor, beyond: Tensor | None = None) -> dict[str, Tensor]:
        """image: RGB [N, 3, H, W]; trimap: [N, 1, H, W] of 0, 128, 255; both 0 ... 255, H and W multiples of 32.

        beyond: the `summary` of the whole picture, where this is a part of it.

        Returns {"alpha": [N, 1, H, W] in [0, 1], "first": likewise, found between the two looks}, exact zeros and ones
        among them; the gradient is that before they are held to that range, so that no pixel is lost beyond it.
        """
        exact = torch.autocast(image.device.type, enabled=False)
        with torch.no_grad(), exact:
            rgb, known = split(image, trimap)
            seen, alphas = see(rgb, known, double(look(rgb, known, beyond)))
        x, kept = self._encode(F.relu_(self.stem(_last(seen))))
        for level in (3, 2):
            x = self._up(level, x, kept[level])
        with exact:
            first = self.first(x.float())
        x = self._up(1, x, kept[1])
        with torch.no_grad(), exact:
            colours = cells(rgb)
            told, alpha = explain(colours, double(double(look_again(rgb, known, first, beyond))))
        x = self._up(0, x, kept[0] + self.again(_last(told)))
        with exact:
            found = blend(self.head(x.float()), colours, torch.cat((alphas, alpha[:, None]), 1))
            return {"alpha": _held(found), "first": _held(_resize(first, trimap))}

    def _part(self, part: Callable[..., Any], x: Tensor) -> Any:
        """Part of the forward pass, of which `recompute` keeps the input alone (Chen et al. 2016)."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(part, x, use_reentrant=False)
        return part(x)

    def _encode(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The stem's output to the deepest features, and those of the levels above."""
        kept = []
        for encode, down in zip(self.encode, self.down, strict=False):
            kept.append(self._part(encode, x))
            x = F.relu_(down(kept[-1]))
        x = self._part(self.encode[-1], x)
        deepest = self.bottom(F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False))
        return x + F.interpolate(deepest, x.shape[2:], mode="nearest"), kept

    def _up(self, level: int, x: Tensor, kept: Tensor) -> Tensor:
        x = kept + F.interpolate(self.across[level](x), scale_factor=2, mode="nearest")
        return self._part(self.decode[level], x)


def _last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _held(alpha: Tensor) -> Tensor:
    """In [0, 1], with the gradient of what is not."""
    return alpha + (alpha.clamp(0, 1) - alpha).detach()
