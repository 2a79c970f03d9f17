"""DIM for prediction: the alpha of DIM.forward in a fraction of its time and memory.

- bfloat16 where the processor computes with it, ReLU fused into the convolution, large memory pages.
- Pooling indices, eight bytes a value, are not kept but computed again from the features where needed.
- The last two levels of the decoder and the refinement, half of all arithmetic, run only near unknown pixels, in
  strips that fit the processor's cache. The omitted part has no influence on any unknown pixel.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepmat.imaging.trimap import unknown_region
from deepmat.models.convolving import convolve, layout
from deepmat.models.dim.network import DIM, ENCODER
from deepmat.models.session import WindowsNearUnknown

HALO = 12
"""Distance in pixels over which the zeros around a window influence it: 2 + 2 + 2 x 2 by the 5x5 convolutions of
deconv1, deconv1_1 and (at half size) deconv2_1, 4 by the refinement's 3x3; a multiple of 4, the scale of level 3."""
CELL = 32
POOLED = {f"conv{level}_{index}" for level, block in enumerate(ENCODER, 1) for index in range(1, len(block) + 1)}
"""Convolutions before a pooling."""


def _convolve_to_one(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution to one channel, float32, in a third of the time of a general kernel.

    Each tap is a matrix product; the shifted results are summed.
    """
    _, channels, height, width = x.shape
    taps = layer.weight[0].flatten(1).flip(1).t()
    pixels = x[0].flatten(1) if x.is_contiguous() else x.permute(0, 2, 3, 1).reshape(-1, channels).t()
    maps = taps @ pixels
    size, padding = cast(tuple[int, int], layer.kernel_size), cast(tuple[int, int], layer.padding)
    total = F.fold(maps.float()[None], (height, width), size, padding=padding)
    return total if layer.bias is None else total + layer.bias.float()


def _runs(flags: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Begin and end of each run of True."""
    begin = None
    for index, flag in enumerate((*flags, False)):
        if flag and begin is None:
            begin = index
        elif not flag and begin is not None:
            yield begin, index
            begin = None


def windows(trimap: Tensor, strip: int, everywhere: bool = False) -> Iterator[tuple[int, int, int, int]]:
    """Windows (top, bottom, left, right) near unknown pixels, or over all pixels: strips of rows, CELL columns or more.

    trimap: [1, 1, H, W], W a multiple of CELL.
    """
    unknown = (everywhere | unknown_region(trimap))[0, 0]
    height = len(unknown)
    for top in range(0, height, strip):
        bottom = min(top + strip, height)
        # Two pixels more, for the interpolation of an alpha that is resized later.
        columns = unknown[max(top - 2, 0) : bottom + 2].any(dim=0)
        columns = F.max_pool1d(columns.float()[None], 5, stride=1, padding=2)[0] > 0
        for begin, end in _runs(columns.view(-1, CELL).any(dim=1).tolist()):
            yield top, bottom, begin * CELL, end * CELL


class FastDIM(nn.Module):
    """The fast form of DIM, for one picture at a time. Where a whole neighbourhood is known, alpha is the trimap's."""

    stride, reach, first_look, correction = DIM.stride, DIM.reach, DIM.first_look, DIM.correction
    enlarge_up_to, shrink_from = DIM.enlarge_up_to, DIM.shrink_from
    mean: Tensor
    std: Tensor

    def __init__(self, model: DIM, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.layout = layout(model.device, dtype)
        self.net = copy.deepcopy(model).to(dtype).to(memory_format=self.layout).eval().requires_grad_(False)
        self.config, self.dtype = model.config, dtype
        self.bytes_a_pixel = 250 * dtype.itemsize
        self.register_buffer("mean", model.mean, persistent=False)
        self.register_buffer("std", model.std, persistent=False)

    @property
    def device(self) -> torch.device:
        return self.mean.device

    def begin(self, image: np.ndarray, trimap: np.ndarray) -> WindowsNearUnknown:
        """See deepmat.inference.predictor.Predictor.begin."""
        return WindowsNearUnknown(self, image, trimap)

    def forward(self, image: Tensor, trimap: Tensor, everywhere: bool = False) -> dict[str, Tensor]:
        """{"alpha": float32 [1, 1, H, W] in [0, 1]} of a picture.

        image: RGB [1, 3, H, W]; trimap: [1, 1, H, W] of 0, 128, 255; both 0 ... 255, H and W multiples of 32.
        everywhere: compute alpha also where a whole neighbourhood is known.
        """
        height, width = trimap.shape[2:]
        seen = self._see(image, trimap)
        x, features = self._down(seen)
        alpha = (trimap / 255).float()
        for top, bottom, left, right in windows(trimap, 128 if x.device.type == "cpu" else 1024, everywhere):
            t, b = max(top - HALO, 0), min(bottom + HALO, height)
            l, r = max(left - HALO, 0), min(right + HALO, width)  # noqa: E741
            parts = [
                part[..., t // scale : b // scale, l // scale : r // scale].contiguous(memory_format=self.layout)
                for part, scale in ((x, 4), (features[1], 2), (features[0], 1), (seen[:, :3], 1))
            ]
            found = self._finish(*parts)
            alpha[..., top:bottom, left:right] = found[..., top - t : bottom - t, left - l : right - l]
        return {"alpha": alpha}

    def _see(self, image: Tensor, trimap: Tensor) -> Tensor:
        rgb = (image / 255 - self.mean) / self.std
        return torch.cat((rgb, trimap / 255), dim=1).to(self.dtype, memory_format=self.layout)

    def _layer(self, name: str) -> nn.Conv2d:
        return cast(nn.Conv2d, self.net.get_submodule(name))

    def _convolve(self, name: str, x: Tensor) -> Tensor:
        # Of four almost equal features a rounding error decides which one is the largest, and where it is put back.
        return convolve(self._layer(name), x, exact=name in POOLED)

    def _logit(self, name: str, x: Tensor) -> Tensor:
        return _convolve_to_one(self._layer(name), x)

    def _pool(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2)

    def _unpool(self, level: int, x: Tensor, features: Tensor) -> Tensor:
        """x at the place of the largest of each four features; with skip connections, plus the features."""
        _, indices = F.max_pool2d(features, 2, return_indices=True)
        x = F.max_unpool2d(x, indices, [2, 2])
        return x.add_(features) if self.net.skip else x

    def _down(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The output of the decoder's level 3, at a quarter of the size, and the features of levels 1 and 2."""
        features = []
        for level, block in enumerate(ENCODER, start=1):
            for index in range(1, len(block) + 1):
                x = self._convolve(f"conv{level}_{index}", x)
            features.append(x)
            x = self._pool(x)
        x = self._convolve("deconv6_1", self._convolve("conv6_1", x))
        for level in (5, 4, 3):
            x = self._up(level, x, features.pop())
        return x, features

    def _up(self, level: int, x: Tensor, features: Tensor) -> Tensor:
        return self._convolve(f"deconv{level}_1", self._unpool(level, x, features))

    def _finish(self, x: Tensor, features2: Tensor, features1: Tensor, rgb: Tensor) -> Tensor:
        """Alpha of a window from the output of level 3 in it."""
        x = self._up(1, self._up(2, x, features2), features1)
        logit = self._logit("deconv1", x)
        alpha = torch.sigmoid(logit)
        if not self.net.refine:
            return alpha
        x = self._see_again(rgb, alpha)
        for name in ("refine_conv1", "refine_conv2", "refine_conv3"):
            x = self._convolve(name, x)
        return torch.sigmoid(logit + self._logit("refine_pred", x))

    def _see_again(self, rgb: Tensor, alpha: Tensor) -> Tensor:
        return torch.cat((rgb, alpha.to(rgb.dtype)), dim=1).contiguous(memory_format=self.layout)
