"""Operations beyond arithmetic on planes, float32 [..., H, W]: for the CPU by OpenCV and NumPy, for others by torch.

`deepmat.imaging.foreground` is written once, over a Backend.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import cv2
import numpy as np

from deepmat.runtime.devices import pick_device


class Backend(NamedTuple):
    """The operations, and the size of the tiles in which a picture is done."""

    load: Callable[[np.ndarray, np.ndarray], Any]  # uint8 [H, W, 3] and any [H, W] -> planes [4, H, W]
    store: Callable[[Any], np.ndarray]  # planes [3, H, W] -> uint8 [H, W, 3], rounded
    join: Callable[[list[Any], int], Any]  # along an axis
    extend: Callable[[Any, int, int, int, int], Any]  # pad [C, H, W] by its edges: top, bottom, left, right
    halve: Callable[[Any], Any]  # means of 2x2 pixels
    double: Callable[[Any], Any]  # bilinear
    mean: Callable[[Any], Any]  # of the 3x3 pixels around each
    side: int  # of a tile, a multiple of foreground.STEP
    threads: int = 1  # the most that do tiles at once
    kernels: ModuleType | None = None  # compiled loops for tiles, in place of these operations


def _each(work: Callable[[np.ndarray, np.ndarray], Any], planes: np.ndarray, scale: float = 1) -> np.ndarray:
    """Apply `work(plane, out)` to each plane; out has `scale` times its size. Returns all of them."""
    height, width = planes.shape[-2:]
    made = np.empty((*planes.shape[:-2], int(height * scale), int(width * scale)), np.float32)
    for plane, out in zip(planes.reshape(-1, height, width), made.reshape(-1, *made.shape[-2:]), strict=True):
        work(plane, out)
    return made


def _load(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    planes = np.empty((4, *alpha.shape), np.float32)
    for plane, levels in zip(planes, (*cv2.split(image), alpha), strict=True):
        plane[:] = levels
    return planes


def extended(planes: np.ndarray, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    """Planes [..., H, W], continued by their edges."""
    return np.pad(planes, [(0, 0)] * (planes.ndim - 2) + [(top, bottom), (left, right)], mode="edge")


def _resize(method: int) -> Callable[[np.ndarray, np.ndarray], Any]:
    return lambda plane, out: cv2.resize(plane, out.shape[::-1], out, interpolation=method)


def _blur(plane: np.ndarray, out: np.ndarray) -> None:
    cv2.blur(plane, (3, 3), out, borderType=cv2.BORDER_REPLICATE)


CPU = Backend(
    load=_load,
    store=lambda planes: cv2.merge([*(planes + 0.5).astype(np.uint8)]),
    join=np.concatenate,
    extend=extended,
    halve=lambda planes: _each(_resize(cv2.INTER_AREA), planes, 0.5),
    double=lambda planes: _each(_resize(cv2.INTER_LINEAR), planes, 2),
    mean=lambda planes: _each(_blur, planes),
    side=256,
    threads=4,
)


def torch_backend(device: Any) -> Backend:
    """Return the backend of a torch device. Results differ from the CPU's by rounding errors only.

    Raises DeviceError for a device that this machine does not have.
    """
    import torch
    from torch.nn import functional

    device = pick_device(device)

    def load(image: np.ndarray, alpha: np.ndarray) -> Any:
        colours, share = (torch.from_numpy(np.ascontiguousarray(pixels)).to(device) for pixels in (image, alpha))
        return torch.cat([colours.permute(2, 0, 1).float(), share[None].float()])

    def extend(planes: Any, top: int, bottom: int, left: int, right: int) -> Any:
        return functional.pad(planes, (left, right, top, bottom), mode="replicate")

    def mean(planes: Any) -> Any:
        stack = planes.reshape(-1, *planes.shape[-2:])
        return functional.avg_pool2d(extend(stack, 1, 1, 1, 1), 3, stride=1).reshape(planes.shape)

    return Backend(
        load=load,
        store=lambda planes: (planes + 0.5).byte().permute(1, 2, 0).contiguous().cpu().numpy(),
        join=torch.cat,
        extend=extend,
        halve=lambda planes: functional.avg_pool2d(planes, 2),
        double=lambda planes: functional.interpolate(planes, scale_factor=2, mode="bilinear"),
        mean=mean,
        side=1024,
    )
