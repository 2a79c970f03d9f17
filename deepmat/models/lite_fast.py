"""Lite for prediction alone: Lite.forward's alpha in less time and memory.

bfloat16 where the processor computes with it, channels last, ReLU fused into the convolution; what the network is told
of each pixel, much more than what it keeps, is made in strips that stay in the processor's cache.
"""

import copy
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepmat.models.dim_fast import LAST, convolve
from deepmat.models.lite import Block, Lite, blend, cells, double, explain, look, look_again, see, split

STRIPS = {"cpu": 16}
"""Rows of cells in a strip, by device; even, as the guesses have half as many."""
LARGE_STRIP = 256


class FastLite(nn.Module):
    """Called as Lite is, one picture at a time."""

    def __init__(self, model: Lite, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.net = copy.deepcopy(model).to(dtype).to(memory_format=LAST).eval().requires_grad_(False)
        self.net.first.to(torch.float32)
        self.net.head.to(torch.float32)
        self.config, self.dtype = model.config, dtype
        self.bytes_a_pixel = 100 + 30 * dtype.itemsize

    def summarise(self, image: Tensor, trimap: Tensor) -> Tensor:
        """As Lite's."""
        return self.net.summarise(image, trimap)

    def forward(self, image: Tensor, trimap: Tensor, beyond: Tensor | None = None) -> dict[str, Tensor]:
        """image: RGB [1, 3, H, W]; trimap: [1, 1, H, W] of 0, 128, 255; both 0 ... 255, H and W multiples of 32.

        beyond: the `summary` of the whole picture, where this is a part of it.

        Returns {"alpha": float32 [1, 1, H, W] in [0, 1]}.
        """
        net = self.net
        rgb, known = split(image, trimap)

        def told(window: slice, fields: Tensor) -> tuple[Tensor, Tensor]:
            return see(rgb[:, :, window], known[:, :, window], fields)

        def told_again(window: slice, fields: Tensor) -> tuple[Tensor, Tensor]:
            seen, alpha = explain(cells(rgb[:, :, window]), fields)
            return seen, alpha[:, None]

        x, alphas = self._in_strips(told, look(rgb, known, beyond), net.stem)
        x = x.relu_()
        kept = []
        for encode, down in zip(net.encode, net.down, strict=False):
            kept.append(self._blocks(encode, x))
            x = convolve(cast(nn.Conv2d, down), kept[-1])
        x = self._blocks(net.encode[-1], x)
        deepest = self._block(net.bottom, F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False))
        x = x + F.interpolate(deepest, x.shape[2:], mode="nearest")
        for level in (3, 2):
            x = self._up(level, x, kept.pop())
        first = net.first(x.float())
        x = self._up(1, x, kept.pop())
        again, alpha = self._in_strips(told_again, double(look_again(rgb, known, first, beyond)), net.again)
        x = self._up(0, x, kept.pop().add_(again))
        found = blend(net.head(x.float()), cells(rgb), torch.cat((alphas, alpha), 1))
        return {"alpha": found.clamp_(0, 1)}

    def _in_strips(
        self, tell: Callable[[slice, Tensor], tuple[Tensor, Tensor]], guesses: Tensor, layer: nn.Conv2d
    ) -> tuple[Tensor, Tensor]:
        """The layer's features of what `tell` makes of a strip of the picture and its guesses, and the alphas.

        guesses: [1, C, H/4, W/4]; tell(rows of the picture, [1, C, rows/2, W/2]) -> features and alphas.
        """
        rows, columns = 2 * guesses.shape[2], 2 * guesses.shape[3]
        strip = STRIPS.get(guesses.device.type, LARGE_STRIP)
        shape = (1, layer.out_channels, rows, columns)
        made = torch.empty(shape, dtype=self.dtype, device=guesses.device, memory_format=LAST)
        parts = []
        for top in range(0, rows, strip):
            bottom = min(top + strip, rows)
            # Two rows of cells more, of which the convolution needs one; guesses need one of theirs more to blend.
            begin, end = max(top - 2, 0), min(bottom + 2, rows)
            above, below = max(begin // 2 - 1, 0), min(end // 2 + 1, rows // 2)
            fields = double(guesses[:, :, above:below])[:, :, begin - 2 * above : end - 2 * above]
            seen, alphas = tell(slice(2 * begin, 2 * end), fields)
            inner = slice(top - begin, bottom - begin)
            made[:, :, top:bottom] = layer(seen.to(self.dtype, memory_format=LAST))[:, :, inner]
            parts.append(alphas[..., inner, :])
        return made, torch.cat(parts, -2)

    def _up(self, level: int, x: Tensor, kept: Tensor) -> Tensor:
        x = kept.add_(F.interpolate(self.net.across[level](x), scale_factor=2, mode="nearest"))
        return self._block(cast(Block, self.net.decode[level]), x)

    def _blocks(self, blocks: nn.Module, x: Tensor) -> Tensor:
        for block in cast(nn.Sequential, blocks):
            x = self._block(cast(Block, block), x)
        return x

    def _block(self, block: Block, x: Tensor) -> Tensor:
        return block.conv2(convolve(block.conv1, x)).add_(x).relu_()
