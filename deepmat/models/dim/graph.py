"""Deep Image Matting as a graph of ONNX operators (deepmat.models.graphs)."""

from collections.abc import Mapping

from deepmat.models.dim.network import ENCODER
from deepmat.models.graphs import Op, Value, convolve, parts

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
"""Of ImageNet's colours in 0 ... 1, as in deepmat.models.dim.network."""


def dim(op: Op, weights: Mapping[str, Value], image: Value, trimap: Value, *, skip: bool, refine: bool) -> Value:
    """See deepmat.models.graphs.Network. skip, refine: the network's options."""
    scale, shift = [1 / (255 * std) for std in STD], [mean / std for mean, std in zip(MEAN, STD, strict=True)]
    rgb = image * op.Reshape(scale, [1, 3, 1, 1]) - op.Reshape(shift, [1, 3, 1, 1])
    x, levels = op.Concat(rgb, trimap * (1 / 255), axis=1), []
    for level, block in enumerate(ENCODER, start=1):
        for index in range(1, len(block) + 1):
            x = _layer(op, weights, f"conv{level}_{index}", x)
        levels.append(x)
        x = op.MaxPool(x, kernel_shape=[2, 2], strides=[2, 2])
    x = _layer(op, weights, "deconv6_1", _layer(op, weights, "conv6_1", x))
    for level in range(len(ENCODER), 0, -1):
        x = _unpooled(op, x, levels[level - 1], weights[f"conv{level}_1.weight"].shape[0])
        x = _layer(op, weights, f"deconv{level}_1", x + levels[level - 1] if skip else x)
    logit = convolve(op, weights, "deconv1", x)
    if not refine:
        return op.Sigmoid(logit)
    x = op.Concat(rgb, op.Sigmoid(logit), axis=1)
    for name in ("refine_conv1", "refine_conv2", "refine_conv3"):
        x = _layer(op, weights, name, x)
    return op.Sigmoid(logit + convolve(op, weights, "refine_pred", x))


def _layer(op: Op, weights: Mapping[str, Value], name: str, x: Value) -> Value:
    return op.Relu(convolve(op, weights, name, x))


def _unpooled(op: Op, x: Value, features: Value, channels: int) -> Value:
    """x [1, C, h, w] at the place of the largest of each 2 x 2 features [1, C, 2h, 2w], the first of equals; else 0.

    Max-unpooling by comparison, since runtimes disagree about ONNX's MaxUnpool and the indices of its MaxPool.
    """
    cells = parts(op, op.SpaceToDepth(features, blocksize=2), (channels,) * 4)
    largest, taken, placed = op.Max(*cells), None, []
    for cell in cells:
        here = op.Equal(cell, largest)
        first = here if taken is None else op.And(here, op.Not(taken))
        taken = here if taken is None else op.Or(taken, here)
        placed.append(op.Where(first, x, 0.0))
    return op.DepthToSpace(op.Concat(*placed, axis=1), blocksize=2)
