"""Lite for prediction alone: Lite.forward's alpha in less time and memory.

bfloat16 where the processor computes with it, channels last, ReLU fused into the convolution; what the network sees,
much larger than what it keeps, is made in strips that stay in the processor's cache.
"""

import copy
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepmat.models.dim_fast import LAST, convolve
from deepmat.models.lite import Block, Lite, blend, guess, see, split

STRIP = 16
"""Rows of cells in a strip; even, as cells of the guesses are twice as large."""


class FastLite(nn.Module):
    """Called as Lite is, one picture at a time."""

    def __init__(self, model: Lite, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.net = copy.deepcopy(model).to(dtype).to(memory_format=LAST).eval().requires_grad_(False)
        self.net.head.to(torch.float32)
        self.config, self.dtype = model.config, dtype
        self.bytes_a_pixel = 60 + 40 * dtype.itemsize

    def forward(self, image: Tensor, trimap: Tensor) -> dict[str, Tensor]:
        """image: RGB [1, 3, H, W]; trimap: [1, 1, H, W] of 0, 128, 255; both 0 ... 255, H and W multiples of 32.

        Returns {"alpha": float32 [1, 1, H, W] in [0, 1]}.
        """
        rgb, known = split(image, trimap)
        x, colours, alphas = self._stem(rgb, known, guess(rgb, known))
        kept = []
        for encode, down in zip(self.net.encode, self.net.down, strict=False):
            kept.append(self._blocks(encode, x))
            x = convolve(cast(nn.Conv2d, down), kept[-1])
        x = self._blocks(self.net.encode[-1], x)
        deepest = self._block(self.net.bottom, F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False))
        x = x + F.interpolate(deepest, x.shape[2:], mode="nearest")
        for across, decode in zip(reversed(self.net.across), reversed(self.net.decode), strict=True):
            x = kept.pop().add_(F.interpolate(across(x), scale_factor=2, mode="nearest"))
            x = self._block(cast(Block, decode), x)
        return {"alpha": blend(self.net.head(x.float()), colours, alphas).clamp_(0, 1)}

    def _stem(self, rgb: Tensor, known: Tensor, guesses: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The stem's features, and the colours and alphas that `see` returns."""
        stem, rows = self.net.stem, rgb.shape[2] // 2
        strip = STRIP if rgb.device.type == "cpu" else rows
        parts = []
        for top in range(0, rows, strip):
            bottom = min(top + strip, rows)
            # Two rows of cells more, of which the convolution needs one; the guesses' halves need one more to blend.
            first, last = max(top - 2, 0), min(bottom + 2, rows)
            above, below = max(first // 2 - 1, 0), min(last // 2 + 1, rows // 2)
            near = F.interpolate(guesses[:, :, above:below], scale_factor=2, mode="bilinear", align_corners=False)
            window = slice(2 * first, 2 * last)
            seen, colours, alphas = see(
                rgb[:, :, window], known[:, :, window], near[:, :, first - 2 * above : last - 2 * above]
            )
            x = convolve(stem, seen.to(self.dtype, memory_format=LAST))
            inner = slice(top - first, bottom - first)
            parts.append((x[:, :, inner], colours[..., inner, :], alphas[..., inner, :]))
        x, colours, alphas = (torch.cat(each, -2) for each in zip(*parts, strict=True))
        return x.contiguous(memory_format=LAST), colours, alphas

    def _blocks(self, blocks: nn.Module, x: Tensor) -> Tensor:
        for block in cast(nn.Sequential, blocks):
            x = self._block(cast(Block, block), x)
        return x

    def _block(self, block: Block, x: Tensor) -> Tensor:
        return block.conv2(convolve(block.conv1, x)).add_(x).relu_()
