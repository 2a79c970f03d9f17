"""Networks as graphs that onnxruntime runs."""

from deepmat.models.exporting import to_onnx
from deepmat.models.onnx import OnnxNetwork


def graph_of(model, precision="fp32"):
    return OnnxNetwork(to_onnx(model, {}, precision), "graph")
