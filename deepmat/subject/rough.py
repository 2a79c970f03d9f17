"""From a rough mask to a trimap."""

import numpy as np

from deepmat.subject.band import from_mask


def is_network_mask(mask: np.ndarray) -> bool:
    """Return whether a mask, uint8 [H, W], is the soft mask of a segmentation network."""
    return False


def from_rough(
    image: np.ndarray, mask: np.ndarray, detail: int | None = None, width: float | None = None
) -> tuple[np.ndarray, list[str]]:
    """Make a trimap of a rough mask, uint8 [H, W], of a photo, uint8 RGB [H, W, 3]."""
    width = width or max(2.0, 0.02 * max(mask.shape))
    hard = np.where(mask > 127, 255, 0).astype(np.uint8)
    return from_mask(hard, width, width)
