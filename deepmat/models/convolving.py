"""Convolutions, by the library and in the order of memory that are fastest on the processor."""

import math
from typing import cast

import torch
from torch import Tensor, nn

LAST = torch.channels_last
WORKSPACE = 48e6
"""Bytes that NNPACK may take at once. Each thread keeps them for ever."""
TILE = 8
"""NNPACK transforms tiles of 8 x 8 pixels."""


def _nnpack_pays() -> bool:
    """Whether NNPACK is there and faster than oneDNN.

    With Winograd's and Fourier's transforms it needs two to four times fewer multiplications; with AVX-512 oneDNN
    does them twice as fast, and has bfloat16 in newer processors. Asking for NNPACK also starts it.
    """
    return torch.backends.cpu.get_cpu_capability() == "AVX2" and torch.backends.nnpack.is_available()


NNPACK_PAYS = _nnpack_pays()


def layout(device: torch.device, dtype: torch.dtype) -> torch.memory_format:
    """The order of memory in which `convolve` and training are fastest: channels last, or first where NNPACK pays.

    There oneDNN needs half the time for the gradients of weights.
    """
    by_nnpack = NNPACK_PAYS and device.type == "cpu" and dtype == torch.float32
    return torch.contiguous_format if by_nnpack else LAST


def _mkldnn_has(dtype: torch.dtype) -> bool:
    """Whether oneDNN's fused convolutions take the type; they refuse bfloat16 on processors without units for it."""
    return dtype == torch.float32 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _nnpack_has(layer: nn.Conv2d, x: Tensor) -> bool:
    """Whether NNPACK does the convolution, and faster: with strides, or by 1 x 1, it is slower."""
    side = layer.kernel_size[0]
    plain = layer.stride == layer.dilation == (1, 1) and layer.groups == 1 and layer.padding == (side // 2, side // 2)
    return plain and layer.kernel_size in ((3, 3), (5, 5)) and layout(x.device, x.dtype) is not LAST


def convolve(layer: nn.Conv2d, x: Tensor, onto: Tensor | None = None, *, exact: bool = False) -> Tensor:
    """The ReLU of a convolution; with `onto`, of the convolution plus `onto`, written to `onto`.

    x: [N, C, H, W]; in float32 on a CPU [1, C, H, W]. exact: not by transforms, whose error is about 1e-4 of the
    features' size.
    """
    if not exact and _nnpack_has(layer, x):
        return _by_nnpack(layer, x, onto)
    if x.device.type == "cpu" and hasattr(torch.ops.mkldnn, "_convolution_pointwise") and _mkldnn_has(x.dtype):
        geometry = [*cast(tuple[int, int], layer.padding)], [*layer.stride], [*layer.dilation], layer.groups
        operands = x, layer.weight, layer.bias, *geometry
        if onto is None:
            return torch.ops.mkldnn._convolution_pointwise(*operands, "relu", [], "")
        return torch.ops.mkldnn._convolution_pointwise_(onto, *operands, "add", 1.0, "relu", [], None)
    return (layer(x) if onto is None else onto.add_(layer(x))).relu_()


def _by_nnpack(layer: nn.Conv2d, x: Tensor, onto: Tensor | None) -> Tensor:
    """`convolve` in bands of rows, so that the transformed pixels fit into WORKSPACE."""
    (_, channels, height, width), side = x.shape, layer.kernel_size[0]
    inner = TILE + 1 - side
    row = 4 * (channels + layer.out_channels) * width * (TILE / inner) ** 2
    bands = math.ceil(height * row / WORKSPACE)
    step = -(-math.ceil(height / bands) // inner) * inner
    halo = side // 2
    out = x.new_empty(1, layer.out_channels, height, width) if onto is None and step < height else onto
    for top in range(0, height, step):
        begin, bottom = max(top - halo, 0), min(top + step, height)
        band = x[:, :, begin : min(bottom + halo, height)]
        found = torch._nnpack_spatial_convolution(band, layer.weight, layer.bias, (halo, halo), (1, 1))
        found = found[:, :, top - begin : bottom - begin]
        if out is None:
            return found.relu_()
        if onto is None:
            torch.clamp_min(found, 0, out=out[:, :, top:bottom])
        else:
            onto[:, :, top:bottom].add_(found).relu_()
    return cast(Tensor, out)
