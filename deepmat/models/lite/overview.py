"""What lite sees from far: first a much smaller copy of the picture, whose alpha is a hint, and by which a large
picture's alpha is put right far from all that is known."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from deepmat.models.lite.cues import HINT_RANGE, summary

SHRINK = 4
"""How many times smaller than the picture the copy is that gives its hints, at least."""
COPY_SIDE = 1024
"""Pixels of the copy's longer side, at most."""
AT_ONCE = 256
"""Pixels of a picture's longer side up to which it is seen without hints."""
NEAR, RAMP, SMOOTH = 20, 10, 12
"""Pixels of the copy: how far from all that is known a large picture's alpha begins to be put right by its copy's, over
how many to each side that fades in, and the radius of the means, taken twice, that are compared."""


def shrink(image: Tensor, trimap: Tensor, times: int) -> tuple[Tensor, Tensor]:
    """image [N, 3, H, W] and trimap [N, 1, H, W], 0 ... 255, so many times smaller: float32 [N, 3 and 1, H / times, W /
    times], the last cells perhaps of fewer pixels. Known is where all that becomes one pixel is."""

    def means(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, times, ceil_mode=True, count_include_pad=False)

    # In parts, so that no large picture is held in floats.
    rows = 64 * times
    parts = zip(image.split(rows, 2), trimap.split(rows, 2), strict=True)
    small, shares = zip(
        *((means(part.float()), means(torch.cat((levels > 191, levels < 64), 1).float())) for part, levels in parts),
        strict=True,
    )
    foreground, background = (torch.cat(shares, 2) > 0.999).split(1, 1)
    return torch.cat(small, 2), 128 + 127 * foreground - 128.0 * background


def overview(
    network: Callable[[Tensor, Tensor], Tensor], image: Tensor, trimap: Tensor
) -> tuple[Tensor, tuple[int, Tensor] | None]:
    """What there is to know of a whole picture before it, or parts of it, are seen: its `summary`, and for hints how
    many times smaller a copy was and its alpha [N, 1, H / times, W / times]; None for a picture of up to AT_ONCE pixels
    a side.

    network(image, trimap) -> alpha; image: [N, 3, H, W]; trimap: [N, 1, H, W]; of any size.
    """
    longer = max(trimap.shape[2:])
    if longer <= AT_ONCE:
        return summary(image, trimap), None
    times = max(SHRINK, -(-longer // COPY_SIDE))
    small, levels = shrink(image, trimap, times)
    height, width = levels.shape[2:]
    border = (0, -width % 32, 0, -height % 32)
    alpha = network(F.pad(small, border, mode="replicate"), F.pad(levels, border, mode="replicate"))
    return summary(small, levels), (times, alpha[..., :height, :width])


def hinted(trimap: Tensor, times: int, alpha: Tensor) -> Tensor:
    """The trimap [N, 1, H, W] with the alpha of a copy so many times smaller for hints, float32: levels from 128 -
    HINT_RANGE to 128 + HINT_RANGE."""
    large = F.interpolate(alpha, scale_factor=times, mode="bilinear", align_corners=False)
    hints = 128 + HINT_RANGE * (2 * large[..., : trimap.shape[2], : trimap.shape[3]] - 1)
    return torch.where((trimap >= 64) & (trimap <= 191), hints, trimap.float())


def settle(alpha: Tensor, trimap: Tensor, times: int, small: Tensor) -> Tensor:
    """The alpha of a large picture [N, 1, H, W], put right in place where nothing is known for far around: there it is
    on average what a copy so many times smaller has, small [N, 1, H / times, W / times].

    Of more than SHRINK x AT_ONCE pixels a side, the copy is as large as the pictures that lite was trained on; the
    picture is larger, and smoke or glass in it reaches further than lite can see. Others stay as they are.
    """
    height, width = alpha.shape[2:]
    if max(height, width) <= SHRINK * AT_ONCE:
        return alpha
    unknown = ((trimap >= 64) & (trimap <= 191)).float()
    parts = (F.avg_pool2d(unknown, times, ceil_mode=True) > 0).float()  # max_pool2d takes five times as long
    means = F.avg_pool2d(alpha.detach(), times, ceil_mode=True, count_include_pad=False)
    near = (_box(1 - parts, NEAR) > 0).float()
    share = _box(_box(parts, SMOOTH), SMOOTH).clamp(min=1e-3)
    off = _box(_box((small.float() - means) * parts, SMOOTH), SMOOTH) / share
    more = F.interpolate((1 - _box(near, RAMP)) * off, scale_factor=times, mode="bilinear", align_corners=False)
    return alpha.add_(more[..., :height, :width].mul_(unknown)).clamp_(0, 1)


def _box(x: Tensor, radius: int) -> Tensor:
    """Means over so many pixels to each side, beyond the border of fewer."""
    for window in ((2 * radius + 1, 1), (1, 2 * radius + 1)):
        x = F.avg_pool2d(x, window, 1, (window[0] // 2, window[1] // 2), count_include_pad=False)
    return x
