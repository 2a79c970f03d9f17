"""Lite for prediction: the alpha of Lite.forward in less time and memory.

It computes in bfloat16 where the processor does, with sum and ReLU fused into the convolution (models.convolving).
The input features, many more than the network keeps, are computed in strips that fit the processor's cache; once for
the four pixels of a cell where they are alike, as in a picture that was enlarged by repeating pixels.
"""

import copy
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepmat.models.convolving import convolve, layout
from deepmat.models.dim.fast import windows
from deepmat.models.lite.cues import (
    GUESSES,
    SEEN_EVEN,
    cells,
    double,
    even_cells,
    even_weight,
    gather,
    look,
    see,
    split,
)
from deepmat.models.lite.layers import Block
from deepmat.models.lite.network import Lite, blend
from deepmat.models.lite.overview import hinted, overview, settle
from deepmat.models.lite.session import FastLiteSession
from deepmat.runtime.processes import give_back_memory

STRIPS = {"cpu": 48}
"""Rows of cells in a strip, by device; even, since the guesses have half as many rows."""
LARGE_STRIP = 256
"""The same on other devices."""
HALO = 4
"""Rows of cells around a strip that its convolutions reach: two of a block and one of the stem or the head; even."""


def _strip(device: torch.device) -> int:
    return STRIPS.get(device.type, LARGE_STRIP)


def _strips(rows: int, device: torch.device) -> list[tuple[int, int]]:
    """Begin and end of each strip."""
    step = _strip(device)
    return [(top, min(top + step, rows)) for top in range(0, rows, step)]


