"""Fusion of lite's alpha with that of closed-form matting.

Each is right where the other is not: closed-form matting in hair and fur before a smooth background; lite before
colours like the foreground's and where nothing is known for many pixels. A small network has learnt to tell which. It
sees both alphas at half size, since whole regions are right or wrong.
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepmat.imaging import trimap as trimaps
from deepmat.imaging.closed_form import closed_form
from deepmat.models.lite.cues import known_sides, unknown_region
from deepmat.models.lite.layers import Block
from deepmat.models.session import as_tensor

WIDTHS = (16, 32, 48, 64, 64)
"""Channels at 1/2, 1/4 ... 1/32 of the size that it sees."""
BLOCKS = 3
"""Levels with a residual block on the way down, from the first."""
SEEN = 3 + 2 + 4
"""Input channels: colours, known regions, both alphas, their difference, and how undecided closed-form matting is."""
STEPS = 100
"""Most steps of closed-form matting at each size. More of them change its alpha by little."""
MOST = 150_000
"""Unknown pixels of the copy above which a smaller one is made."""
FAR = 0.09
"""Distance, as a share of the longer side, from what is known of the foreground or of the background, whichever is
farther, at which closed-form matting counts for 1/e only. Where whole parts are unknown (a flag), it guesses, and the
network cannot tell."""


class Fusion(nn.Module):
    """A residual U-Net. width: channels at every level as a share of WIDTHS."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        widths = [max(1, round(width * channels)) for channels in WIDTHS]
        steps = list(zip(widths, widths[1:], strict=False))
        self.stem = nn.Conv2d(4 * SEEN, widths[0], 3, padding=1)
        self.encode = nn.ModuleList(Block(width) for width in widths[:BLOCKS])
        self.down = nn.ModuleList(nn.Conv2d(wide, deep, 3, stride=2, padding=1) for wide, deep in steps)
        self.across = nn.ModuleList(nn.Conv2d(deep, wide, 1) for wide, deep in steps)
        self.decode = nn.ModuleList(Block(width) for width in widths[:-1])
        self.head = nn.Conv2d(widths[0], 1, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, -0.5)

    def forward(self, image: Tensor, trimap: Tensor, alpha: Tensor, matte: Tensor) -> Tensor:
        """The share of closed-form matting in the fused alpha, [N, 1, H, W] in [0, 1].

        image: RGB [N, 3, H, W], trimap: [N, 1, H, W], both 0 ... 255; alpha, matte: lite's and that of closed-form
        matting, [N, 1, H, W] in [0, 1]. All at half the size of the picture, or less.
        """
        known = torch.cat(known_sides(trimap), 1).float()
        undecided = matte * (1 - matte)
        x = torch.cat((image / 255 - 0.5, known, alpha - 0.5, matte - 0.5, (alpha - matte).abs(), undecided), 1)
        height, width = trimap.shape[2:]
        x = F.pixel_unshuffle(F.pad(x, (0, -width % 32, 0, -height % 32), mode="replicate"), 2)
        x, kept = F.relu_(self.stem(x.contiguous(memory_format=torch.channels_last))), []
        for level, down in enumerate(self.down):
            kept.append(self.encode[level](x) if level < BLOCKS else x)
            x = F.relu_(down(kept[-1]))
        for level, features in reversed(list(enumerate(kept))):
            x = features + F.interpolate(self.across[level](x), scale_factor=2, mode="nearest")
            x = self.decode[level](x)
        share = F.interpolate(self.head(x), scale_factor=2, mode="bilinear", align_corners=False)
        return share.sigmoid()[..., :height, :width]


def fused(fusion: Fusion, image: Tensor, trimap: Tensor, alpha: Tensor, matte: Tensor) -> Tensor:
    """The fused alpha of samples with even sides, [N, 1, H, W]; arguments as for Fusion.forward, at full size.

    They are parts of pictures, so that FAR has no meaning for them.
    """
    small, levels, *both = (F.avg_pool2d(each, 2) for each in (image, trimap, alpha, matte))
    levels = torch.where((levels > 0) & (levels < 255), trimaps.UNKNOWN, levels)
    change = fusion(small, levels, *both) * (both[1] - both[0])
    change = F.interpolate(change, scale_factor=2, mode="bilinear", align_corners=False)
    return alpha + change * unknown_region(trimap)


@torch.inference_mode()
def fuse(fusion: Fusion, image: np.ndarray, trimap: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The fused alpha of a picture, float32 [H, W] in [0, 1].

    image: uint8 RGB [H, W, 3]; trimap: uint8 [H, W] of 0, 128, 255; alpha: lite's, float32 [H, W]. It keeps its
    details, which the copy lacks; what is known stays.
    """
    unknown, times = trimaps.unknown_region(trimap), 2
    while np.count_nonzero(unknown) > MOST * times**2:
        times *= 2
    height, width = trimap.shape
    size = -(-width // times), -(-height // times)
    small, levels, shown = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (image, trimap, alpha))
    levels[trimaps.unknown_region(levels)] = trimaps.UNKNOWN
    if not all((levels == level).any() for level in (trimaps.FOREGROUND, trimaps.BACKGROUND)):
        return alpha  # closed-form matting would spread the one side that is known over everything
    matte = closed_form(small, levels, steps=STEPS)
    maps = [as_tensor(fusion.head, each).float() for each in (small, levels, shown, matte)]
    share = fusion(*maps)[0, 0].cpu().numpy()
    sides = [(levels != level).astype(np.uint8) for level in (trimaps.FOREGROUND, trimaps.BACKGROUND)]
    away = np.maximum(*(cv2.distanceTransform(side, cv2.DIST_L2, 5) for side in sides)) / max(size)
    share *= np.exp(-((away / FAR) ** 2))
    change = cv2.resize(share * (matte - shown), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(unknown, (alpha + change).clip(0, 1), alpha)
