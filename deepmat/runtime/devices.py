"""Device, precision and free memory. None of them is ever changed silently."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from deepmat.errors import DeviceError, lookup

if TYPE_CHECKING:
    import torch

PRECISIONS = ("fp32", "bf16", "int8")
"""Of prediction."""
TRAINING_PRECISIONS = ("fp32", "bf16", "fp16")
CGROUP = Path("/sys/fs/cgroup")


def pick_device(name: "str | torch.device" = "auto") -> "torch.device":
    """Return the device of that name; auto is the first of cuda, mps, cpu. Raises DeviceError if it is absent."""
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise DeviceError(f"device {name!r}: unknown; use auto, {', '.join(available)} or cuda:N") from error
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if not available.get(device.type) or (device.index or 0) >= count:
        there = ", ".join(kind for kind, there in available.items() if there)
        raise DeviceError(f"device '{device}' is not available here (torch {torch.__version__}); there is: {there}")
    return device


def describe_device(device: "torch.device") -> str:
    """Return the device's name for messages; of a CPU, its number of threads."""
    import torch

    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    threads = torch.get_num_threads()
    return f"cpu ({threads} thread{'s' * (threads > 1)})" if device.type == "cpu" else str(device)


def _computes_in_bf16(device: "torch.device") -> bool:
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    if hasattr(torch.cpu, "get_capabilities"):
        return any(there for name, there in torch.cpu.get_capabilities().items() if "bf16" in name)
    return bool(torch.cpu._is_avx512_bf16_supported())


def lacking_for_int8(device: "torch.device") -> str:
    """Return why the device cannot compute in int8; "" if it can."""
    import torch

    if device.type != "cpu":
        return "int8 is for CPUs"
    if not all(hasattr(torch.ops.onednn, operator) for operator in ("qconv_pointwise", "qconv_prepack")):
        return f"torch {torch.__version__} has no oneDNN convolution of that kind (qconv_pointwise)"
    if hasattr(torch.cpu, "get_capabilities"):
        there = any(has for name, has in torch.cpu.get_capabilities().items() if "vnni" in name)
    else:
        there = torch.cpu._is_vnni_supported()
    return "" if there else "this processor has no instructions for it (VNNI)"


def pick_precision(name: str, device: "torch.device") -> str:
    """Return the precision of prediction, one of PRECISIONS; auto is bf16 where that is faster, else fp32.

    Raises ConfigError for another name, DeviceError for int8 where the device or torch lacks it.
    """
    import torch

    if name == "auto":
        return "bf16" if _computes_in_bf16(device) else "fp32"
    lookup(dict.fromkeys(("auto", *PRECISIONS)), name, "precision")
    if name == "fp32":
        torch.backends.cudnn.allow_tf32 = False  # TF32, torch's default for float32 on GPUs, has 10 bits
    if name == "int8":
        lacking = lacking_for_int8(device)
        if lacking:
            raise DeviceError(f"precision int8 on {device}: {lacking}; use auto, bf16 or fp32")
    return name


def pick_training_precision(name: str, device: "torch.device") -> str:
    """Return the precision of training, one of TRAINING_PRECISIONS.

    auto is bf16 where that is faster, else fp16 on GPUs of NVIDIA and AMD, else fp32.

    Raises ConfigError for another name, DeviceError for one that the device does not train in.
    """
    import torch

    torch.backends.cudnn.allow_tf32 = False  # it would also affect the tests of a run, which are in float32
    if name == "auto":
        return "bf16" if _computes_in_bf16(device) else "fp16" if device.type == "cuda" else "fp32"
    lookup(dict.fromkeys(("auto", *TRAINING_PRECISIONS)), name, "train.precision")
    if name == "fp16" and device.type != "cuda":
        raise DeviceError(f"precision fp16 on {device}: gradients would underflow; use auto, bf16 or fp32")
    return name


def free_memory(device: "torch.device") -> int:
    """Return the number of bytes that can be allocated on the device; on a CPU, within a container's limit."""
    import torch

    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    free = psutil.virtual_memory().available
    with suppress(OSError, ValueError, KeyError):  # no container, or the limit "max"
        limit, used = (int((CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        kinds = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        free = min(free, max(0, limit - used + int(kinds["inactive_file"])))  # the file cache can be evicted
    return free
