"""onnxruntime: how it is loaded."""

import os

from deepmat.runtime import onnx


def test_onnxruntime_reports_nothing_to_its_makers(monkeypatch):
    monkeypatch.delenv(onnx.NO_TELEMETRY, raising=False)
    monkeypatch.setattr(onnx, "import_module", lambda name: {**os.environ})  # what it sees when it is imported
    assert onnx.runtime()["ORT_DISABLE_TELEMETRY"] == "1"  # its own name for it
