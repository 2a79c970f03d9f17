"""FastDIM in 8-bit integers, for CPUs that multiply them twice as fast as bf16 (VNNI).

Every convolution reads and writes uint8: after ReLU no value is negative. A value is its integer times the unit of its
channel times the gain of its layer. Units are measured once, on procedural scenes, and folded into the weights. Gains
depend on the picture: a layer that reads larger values than in the scenes is assumed to write larger ones. Values that
are still too large saturate.
"""

from collections.abc import Iterator
from functools import partial
from itertools import chain, pairwise
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from deepmat import synth
from deepmat.errors import CheckpointError
from deepmat.imaging import trimap as trimaps
from deepmat.models.convolving import LAST
from deepmat.models.dim.fast import FastDIM
from deepmat.models.dim.network import DIM, ENCODER

SCENES, SIDE = 4, 192
MARGIN = 1.5
"""Factor by which a layer's values may grow beyond those in the scenes, relative to its input, before they saturate."""
LEAST_GAIN = 0.05
"""Least gain: the bias of a layer writes values even where its input is almost zero."""

_ENCODER = [f"conv{level}_{index}" for level, block in enumerate(ENCODER, 1) for index in range(1, len(block) + 1)]
_DECODER = ["conv6_1", "deconv6_1", *(f"deconv{level}_1" for level in range(5, 0, -1)), "deconv1"]
_REFINEMENT = ["refine_conv1", "refine_conv2", "refine_conv3", "refine_pred"]
READER = dict(chain.from_iterable(map(pairwise, (_ENCODER + _DECODER, _REFINEMENT))))
"""The convolution that reads the output of another one, perhaps pooled or unpooled."""
FIRST = ("conv1_1", "refine_conv1")
"""They read the picture in 8 bits; its normalisation is folded into their weights."""
SKIPPED = {f"deconv{level}_1": f"conv{level + 1}_1" for level in range(1, 6)}
"""Layers of the decoder to which features are added, and the other reader of these features."""


def _scenes() -> Iterator[tuple[Tensor, Tensor]]:
    for seed in range(SCENES):
        fg, alpha, bg = synth.scene(np.random.default_rng(seed), SIDE, SIDE)
        share = alpha[..., None] / np.float32(255)
        image = torch.from_numpy(fg * share + bg * (1 - share)).round()
        yield image.permute(2, 0, 1)[None], torch.from_numpy(trimaps.from_alpha(alpha, 3, 10))[None, None]


@torch.inference_mode()
def _peaks(model: nn.Module) -> dict[str, Tensor]:
    """The largest number in each channel, [C], that each convolution reads in the scenes."""
    peaks: dict[str, Tensor] = {}

    def look(name: str, layer: nn.Module, inputs: tuple[Tensor]) -> None:
        found = inputs[0].amax(dim=(0, 2, 3))
        peaks[name] = torch.maximum(found, peaks.get(name, found))

    hooks = [layer.register_forward_pre_hook(partial(look, name)) for name, layer in _convolutions(model)]
    for image, trimap in _scenes():
        model(image, trimap)
    for hook in hooks:
        hook.remove()
    return peaks


def _convolutions(model: nn.Module) -> list[tuple[str, nn.Conv2d]]:
    return [(name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d)]


