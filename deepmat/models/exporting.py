"""Networks as ONNX files: the graph of each with weights, and what the file says of itself."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypedDict, cast

import numpy as np
from torch import Tensor, nn

from deepmat import __version__
from deepmat.config import ModelConfig
from deepmat.errors import ConfigError, lookup
from deepmat.models import describe_model
from deepmat.models.dim.graph import dim
from deepmat.models.graphs import OPSET, Network, whole
from deepmat.models.lite.graph import lite
from deepmat.models.onnx import EVERYWHERE

IR = 8
"""Of the file format: the one of OPSET's time."""
TAKES = (
    "image: uint8 RGB [height, width, 3]; trimap: uint8 [height, width] of 0 background, 128 unknown, 255 foreground; "
    "enlarge_up_to (may be left out): int64 [1], pictures of up to so many pixels a side are seen at twice their size"
)
GIVES = "alpha: float32 [height, width], 0 to 1; exactly 0 and 1 where the trimap is known"


class Exportable(TypedDict):
    """How a network is exported: its graph, and its `reach` and `bytes_a_pixel` as an ONNX file."""

    graph: Callable[[Any], Network]
    exact: tuple[str, ...]
    """Beginnings of the names of weights that stay float32: those of the layers that make alpha."""
    reach: int
    bytes_a_pixel: int
    moved: float
    """The share of pixels whose alpha may differ: pooling takes the larger of two features, perhaps by rounding."""


GRAPHS: dict[str, Exportable] = {
    "dim": {
        "graph": lambda model: partial(dim, skip=model.skip, refine=model.refine),
        "exact": ("deconv1.", "refine_pred."),
        "reach": 224,
        "bytes_a_pixel": 1300,
        "moved": 0.01,
    },
    "lite": {"graph": lambda model: lite, "exact": ("head.",), "reach": EVERYWHERE, "bytes_a_pixel": 850, "moved": 0.0},
}
"""Networks that can be exported, by arch."""
PRECISIONS = {
    "fp32": "weights and computing in float32",
    "fp16": "weights and convolutions in float16, the rest in float32",
    "int8": "weights in int8, a scale for each output channel; computing in float32",
}
"""Precisions of an ONNX file, and what they mean."""


def check_exportable(model: nn.Module) -> None:
    """Raise ConfigError for a network without a graph, or where a package is missing."""
    config = cast(ModelConfig, getattr(model, "config", None))
    if config is None or config.arch not in GRAPHS:
        name = describe_model(model)
        raise ConfigError(f"{name}: cannot be exported; {' and '.join(GRAPHS)} can")
    _packages()


def _packages() -> tuple[Any, Any, Any]:
    try:
        import onnx
        import onnx_ir
        import onnxscript
    except ImportError as error:
        raise ConfigError(f"export needs {error.name}: pip install 'deepmat[export]'") from error
    return onnx, onnx_ir, onnxscript


def to_onnx(model: nn.Module, said: Mapping[str, str], precision: str = "fp32") -> bytes:
    """The ONNX file of a network for pictures of any size. said: further metadata; precision: one of PRECISIONS.

    Raises ConfigError for a network that cannot be exported, or another precision.
    """
    lookup(PRECISIONS, precision, "precision")
    check_exportable(model)
    onnx, ir, onnxscript = _packages()
    graph = ir.Graph([], [], nodes=[], opset_imports={"": OPSET}, name=cast(ModelConfig, model.config).arch)
    builder = onnxscript.GraphBuilder(graph)
    before = ir.set_value_magic_handler(builder.op)
    try:
        _fill(ir, builder, model, precision)
    finally:
        ir.set_value_magic_handler(before)
    program = ir.Model(graph, ir_version=IR, producer_name="deepmat", producer_version=__version__)
    ir.passes.common.RemoveUnusedNodesPass()(program)  # weights of parts that the graph lacks
    program.metadata_props.update(_metadata(model), precision=PRECISIONS[precision], **said)
    proto = ir.to_proto(program)
    onnx.checker.check_model(proto)
    return cast(bytes, proto.SerializeToString())


def _stored(ir: Any, builder: Any, name: str, weight: Tensor, precision: str) -> Any:
    """A weight as a value of the graph: float32, float16, or float32 from int8."""
    numbers = weight.detach().float().cpu().numpy()
    if precision == "int8" and numbers.ndim == 4:
        scale = np.abs(numbers).max((1, 2, 3), keepdims=True, initial=1e-30) / np.float32(127)
        parts = {f"{name}.int8": np.rint(numbers / scale).astype(np.int8), f"{name}.scale": scale}
        whole, scales = (builder.initializer(ir.tensor(part, name=key), key) for key, part in parts.items())
        made = builder.op.Cast(whole, to=1) * scales  # runtimes compute it once, as they load the file
        made.shape, made.type = ir.Shape(numbers.shape), ir.TensorType(ir.DataType.FLOAT)
        return made
    kept = numbers.astype(np.float16 if precision == "fp16" else np.float32)
    return builder.initializer(ir.tensor(kept, name=name), name)


def _fill(ir: Any, builder: Any, model: Any, precision: str) -> None:
    """Add inputs, weights, nodes and the output to the graph."""
    exact = GRAPHS[model.config.arch]["exact"]
    weights = {
        name: _stored(ir, builder, name, value, "fp32" if name.startswith(exact) else precision)
        for name, value in model.state_dict().items()
    }
    byte, number = ir.DataType.UINT8, ir.tensor(np.array([model.enlarge_up_to], np.int64), name="enlarge_up_to")
    image = builder.input("image", byte, ["height", "width", 3])
    trimap = builder.input("trimap", byte, ["height", "width"])
    enlarge = builder.input("enlarge_up_to", ir.DataType.INT64, [1], const_value=number)
    network = GRAPHS[model.config.arch]["graph"](model)
    alpha = whole(builder.op, weights, network, image, trimap, enlarge)
    alpha.shape, alpha.type = ir.Shape(["height", "width"]), ir.TensorType(ir.DataType.FLOAT)
    builder.add_output(alpha, "alpha")


def _metadata(model: Any) -> dict[str, str]:
    about = GRAPHS[model.config.arch]
    contract = {
        "stride": model.stride,
        "reach": about["reach"],
        "bytes_a_pixel": about["bytes_a_pixel"],
        "enlarge_up_to": model.enlarge_up_to,
        "shrink_from": model.shrink_from,
        "corrected": model.correction is not None,
    }
    return {
        "deepmat": __version__,
        "network": describe_model(model),
        "takes": TAKES,
        "gives": GIVES,
        "opset": str(OPSET),
        "contract": json.dumps(contract),
    }
