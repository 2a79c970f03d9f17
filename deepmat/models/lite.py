"""The small network that deepmat ships: it is told what classical matting knows, and corrects it.

A pixel lies on the line between a foreground and a background colour, which says its alpha (Chuang et al. 2001,
Bayesian matting, equation 1). Guesses of both colours are those of the known regions, spread into the unknown region
from near and from far; the network sees the alpha that follows from each pair, how well each pair explains the pixel,
weighs them and adds what it makes of the picture itself. It is built for processors: half the size from the first layer
on, no normalisation, 3x3 convolutions of 32 to 256 channels alone.
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
FIELDS = 10
"""Channels of a guess: of foreground and background mean colour, mean square and share of pixels that are known."""
HINTS = 28 + 4 * 3 * 4
"""What `see` makes of the guesses: 28 channels of their own and four for each of a cell's four pixels at each scale."""
NOISE = 0.003
"""Square of the difference in colour, of 1, under which two colours are hard to tell apart."""


def _blur(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)


def _spread(values: Tensor, share: Tensor) -> list[Tensor]:
    """Means of what is known, gone on into what is not, at each of SCALES: values, and the share that is known there.

    values: [N, C, h, w], means over the known part of each cell; share: [N, 1, h, w], how much of it is known.
    Returns [N, C + 1, h, w] each: from a pyramid of normalised blurs, each level fills the holes of the finer ones.
    """
    levels = [torch.cat((values * share, share), 1)]
    while len(levels) < 7 and min(levels[-1].shape[2:]) > 2:
        levels.append(F.avg_pool2d(_blur(levels[-1]), 2, ceil_mode=True, count_include_pad=False))
    everywhere = levels[-1].mean((2, 3), keepdim=True)
    filled = everywhere[:, :-1] / everywhere[:, -1:].clamp(min=1e-6)  # 0, a middle grey, where nothing is known
    spread: list[Tensor] = []
    for level in reversed(levels):
        filled = (level[:, :-1] + 0.01 * _resize(filled, level)) / (level[:, -1:] + 0.01)
        spread.insert(0, torch.cat((filled, level[:, -1:]), 1))
    return [_resize(spread[min(scale, len(spread) - 1)], values) for scale in SCALES]


def split(image: Tensor, trimap: Tensor) -> tuple[Tensor, Tensor]:
    """image [N, 3, H, W] and trimap [N, 1, H, W], 0 ... 255 -> colours, -0.5 ... 0.5, and float masks [N, 2, H, W] of
    known foreground and background."""
    return image.float() / 255 - 0.5, torch.cat((trimap > 191, trimap < 64), 1).float()


def guess(rgb: Tensor, known: Tensor) -> Tensor:
    """Guesses of foreground and background for every pixel: [N, 3 x FIELDS, H/4, W/4], from what `split` made."""
    moments = torch.cat((rgb, (rgb**2).sum(1, keepdim=True)), 1)
    sides = []
    for mask in known.split(1, 1):
        share = F.avg_pool2d(mask, 4)
        sides.append(_spread(F.avg_pool2d(moments * mask, 4) / share.clamp(min=1e-6), share))
    return torch.cat([side[index] for index in range(len(SCALES)) for side in sides], 1)


