"""The overview: lite first sees a much smaller copy of a picture.

The alpha of the copy becomes a hint for the full size. In a large picture it also corrects the alpha far from all known
pixels.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from deepmat.models.lite.cues import HINT_RANGE, known_sides, summary, unknown_region

SHRINK = 4
"""How many times smaller than the picture the copy is, at least."""
COPY_SIDE = 1024
"""Pixels of the copy's longer side, at most."""
AT_ONCE = 256
"""Pixels of a picture's longer side up to which it is seen without hints."""
NEAR, RAMP, SMOOTH = 20, 10, 12
"""In pixels of the copy: the distance from known pixels at which `settle` begins, the width to each side over which it
fades in, and the radius of the means, taken twice, that it compares."""


def shrink(image: Tensor, trimap: Tensor, times: int) -> tuple[Tensor, Tensor]:
    """Shrink image [N, 3, H, W] and trimap [N, 1, H, W], 0 ... 255, `times` times.

    Returns float32 [N, 3, H / times, W / times] and [N, 1, H / times, W / times]; the last cells may have fewer pixels.
    A pixel is known where all pixels that become it are.
    """
    # In parts, so that no large picture is held in floats.
    rows = 64 * times
    parts = zip(image.split(rows, 2), trimap.split(rows, 2), strict=True)
    small, shares = zip(
        *(
            (_means(part.float(), times), _means(torch.cat(known_sides(levels), 1).float(), times))
            for part, levels in parts
        ),
        strict=True,
    )
    foreground, background = (torch.cat(shares, 2) > 0.999).split(1, 1)
    return torch.cat(small, 2), 128 + 127 * foreground - 128.0 * background


def _means(x: Tensor, times: int) -> Tensor:
    return F.avg_pool2d(x, times, ceil_mode=True, count_include_pad=False)


def overview(
    network: Callable[[Tensor, Tensor], Tensor], image: Tensor, trimap: Tensor
) -> tuple[Tensor, tuple[int, Tensor] | None]:
    """The `summary` of a whole picture, and the alpha of a smaller copy.

    The copy is given as (times, alpha [N, 1, H / times, W / times]); None for a picture of up to AT_ONCE pixels a side,
    which needs no copy.

    network(image, trimap) -> alpha; image: [N, 3, H, W]; trimap: [N, 1, H, W]; of any size.
    """
    longer = max(trimap.shape[2:])
    if longer <= AT_ONCE:
        return summary(image, trimap), None
    times = max(SHRINK, -(-longer // COPY_SIDE))
    small, levels = shrink(image, trimap, times)
    height, width = levels.shape[2:]
    border = (0, -width % 32, 0, -height % 32)
    alpha = network(*(F.pad(copy, border, mode="replicate") for copy in (small, levels)))
    return summary(small, levels), (times, alpha[..., :height, :width])


def hinted(trimap: Tensor, times: int, alpha: Tensor) -> Tensor:
    """The trimap [N, 1, H, W], float32, with hints in its unknown region.

    They come from the alpha of a copy `times` times smaller, as levels from 128 - HINT_RANGE (background) to
    128 + HINT_RANGE (foreground).
    """
    large = F.interpolate(alpha, scale_factor=times, mode="bilinear", align_corners=False)
    hints = 128 + HINT_RANGE * (2 * large[..., : trimap.shape[2], : trimap.shape[3]] - 1)
    return torch.where(unknown_region(trimap), hints, trimap.float())


def settle(alpha: Tensor, trimap: Tensor, times: int, small: Tensor) -> Tensor:
    """Correct the alpha of a large picture [N, 1, H, W] in place, far from known pixels.

    There its local mean becomes that of a copy `times` times smaller, small [N, 1, H / times, W / times].

    The copy of a picture of more than SHRINK x AT_ONCE pixels a side is as large as the pictures that lite was trained
    on; in the picture itself smoke or glass reaches further than lite sees. Smaller pictures stay unchanged.
    """
    height, width = alpha.shape[2:]
    if max(height, width) <= SHRINK * AT_ONCE:
        return alpha
    unknown = unknown_region(trimap).float()
    parts = (F.avg_pool2d(unknown, times, ceil_mode=True) > 0).float()  # max_pool2d takes five times as long
    means = F.avg_pool2d(alpha.detach(), times, ceil_mode=True, count_include_pad=False)
    near = (_box(1 - parts, NEAR) > 0).float()
    share = _box(_box(parts, SMOOTH), SMOOTH).clamp(min=1e-3)
    off = _box(_box((small.float() - means) * parts, SMOOTH), SMOOTH) / share
    more = F.interpolate((1 - _box(near, RAMP)) * off, scale_factor=times, mode="bilinear", align_corners=False)
    return alpha.add_(more[..., :height, :width].mul_(unknown)).clamp_(0, 1)


def _box(x: Tensor, radius: int) -> Tensor:
    """Means over `radius` pixels to each side; near the border, over those inside."""
    for window in ((2 * radius + 1, 1), (1, 2 * radius + 1)):
        x = F.avg_pool2d(x, window, 1, (window[0] // 2, window[1] // 2), count_include_pad=False)
    return x
