"""The small network that deepmat ships. It corrects classical matting, from far to near.

Its input features (deepmat.models.lite.cues, overview) hold the alphas that classical matting derives from known
colours. Its output weighs these alphas and adds an alpha of its own. The network is built for CPUs: half the size from
the first layer on, no normalisation, plain convolutions of 32 to 256 channels.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from deepmat.config import LiteConfig
from deepmat.imaging.closed_form import correct
from deepmat.models.lite.cues import GUESSES, SEEN, cells, double, gather, look, see, split, unknown_region
from deepmat.models.lite.fusion import Fusion, fuse, fused
from deepmat.models.lite.layers import Block
from deepmat.models.lite.overview import hinted, overview, settle
from deepmat.models.lite.session import LiteSession

WIDTHS = (32, 64, 128, 160, 256)
"""Channels at 1/2, 1/4 ... 1/32 of the size."""
BLOCKS = (1, 2, 2, 2, 1)
"""Residual blocks of the encoder at each of them."""
SMALL = 1024
"""Pixels of the longer side up to which alphas are better when the picture is seen at twice its size."""
LARGE = 6_000_000
"""Pixels from which a picture is seen smaller: in so large ones lite takes long, and sees too little of what surrounds
a place."""
FORGOTTEN = 0.25
"""Share of the training samples that get no hints."""


def blend(out: Tensor, colours: Tensor, alphas: Tensor) -> Tensor:
    """Alpha [N, 1, H, W], not yet clipped to [0, 1], from the head's channels [N, 7 + M, H/2, W/2] for each cell.

    Four are alphas, three a linear function of a pixel's colour (as closed-form matting has it, Levin et al. 2008,
    equation 2), the others the weights of `alphas` [N, M, 4, H/2, W/2].
    """
    own, slope, weights = out.split((4, 3, alphas.shape[1]), 1)
    found = own + (colours * slope[:, :, None]).sum(1) + (alphas * weights[:, :, None]).sum(1)
    return F.pixel_shuffle(found, 2)


class Lite(nn.Module):
    """A residual U-Net over cells of 2 x 2 pixels.

    width: channels at every level as a share of WIDTHS; 1/8 makes tests fast. fusion: its alpha is fused with that of
    closed-form matting.
    """

    OPTIONS = LiteConfig
    PARTS = {
        "encoder": ("stem", "down", "encode", "bottom"),
        "decoder": ("across", "decode", "head"),
        "fusion": ("fusion",),
    }
    LASTING = ("width",)
    UNSEEN = ()
    FIRST_WEIGHTS = "deepmat train --config lite"
    stride, reach, enlarge_up_to, shrink_from = 32, 224, SMALL, LARGE
    bytes_a_pixel = 650

    def __init__(self, width: float = 1.0, fusion: bool = False) -> None:
        super().__init__()
        widths = [max(1, round(width * channels)) for channels in WIDTHS]
        self.recompute = False
        steps = list(zip(widths, widths[1:], strict=False))
        self.stem = nn.Conv2d(SEEN, widths[0], 3, padding=1)
        self.encode = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(count))) for width, count in zip(widths, BLOCKS, strict=True)
        )
        self.down = nn.ModuleList(nn.Conv2d(wide, deep, 3, stride=2, padding=1) for wide, deep in steps)
        self.bottom = Block(widths[-1])
        self.across = nn.ModuleList(nn.Conv2d(deep, wide, 1) for wide, deep in steps)
        self.decode = nn.ModuleList(Block(width) for width in widths[:-1])
        self.head = nn.Conv2d(widths[0], 7 + GUESSES, 3, padding=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias[-GUESSES:], 1 / GUESSES)  # begins as the mean of what classical matting finds
        self.fusion = Fusion(width) if fusion else None

    @property
    def device(self) -> torch.device:
        return self.head.weight.device

    def begin(self, image: np.ndarray, trimap: np.ndarray) -> LiteSession:
        """See deepmat.inference.predictor.Predictor.begin."""
        return LiteSession(self, image, trimap)

    def first_look(self, image: np.ndarray, trimap: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """See deepmat.inference.predictor.Predictor.first_look. Corrected, alpha would be sure of too much."""
        return fuse(self.fusion, image, trimap, alpha) if self.fusion else alpha

    def correction(self, image: np.ndarray, trimap: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """See deepmat.inference.predictor.Predictor.correction."""
        return correct(image, trimap, self.first_look(image, trimap, alpha))

    @staticmethod
    def recognise(state: Mapping[str, Tensor]) -> LiteConfig | None:
        """None: no other tool has weights of this network."""
        return None

    def forward(
        self, image: Tensor, trimap: Tensor, beyond: Tensor | None = None, matte: Tensor | None = None
    ) -> dict[str, Tensor]:
        """{"alpha": [N, 1, H, W] in [0, 1]} of pictures.

        image: RGB [N, 3, H, W]; trimap: [N, 1, H, W] of 0, 128, 255; H and W multiples of 32. beyond: for a part of a
        picture, the `summary` of the whole; the trimap then holds the hints of the whole. matte: [N, 1, H, W], 0 ...
        255, the alpha of closed-form matting, to train the fusion with it; without it alpha is not fused. Alpha has
        exact zeros and ones; its gradient is that before clipping, so that no pixel beyond the range is lost.
        """
        exact = torch.autocast(image.device.type, enabled=False)
        small = None
        with torch.no_grad():
            levels = trimap
            if beyond is None:
                beyond, small = self._overview(image, trimap)
                trimap = hinted(trimap, *small) if small else trimap
            if self.training:
                forgotten = torch.rand(len(trimap), 1, 1, 1, device=trimap.device) < FORGOTTEN
                trimap = torch.where(forgotten & unknown_region(trimap), 128, trimap)
            with exact:
                rgb, known, hint = split(image, trimap)
                seen, alphas = see(rgb, known, hint, double(look(gather(rgb, known, hint), beyond)))
                colours = cells(rgb)
        x, kept = self._encode(F.relu_(self.stem(seen)))
        for level in (3, 2, 1, 0):
            x = self._up(level, x, kept[level])
        with exact:
            alpha = _held(blend(self.head(x.float()), colours, alphas))
            if small and not self.training:
                alpha = settle(alpha, trimap, *small)
            if self.fusion is not None and matte is not None:
                alpha = fused(self.fusion, image, levels, alpha, matte / 255)
            return {"alpha": alpha}

    def _overview(self, image: Tensor, trimap: Tensor) -> tuple[Tensor, tuple[int, Tensor] | None]:
        kind = image.device.type
        # Autocast caches weights that it casts without a gradient; the pass with a gradient must not get those.
        with torch.autocast(kind, enabled=torch.is_autocast_enabled(kind), cache_enabled=False):
            return overview(lambda *copy: self(*copy)["alpha"], image, trimap)

    def _part(self, part: Callable[..., Any], x: Tensor) -> Any:
        """A part of the forward pass; with `recompute` only its input is kept (Chen et al. 2016)."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(part, x, use_reentrant=False)
        return part(x)

    def _encode(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The deepest features from the stem's output, and the features of the levels above."""
        kept = []
        for encode, down in zip(self.encode, self.down, strict=False):
            kept.append(self._part(encode, x))
            x = F.relu_(down(kept[-1]))
        x = self._part(self.encode[-1], x)
        deepest = self.bottom(F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False))
        return x + F.interpolate(deepest, x.shape[2:], mode="nearest"), kept

    def _up(self, level: int, x: Tensor, kept: Tensor) -> Tensor:
        x = kept + F.interpolate(self.across[level](x), scale_factor=2, mode="nearest")
        return self._part(self.decode[level], x)


def _held(alpha: Tensor) -> Tensor:
    """Alpha clipped to [0, 1], with the gradient of the unclipped alpha."""
    return alpha + (alpha.clamp(0, 1) - alpha).detach()
