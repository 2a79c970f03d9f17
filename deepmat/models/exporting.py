"""Networks as ONNX files: the graph of each with weights, and what the file says of itself."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypedDict, cast

import numpy as np
from torch import nn

from deepmat import __version__
from deepmat.config import ModelConfig
from deepmat.errors import ConfigError
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
    reach: int
    bytes_a_pixel: int


GRAPHS: dict[str, Exportable] = {
    "dim": {
        "graph": lambda model: partial(dim, skip=model.skip, refine=model.refine),
        "reach": 224,
        "bytes_a_pixel": 1300,
    },
    "lite": {"graph": lambda model: lite, "reach": EVERYWHERE, "bytes_a_pixel": 850},
}
"""Networks that can be exported, by arch."""


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


def to_onnx(model: nn.Module, said: Mapping[str, str]) -> bytes:
    """The ONNX file of a network, float32, for pictures of any size. said: further metadata.

    Raises ConfigError for a network that cannot be exported.
    """
    check_exportable(model)
    onnx, ir, onnxscript = _packages()
    graph = ir.Graph([], [], nodes=[], opset_imports={"": OPSET}, name=cast(ModelConfig, model.config).arch)
    builder = onnxscript.GraphBuilder(graph)
    before = ir.set_value_magic_handler(builder.op)
    try:
        _fill(ir, builder, model)
    finally:
        ir.set_value_magic_handler(before)
    program = ir.Model(graph, ir_version=IR, producer_name="deepmat", producer_version=__version__)
    program.metadata_props.update(_metadata(model), **said)
    proto = ir.to_proto(program)
    onnx.checker.check_model(proto)
    return cast(bytes, proto.SerializeToString())


def _fill(ir: Any, builder: Any, model: Any) -> None:
    """Add inputs, weights, nodes and the output to the graph."""
    weights = {
        name: builder.initializer(ir.tensor(value.detach().float().cpu().numpy(), name=name), name)
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
