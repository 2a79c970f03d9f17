"""Sessions of onnxruntime, for all that ONNX files are used for."""

import os
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from deepmat.errors import ConfigError

PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")


NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"
"""Variable of the environment without which onnxruntime, from 1.29 on, reports its use to its makers. It has to be set
before the import."""


def runtime(what: str = "finders that are networks", extra: str = "cut") -> ModuleType:
    """Return onnxruntime. Raises ConfigError where it is missing. what: needs it; extra: of deepmat, installs it."""
    os.environ.setdefault(NO_TELEMETRY, "1")
    try:
        return import_module("onnxruntime")
    except ImportError as error:
        raise ConfigError(f"{what} need onnxruntime: pip install 'deepmat[{extra}]'") from error


def open_session(onnxruntime: ModuleType, source: Path | bytes, threads: int, gpu: bool = True) -> Any:
    """Return the session of an ONNX file or its bytes, on the GPU if onnxruntime's build has CUDA and `gpu` allows it.

    Raises any exception: onnxruntime's have no base class of their own.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # on a busy machine it only heats
    options.log_severity_level = 4  # errors are raised, not printed too
    there = onnxruntime.get_available_providers()
    providers = [name for name in PROVIDERS if name in there and (gpu or name == PROVIDERS[1])]
    return onnxruntime.InferenceSession(source, options, providers=providers)


def first_line(error: Exception) -> str:
    """Return the end of the first line of an exception of onnxruntime, which begins with codes and paths."""
    lines = str(error).strip().splitlines()
    return lines[0].rpartition(" : ")[2][:160] if lines else type(error).__name__
