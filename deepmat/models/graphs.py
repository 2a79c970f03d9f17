"""Networks written as one graph of ONNX operators, for any picture size: what `deepmat export` writes.

A graph makes no choice in Python: where a network's own code branches on a size, its graph computes both and selects.
Only operators that every runtime has are used. (torch's own exporter needs minutes to reason about the sizes of lite's
three views, each of which depends on the one before.)

`op` is an OpBuilder of onnxscript: `op.Conv(x, ...)` adds a node and returns its output. While a graph is built, its
values take part in arithmetic with each other and with numbers. Sizes are int64 [1], pictures float32 [1, C, H, W].
"""

from collections.abc import Callable, Mapping
from typing import Any

OPSET = 18
"""Of the operators."""
STRIDE = 32
Value = Any
"""A tensor of the graph, an onnx_ir.Value."""
Op = Any
"""What adds nodes to the graph, an onnxscript.OpBuilder."""
Network = Callable[[Op, Mapping[str, Value], Value, Value], Value]
"""(op, weights by name, RGB 0 ... 255 [1, 3, H, W], trimap of 0, 128, 255 [1, 1, H, W]) -> alpha [1, 1, H, W]; H and W
are multiples of STRIDE."""


def size_of(op: Op, x: Value) -> tuple[Value, Value]:
    """Height and width of [..., H, W], int64 [1] each."""
    shape = op.Shape(x)
    return op.Slice(shape, [-2], [-1]), op.Slice(shape, [-1], [1 << 31])


def up(op: Op, value: Value, divisor: Value | int) -> Value:
    """Divide positive whole numbers, rounding up."""
    return (value + (divisor - 1)) / divisor


def floats(op: Op, x: Value) -> Value:
    """As float32."""
    return op.Cast(x, to=1)


def at_least(op: Op, x: Value, least: float) -> Value:
    """The larger of a float tensor and a number."""
    return op.Max(x, float(least))


def unit(op: Op, x: Value) -> Value:
    """Clip to [0, 1]."""
    return op.Clip(x, 0.0, 1.0)


def parts(op: Op, x: Value, sizes: tuple[int, ...]) -> tuple[Value, ...]:
    """Cut channels into parts of these sizes."""
    return tuple(op.Split(x, [*sizes], axis=1, _outputs=len(sizes)))


def count_up(op: Op, end: Value) -> Value:
    """0, 1 ... end - 1, int64 [end]; end: int64 [1]."""
    return op.Range(0, op.Squeeze(end), 1)


def cut(op: Op, x: Value, height: Value, width: Value) -> Value:
    """The first rows and columns of [1, C, H, W]."""
    return op.Slice(x, [0, 0], op.Concat(height, width, axis=0), [2, 3])


def repeat_edge(op: Op, x: Value, below: Value, beside: Value) -> Value:
    """Repeat the last row and column of [1, C, H, W] so many times."""
    return op.Pad(x, op.Concat([0, 0, 0, 0, 0, 0], below, beside, axis=0), mode="edge")


def halved(op: Op, x: Value) -> Value:
    """Means of 2 x 2 pixels of a picture with even sides."""
    return op.AveragePool(x, kernel_shape=[2, 2], strides=[2, 2])


def doubled(op: Op, x: Value, mode: str) -> Value:
    """Twice as large: mode "nearest", or "linear" as torch interpolates without aligned corners."""
    way = {"coordinate_transformation_mode": "half_pixel"}
    if mode == "nearest":
        way = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return op.Resize(x, None, [1.0, 1.0, 2.0, 2.0], mode=mode, **way)


def stretched(op: Op, x: Value, channels: int, height: Value, width: Value) -> Value:
    """[1, channels, H, W] at another size, by bilinear interpolation."""
    sizes = op.Concat([1, channels], height, width, axis=0)
    return op.Resize(x, None, None, sizes, mode="linear", coordinate_transformation_mode="half_pixel")


def convolve(op: Op, weights: Mapping[str, Value], name: str, x: Value, stride: int = 1) -> Value:
    """A convolution with zeros beyond the border, half its kernel wide, in the type of its weights."""
    kernel = weights[f"{name}.weight"]
    side = kernel.shape[-1] // 2
    pads, strides = [side] * 4, [stride] * 2
    x = x if x.dtype == kernel.dtype else op.Cast(x, to=int(kernel.dtype))
    return op.Conv(x, kernel, weights[f"{name}.bias"], pads=pads, strides=strides)


def _mirrored(op: Op, index: Value, side: Value) -> Value:
    """Indices beyond a side, mirrored at its last pixel and again at its first (OpenCV's BORDER_REFLECT_101)."""
    last = side - 1
    within = op.Mod(index, op.Max(last * 2, [1]))
    return op.Min(within, op.Max(last * 2 - within, [0]))


def whole(op: Op, weights: Mapping[str, Value], network: Network, image: Value, trimap: Value, enlarge: Value) -> Value:
    """Alpha, float32 [H, W] in [0, 1], by a network and all that `predict --mode whole` does around it.

    image: uint8 RGB [H, W, 3]; trimap: uint8 [H, W], its levels are taken as the nearest of 0, 128, 255, and where it
    is known, it is the alpha; enlarge: int64 [1], pictures of up to so many pixels a side are seen at twice their size.
    """
    height, width = size_of(op, trimap)
    times = op.Cast(op.LessOrEqual(op.Max(height, width), enlarge), to=7) + 1
    rows, columns = (
        _mirrored(op, count_up(op, up(op, side * times, STRIDE) * STRIDE), side * times) / times
        for side in (height, width)
    )
    levels = floats(op, trimap)
    foreground, background = (floats(op, side) for side in (op.Greater(levels, 191.0), op.Less(levels, 64.0)))
    levels = foreground * 127.0 - background * 128.0 + 128.0
    planes = op.Transpose(image, perm=[2, 0, 1])
    shown, guide = (op.Gather(op.Gather(x, rows, axis=-2), columns, axis=-1) for x in (planes, levels))
    alpha = network(op, weights, op.Unsqueeze(floats(op, shown), [0]), op.Unsqueeze(guide, [0, 1]))
    alpha = op.Squeeze(alpha, [0, 1])
    for axis, side in enumerate((height, width)):  # the mean of what was seen twice
        first = count_up(op, side) * times
        alpha = (op.Gather(alpha, first, axis=axis) + op.Gather(alpha, first + times - 1, axis=axis)) * 0.5
    known = op.Not(op.Equal(levels, 128.0))
    return op.Where(known, foreground, unit(op, alpha))
