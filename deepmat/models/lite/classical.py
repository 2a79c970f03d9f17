"""The alpha of closed-form matting as lite is given it: in 8 bits, and in reasonable time."""

import cv2
import numpy as np
import torch
from torch import Tensor

from deepmat.imaging import to_uint8
from deepmat.imaging.closed_form import closed_form
from deepmat.imaging.trimap import UNKNOWN, unknown_region

STEPS = 100
"""Steps of conjugate gradients at each size. More of them change alpha by little."""
MOST = 400_000
"""Unknown pixels above which alpha is found at half the size."""


def matte_of(image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """The alpha of closed-form matting, uint8 [H, W], of a picture, uint8 RGB [H, W, 3].

    trimap: uint8 [H, W] of 0, 128, 255. A picture of repeated pixels, as the mode enlarges small ones, is seen as what
    it was; one with more than MOST unknown pixels at half its size.
    """
    halves = image[::2, ::2], trimap[::2, ::2]
    if all(np.array_equal(_doubled(half), whole) for half, whole in zip(halves, (image, trimap), strict=True)):
        return _doubled(matte_of(*halves))
    times = 1
    while np.count_nonzero(unknown_region(trimap)) / times**2 > MOST:
        times *= 2
    if times == 1:
        return to_uint8(closed_form(image, trimap, steps=STEPS))
    height, width = trimap.shape
    size = -(-width // times), -(-height // times)
    small, levels = (cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) for pixels in (image, trimap))
    levels[unknown_region(levels)] = UNKNOWN
    found = closed_form(small, levels, steps=STEPS)
    return to_uint8(cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR))


def _doubled(picture: np.ndarray) -> np.ndarray:
    return picture.repeat(2, 0).repeat(2, 1)


def matte_like(image: Tensor, trimap: Tensor) -> Tensor:
    """`matte_of` pictures [N, 3, H, W] with trimaps [N, 1, H, W]: float32 [N, 1, H, W] in 0 ... 255."""
    pictures, levels = image.permute(0, 2, 3, 1).byte().cpu().numpy(), trimap[:, 0].byte().cpu().numpy()
    mattes = [matte_of(*pair) for pair in zip(map(np.ascontiguousarray, pictures), levels, strict=True)]
    return torch.from_numpy(np.stack(mattes)[:, None]).float().to(image.device)