def _split(begin: int, end: int, image: Tensor, trimap: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`split` of some rows of cells."""
    return split(image[:, :, 2 * begin : 2 * end], trimap[:, :, 2 * begin : 2 * end])


def _columns(even: int, columns: int) -> list[tuple[int, int, bool]]:
    """Begin and end of the columns of a strip whose even cells end at column `even`, and whether all are even there."""
    if even == columns:
        return [(0, columns, True)]
    border = max(even - HALO, 0)  # what is computed of even cells reaches no others
    return [*([(0, border, True)] if border else []), (border, columns, False)]


def _guesses(strips: list[tuple[int, int]], image: Tensor, trimap: Tensor, beyond: Tensor) -> Tensor:
    """`look` at the whole picture; statistics are gathered in strips."""
    return look(torch.cat([gather(*_split(*strip, image, trimap)) for strip in strips], 2), beyond)


class FastLite(nn.Module):
    """The fast form of Lite, for one picture at a time. Where a whole neighbourhood is known, alpha is the trimap's."""

    stride, reach = Lite.stride, Lite.reach
    enlarge_up_to, shrink_from = Lite.enlarge_up_to, Lite.shrink_from

    def __init__(self, model: Lite, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.layout = layout(model.device, dtype)
        self.net = copy.deepcopy(model).to(dtype).to(memory_format=self.layout).eval().requires_grad_(False)
        self.net.head.to(torch.float32)
        self.even_stem = nn.Conv2d(SEEN_EVEN, model.stem.out_channels, 3, padding=1, device="meta")
        self.even_stem.weight = nn.Parameter(even_weight(model.stem.weight.detach()))
        self.even_stem.bias = self.net.stem.bias
        self.even_stem.to(dtype).to(memory_format=self.layout).requires_grad_(False)
        self.net.fusion = copy.deepcopy(model.fusion)
        self.config, self.dtype = model.config, dtype
        self.bytes_a_pixel = 100 + 40 * dtype.itemsize

    @property
    def device(self) -> torch.device:
        return self.net.device

    def begin(self, image: np.ndarray, trimap: np.ndarray) -> FastLiteSession:
        """See deepmat.inference.predictor.Predictor.begin."""
        return FastLiteSession(self, image, trimap)

    def first_look(self, image: np.ndarray, trimap: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """See deepmat.inference.predictor.Predictor.first_look."""
        return self.net.first_look(image, trimap, alpha)

    def correction(self, image: np.ndarray, trimap: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """See deepmat.inference.predictor.Predictor.correction."""
        return self.net.correction(image, trimap, alpha)

    def forward(
        self,
        image: Tensor,
        trimap: Tensor,
        beyond: Tensor | None = None,
        everywhere: bool = False,
    ) -> dict[str, Tensor]:
        """{"alpha": float32 [1, 1, H, W] in [0, 1]} of a picture.

        image: RGB [1, 3, H, W]; trimap: [1, 1, H, W] of 0, 128, 255; both 0 ... 255, H and W multiples of 32.
        beyond: as for Lite; everywhere: compute alpha also where a whole neighbourhood is known.
        """
        net, small = self.net, None
        if beyond is None:
            beyond, small = overview(lambda *copy: self(*copy)["alpha"], image, trimap)
            trimap = hinted(trimap, *small) if small else trimap
        first, alphas = self._begin(image, trimap, beyond)
        if trimap.is_cpu and trimap.numel() > 1 << 20:
            give_back_memory()
        kept, x = [first], convolve(cast(nn.Conv2d, net.down[0]), first)
        for encode, down in zip(net.encode[1:], net.down[1:], strict=False):
            kept.append(self._blocks(encode, x))
            x = convolve(cast(nn.Conv2d, down), kept[-1])
        x = self._blocks(net.encode[-1], x)
        deepest = self._block(net.bottom, F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False))
        x = x + F.interpolate(deepest, x.shape[2:], mode="nearest")
        for level in (3, 2, 1):
            x = self._up(level, x, kept.pop())
        alpha = (trimap / 255).float()
        for window in windows(trimap, 2 * _strip(x.device), everywhere):
            top, bottom, left, right = window
            found = self._finish(x, first, image, alphas, tuple(edge // 2 for edge in window))
            alpha[..., top:bottom, left:right] = found
        return {"alpha": settle(alpha, trimap, *small) if small else alpha}

    def _begin(self, image: Tensor, trimap: Tensor, beyond: Tensor) -> tuple[Tensor, Tensor]:
        """The first features, before they are halved, and the alphas that classical matting finds."""
        rows, columns = trimap.shape[2] // 2, trimap.shape[3] // 2
        strips = _strips(rows, image.device)
        guesses = _guesses(strips, image, trimap, beyond)
        even_rows, even_columns = even_cells(image, trimap)

        shape, device = (1, self.net.stem.out_channels, rows, columns), image.device
        made = torch.empty(shape, dtype=self.dtype, device=device, memory_format=self.layout)
        alphas = torch.empty((1, GUESSES, 4, rows, columns), device=device)
        features: dict[tuple[int, int, int], Tensor] = {}
        for top, bottom in strips:
            begin, end = max(top - HALO, 0), min(bottom + HALO, rows)
            # Half as many rows of guesses, and one more to blend with.
            above, below = max(begin // 2 - 1, 0), min(end // 2 + 1, rows // 2)
            fields = double(guesses[:, :, above:below])[:, :, begin - 2 * above : end - 2 * above]
            parts = _split(begin, end, image, trimap)
            for left, right, even in _columns(even_columns if end <= even_rows else 0, columns):
                l, r = max(left - HALO, 0), min(right + HALO, columns)  # noqa: E741
                rgb, known, hint = parts[0][..., 2 * l : 2 * r], parts[1][..., 2 * l : 2 * r], parts[2][..., l:r]
                stem = self.even_stem if even else self.net.stem
                out = self._features(features, stem, end - begin, r - l)
                seen, found = see(rgb, known, hint, fields[..., l:r], out, even=even)
                x = convolve(stem, seen.contiguous(memory_format=self.layout))
                inner = np.s_[..., top - begin : bottom - begin, left - l : right - l]
                made[..., top:bottom, left:right] = self._blocks(self.net.encode[0], x)[inner]
                alphas[..., top:bottom, left:right] = found[inner]
        return made, alphas

    def _features(self, made: dict[tuple[int, int, int], Tensor], stem: nn.Conv2d, rows: int, columns: int) -> Tensor:
        """Where the input of a window is written: memory that is used again, by its shape.

        Channels first in bfloat16, where writing takes twice as long otherwise.
        """
        order = self.layout if self.dtype == torch.float32 else torch.contiguous_format
        shape = stem.in_channels, rows, columns
        if shape not in made:
            made[shape] = torch.empty((1, *shape), dtype=self.dtype, device=self.device, memory_format=order)
        return made[shape]

    def _finish(self, x: Tensor, first: Tensor, image: Tensor, alphas: Tensor, window: tuple[int, ...]) -> Tensor:
        """Alpha of a window of cells: the last block and, in float32, the last layer; x: features of half the size."""
        top, bottom, left, right = window
        t, b = max(top - HALO, 0), min(bottom + HALO, first.shape[2])
        l, r = max(left - HALO, 0), min(right + HALO, first.shape[3])  # noqa: E741
        part = first[..., t:b, l:r].clone(memory_format=self.layout)
        out = self.net.head(self._up(0, x[..., t // 2 : b // 2, l // 2 : r // 2], part).float())
        colours = cells(image[..., 2 * top : 2 * bottom, 2 * left : 2 * right].float() / 255 - 0.5)
        inner = out[..., top - t : bottom - t, left - l : right - l]
        return blend(inner, colours, alphas[..., top:bottom, left:right]).clamp_(0, 1)

    def _up(self, level: int, x: Tensor, kept: Tensor) -> Tensor:
        x = kept.add_(F.interpolate(self.net.across[level](x), scale_factor=2, mode="nearest"))
        return self._block(cast(Block, self.net.decode[level]), x)

    def _blocks(self, blocks: nn.Module, x: Tensor) -> Tensor:
        for block in cast(nn.Sequential, blocks):
            x = self._block(cast(Block, block), x)
        return x

    def _block(self, block: Block, x: Tensor) -> Tensor:
        return convolve(block.conv2, convolve(block.conv1, x), x)
