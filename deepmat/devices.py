"""Which device the network runs on: asked for by name, never changed silently."""

import torch

from deepmat.errors import DeviceError


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name, auto being the first of cuda, mps, cpu; DeviceError for one that is not here."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"device {name!r}: unknown; use auto, {', '.join(available)} or cuda:N") from error
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if not available.get(device.type) or (device.index or 0) >= count:
        there = ", ".join(kind for kind, there in available.items() if there)
        raise DeviceError(f"device {name!r} is not available here (torch {torch.__version__}); there is: {there}")
    return device


def describe_device(device: torch.device) -> str:
    """The device in words: its name, or the number of threads."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)" if device.type == "cpu" else str(device)
