"""A picture that a network sees: the session of most networks (the contract is in deepmat.inference.predictor)."""

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from deepmat.errors import TooLarge

Window = tuple[slice, slice]
"""Rows and columns of a part of a picture."""
Correction = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""A function of a picture, uint8 RGB [H, W, 3], its trimap, uint8 [H, W] of 0, 128, 255, and an alpha, float32 [H, W]
in [0, 1]. It returns a better alpha."""
EVERYWHERE = 1 << 16
"""Reach of a network that sees the whole picture, whatever its size: pixels."""
NO_MEMORY = ("memory", "ALLOC_FAILED", "could not create a primitive")
"""Substrings of the out-of-memory errors of torch and the libraries below it."""
SMALLER = "use --mode tile or a lower --max-size"
"""What helps where the memory does not suffice."""


def as_tensor(network: nn.Module, picture: np.ndarray) -> torch.Tensor:
    """uint8 RGB [H, W, 3] or uint8 [H, W] -> uint8 [1, 3, H, W] or [1, 1, H, W] on the network's device."""
    pixels = torch.from_numpy(np.ascontiguousarray(picture)).to(next(network.parameters()).device)
    return pixels[None, None] if picture.ndim == 2 else pixels.permute(2, 0, 1)[None]


@torch.inference_mode()
def forward(network: nn.Module, image: torch.Tensor, trimap: torch.Tensor, **options: Any) -> torch.Tensor:
    """The network's alpha, float32 [1, 1, H, W]. Raises TooLarge where the memory does not suffice."""
    try:
        alpha: torch.Tensor = network(image, trimap, **options)["alpha"].float()
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not any(sign in str(error) for sign in NO_MEMORY):
            raise
        height, width = trimap.shape[2:]
        raise TooLarge(f"{width}x{height} pixels at once are too many for the memory; {SMALLER}") from error
    return alpha


def stretch(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture of that (height, width), by bilinear interpolation."""
    return cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


class Windows:
    """The session of a network that sees each window alone.

    The network's stride says to which multiple of pixels a window is mirrored at its bottom and right. options: further
    arguments of its forward().
    """

    STRETCHED: Mapping[str, Any] = {}
    """Arguments of forward() for a window that is seen stretched."""
    FILLED = True
    """Whether a window is mirrored to the stride; otherwise forward() takes any size."""

    def __init__(self, network: nn.Module, image: np.ndarray, trimap: np.ndarray, **options: Any) -> None:
        self.network, self.image, self.trimap, self.options = network, image, trimap, options
        self.notices: list[str] = []

    def part(self, window: Window | None, size: tuple[int, int] | None = None) -> np.ndarray:
        """See Session.part."""
        inside = window or np.s_[:, :]
        return self.see(self.image[inside], self.trimap[inside], size)

    def see(self, image: np.ndarray, trimap: np.ndarray, size: tuple[int, int] | None, **more: Any) -> np.ndarray:
        """Alpha, float32 [H, W], of a window, seen stretched to `size` or mirrored to a multiple of the stride."""
        height, width = trimap.shape
        if size:
            image, trimap = stretch(image, size), stretch(trimap, size)
            more = {**more, **self.STRETCHED}
        else:
            stride: int = self.network.stride if self.FILLED else 1  # type: ignore[assignment]
            border = (0, -height % stride, 0, -width % stride, cv2.BORDER_REFLECT_101)
            image, trimap = (cv2.copyMakeBorder(each, *border) for each in (image, trimap))
        pixels, levels = as_tensor(self.network, image), as_tensor(self.network, trimap)
        alpha = forward(self.network, pixels, levels, **self.options, **more)
        found = alpha[0, 0].cpu().numpy()
        return stretch(found, (height, width)) if size else found[:height, :width]

    def finish(self, alpha: np.ndarray) -> np.ndarray:
        """See Session.finish: nothing is left to do."""
        return alpha


class WindowsNearUnknown(Windows):
    """The session of a network whose forward() leaves known neighbourhoods out unless `everywhere` is set.

    A stretched trimap can lose unknown pixels, so there alpha is computed everywhere.
    """

    STRETCHED = {"everywhere": True}