class Int8DIM(FastDIM):
    """As FastDIM, on a CPU, one call at a time. Raises CheckpointError for weights that give no finite values."""

    def __init__(self, model: DIM) -> None:
        super().__init__(model)
        self.layout = LAST
        self.bytes_a_pixel = 230
        peaks = _peaks(self.net)
        if not all(peak.isfinite().all() for peak in peaks.values()):
            raise CheckpointError("the network's numbers are not finite; its weights are broken")
        # The power lies between one unit for all channels and trusting a few scenes with each of them.
        tops = {name: peak.max().clamp(min=1e-6) for name, peak in peaks.items()}
        self.units = {name: top / 255 * (peaks[name] / top).clamp(min=1 / 255) ** 0.75 for name, top in tops.items()}
        self.zero = torch.cat((self.mean * 255, torch.zeros(1, 1, 1, 1)), dim=1)
        normalised = 1 / torch.cat((self.std.flatten() * 255, torch.tensor([255.0])))
        self.units |= dict.fromkeys(FIRST, normalised)
        self.gains = dict.fromkeys(FIRST, 1.0)
        self.packed = {name: self._pack(name, layer) for name, layer in _convolutions(self.net)}
        for _, layer in _convolutions(self.net):
            layer.register_parameter("weight", None)

    def _pack(self, name: str, layer: nn.Conv2d) -> tuple[Any, ...]:
        """The arguments of qconv_pointwise that describe a layer."""
        weight, bias = layer.weight * self.units[name].view(1, -1, 1, 1), cast(Tensor, layer.bias)
        if name in READER:
            unit = self.units[READER[name]]
            weight, bias = weight / unit.view(-1, 1, 1, 1), bias / unit
        scale = (weight.abs().amax(dim=(1, 2, 3), keepdim=True) / 127).clamp(min=1e-12)
        # Rounded so that each filter's sum stays right: even areas, the trimap's above all, come out as they were.
        sums = (weight / scale).flatten(2).cumsum(dim=2).round()
        whole = torch.diff(sums, dim=2, prepend=torch.zeros_like(sums[..., :1])).clamp(-127, 127).view(weight.shape)
        padding = [*cast(tuple[int, int], layer.padding)]
        if name in FIRST:
            bias, padding = bias - (whole * scale * self.zero).sum(dim=(1, 2, 3)), [0, 0]
        geometry = [1, 1], padding, [1, 1], 1
        scale = scale.flatten()
        packed = torch.ops.onednn.qconv_prepack(whole.to(torch.int8), scale, 1.0, 0, *geometry)
        return packed, scale, torch.zeros(len(scale), dtype=torch.int32), bias, *geometry

    def _see(self, image: Tensor, trimap: Tensor) -> Tensor:
        return torch.cat((image, trimap), dim=1).to(torch.uint8, memory_format=LAST)

    def _see_again(self, rgb: Tensor, alpha: Tensor) -> Tensor:
        return super()._see_again(rgb, (alpha * 255).round())

    def _convolve(self, name: str, x: Tensor) -> Tensor:
        gain, reader = self.gains[name], READER[name]
        if name in FIRST:
            _, channels, height, width = x.shape
            frame = self.zero.round().to(torch.uint8).expand(1, channels, height + 2, width + 2)
            frame = frame.contiguous(memory_format=LAST)
            frame[..., 1:-1, 1:-1] = x
            x, grown = frame, MARGIN
        else:
            grown = max(LEAST_GAIN, MARGIN * gain * int(x.amax()) / 255)
        if self.net.skip and reader in SKIPPED:
            grown = max(grown, self.gains[SKIPPED[reader]])  # room for the features too
        self.gains[reader] = grown
        return torch.ops.onednn.qconv_pointwise(x, gain, 0, *self.packed[name], grown, 0, torch.uint8, "relu", [], "")

    def _logit(self, name: str, x: Tensor) -> Tensor:
        gain = self.gains[name]
        return torch.ops.onednn.qconv_pointwise(x, gain, 0, *self.packed[name], 1.0, 0, torch.float32, "none", [], "")

    def _pool(self, x: Tensor) -> Tensor:
        x = torch.maximum(x[..., ::2, :], x[..., 1::2, :])
        return torch.maximum(x[..., ::2], x[..., 1::2])

    def _unpool(self, level: int, x: Tensor, features: Tensor) -> Tensor:
        pooled = self._pool(features)
        if self.net.skip:
            total = self._rescale(features, level)
            x = torch.minimum(x, ~self._pool(total))  # the sum saturates, where it would begin again at 0
        else:
            total = torch.zeros_like(features)
        free = torch.ones_like(pooled, dtype=torch.bool)
        for row in (0, 1):
            for column in (0, 1):
                largest = (features[..., row::2, column::2] == pooled) & free
                free ^= largest
                total[..., row::2, column::2] += x * largest
        return total

    def _rescale(self, features: Tensor, level: int) -> Tensor:
        """Features in the unit and gain of the sum, which are no smaller; in 16 bits: 255 x 128 + 64 < 2^15."""
        theirs, ours = (self.units[name] * self.gains[name] for name in (f"conv{level + 1}_1", f"deconv{level}_1"))
        ratio = (theirs / ours * 128).round().clamp(max=128).short().view(1, -1, 1, 1)
        return features.short().mul_(ratio).add_(64).bitwise_right_shift_(7).to(torch.uint8)