def see(rgb: Tensor, known: Tensor, guesses: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the network sees, in cells of 2 x 2 pixels: [N, 20 + HINTS, H/2, W/2].

    rgb, known: as `split` made them; guesses: [N, 3 x FIELDS, H/2, W/2]. Also returns the cells' colours
    [N, 3, 4, H/2, W/2] and the alpha that follows from each guess [N, 3, 4, H/2, W/2], in [0, 1].
    """
    inside = F.pixel_unshuffle(rgb, 2)
    colours = inside.unflatten(1, (3, 4))
    parts, alphas = [inside, F.pixel_unshuffle(known, 2)], []
    for index, fields in enumerate(guesses.split(FIELDS, 1)):
        fg, fg_square, fg_share, bg, bg_square, bg_share = fields.split((3, 1, 1, 3, 1, 1), 1)
        fg_spread = (fg_square - (fg**2).sum(1, keepdim=True)).clamp(min=0)
        bg_spread = (bg_square - (bg**2).sum(1, keepdim=True)).clamp(min=0)
        line = fg - bg
        length = (line**2).sum(1, keepdim=True)
        along, to_bg = torch.zeros_like(colours[:, 0]), torch.zeros_like(colours[:, 0])
        for channel in range(3):
            off = colours[:, channel] - bg[:, channel, None]
            along.addcmul_(off, line[:, channel, None])
            to_bg.addcmul_(off, off)
        alpha = along / (length + NOISE)
        to_fg = (to_bg - 2 * along + length).clamp_(min=0)
        beside = (to_bg - alpha * (2 * along - alpha * length)).clamp_(min=0)
        distances = to_fg / (fg_spread + NOISE), to_bg / (bg_spread + NOISE), beside / NOISE
        parts += [alpha.clamp(-0.5, 1.5), *(1 - torch.rsqrt(1 + distance / 4) for distance in distances)]
        parts += [fg, bg, fg_spread.sqrt(), bg_spread.sqrt()] + ([fg_share, bg_share] if index else [])
        alphas.append(alpha.clamp_(0, 1))
    return torch.cat(parts, 1), colours, torch.stack(alphas, 1)


def blend(out: Tensor, colours: Tensor, alphas: Tensor) -> Tensor:
    """Alpha [N, 1, H, W], not yet held to [0, 1], from the head's channels [N, 10, H/2, W/2] for each cell.

    Four are alphas, three a linear function of a pixel's colour (as closed-form matting has it, Levin et al. 2008,
    equation 2), three the weights of the guesses' alphas.
    """
    own, slope, weights = out.split((4, 3, 3), 1)
    cells = own + (colours * slope[:, :, None]).sum(1) + (alphas * weights[:, :, None]).sum(1)
    return F.pixel_shuffle(cells, 2)


class Block(nn.Module):
    """Two convolutions and a way past them, which is all that there is at first (Zhang et al. 2019, Fixup)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.conv2(F.relu_(self.conv1(x))) + x)


class Lite(nn.Module):
    """A residual U-Net over cells of 2 x 2 pixels."""

    PARTS = {"encoder": ("stem", "down", "encode", "bottom"), "decoder": ("across", "decode", "head")}
    LASTING = ()

    def __init__(self) -> None:
        super().__init__()
        self.recompute = False
        steps = list(zip(WIDTHS, WIDTHS[1:], strict=False))
        self.stem = nn.Conv2d(20 + HINTS, WIDTHS[0], 3, padding=1)
        self.encode = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(count))) for width, count in zip(WIDTHS, BLOCKS, strict=True)
        )
        self.down = nn.ModuleList(nn.Conv2d(wide, deep, 3, stride=2, padding=1) for wide, deep in steps)
        self.bottom = Block(WIDTHS[-1])
        self.across = nn.ModuleList(nn.Conv2d(deep, wide, 1) for wide, deep in steps)
        self.decode = nn.ModuleList(Block(width) for width in WIDTHS[:-1])
        self.head = nn.Conv2d(WIDTHS[0], 10, 3, padding=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
            if isinstance(layer, Block):
                nn.init.zeros_(layer.conv2.weight)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias[-3:], 1 / 3)  # begins as the mean of the guesses

    @staticmethod
    def recognise(state: Mapping[str, Tensor]) -> LiteConfig | None:
        """No other tool has weights of it."""
        return None

    def forward(self, image: Tensor, trimap: Tensor) -> dict[str, Tensor]:
        """image: RGB [N, 3, H, W]; trimap: [N, 1, H, W] of 0, 128, 255; both 0 ... 255, H and W multiples of 32.

        Returns {"alpha": [N, 1, H, W] in [0, 1]}, exact zeros and ones among it; its gradient is that of the alpha
        before it is held to that range, so that no pixel is lost beyond it.
        """
        with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
            rgb, known = split(image, trimap)
            guesses = F.interpolate(guess(rgb, known), scale_factor=2, mode="bilinear", align_corners=False)
            seen, colours, alphas = see(rgb, known, guesses)
        x = self._decode(*self._encode(F.relu_(self.stem(seen.contiguous(memory_format=torch.channels_last)))))
        with torch.autocast(image.device.type, enabled=False):
            alpha = blend(self.head(x.float()), colours, alphas)
            return {"alpha": alpha + (alpha.clamp(0, 1) - alpha).detach()}

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

    def _decode(self, x: Tensor, kept: list[Tensor]) -> Tensor:
        for across, decode in zip(reversed(self.across), reversed(self.decode), strict=True):
            x = kept.pop() + F.interpolate(across(x), scale_factor=2, mode="nearest")
            x = self._part(decode, x)
        return x
