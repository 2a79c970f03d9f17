"""Deep Image Matting (Xu et al., CVPR 2017, arXiv 1703.03872) and its public variants.

Names of parameters are those of pytorch-deep-image-matting, so that its checkpoints load as they are.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from deepmat.config import DIMConfig
from deepmat.models.session import Windows

# Convolutions of VGG16's five blocks: (inputs, outputs) each.
ENCODER = (
    ((4, 64), (64, 64)),
    ((64, 128), (128, 128)),
    ((128, 256), (256, 256), (256, 256)),
    ((256, 512), (512, 512), (512, 512)),
    ((512, 512), (512, 512), (512, 512)),
)
# deconv5_1 ... deconv1_1, each after max-unpooling with the indices of that level.
DECODER = ((512, 512), (512, 256), (256, 128), (128, 64), (64, 64))


class DIM(nn.Module):
    """VGG16 encoder, unpooling decoder and, with `refine`, the refinement network.

    conv6: kernel size of conv6_1, 1 or 3. skip: add the encoder's last feature map of each level in the decoder.
    width: channels of every layer but input and output, as a share of the published ones; 1/16 makes tests fast.
    """

    OPTIONS = DIMConfig
    PARTS = {"encoder": ("conv",), "decoder": ("deconv",), "refinement": ("refine_",)}
    LASTING = ("conv6", "skip", "width")
    UNSEEN = ("skip",)
    FIRST_WEIGHTS = "deepmat convert-vgg"
    stride, reach = 32, 224  # its receptive field reaches 217 pixels
    enlarge_up_to, shrink_from, first_look, correction = 0, 0, None, None
    bytes_a_pixel = 2000
    mean: Tensor
    std: Tensor

    def __init__(self, conv6: int = 3, skip: bool = True, refine: bool = False, width: float = 1.0) -> None:
        super().__init__()
        self.skip, self.refine = skip, refine
        self.recompute = False

        def convolution(inputs: int, outputs: int, size: int) -> nn.Conv2d:
            # 4 (colours and trimap, or colours and alpha) and 1 (the logit) are no widths.
            wide, narrow = (count if count in (1, 4) else max(1, round(count * width)) for count in (inputs, outputs))
            return nn.Conv2d(wide, narrow, size, padding=size // 2)

        for level, block in enumerate(ENCODER, start=1):
            for index, (inputs, outputs) in enumerate(block, start=1):
                self.add_module(f"conv{level}_{index}", convolution(inputs, outputs, 3))
        self.conv6_1 = convolution(512, 512, conv6)
        self.deconv6_1 = convolution(512, 512, 1)
        for level, (inputs, outputs) in zip(range(5, 0, -1), DECODER, strict=True):
            self.add_module(f"deconv{level}_1", convolution(inputs, outputs, 5))
        self.deconv1 = convolution(64, 1, 5)
        if refine:
            self.refine_conv1 = convolution(4, 64, 3)
            self.refine_conv2 = convolution(64, 64, 3)
            self.refine_conv3 = convolution(64, 64, 3)
            self.refine_pred = convolution(64, 1, 3)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.xavier_normal_(layer.weight)
                nn.init.zeros_(layer.bias)

    @property
    def device(self) -> torch.device:
        return self.deconv1.weight.device

    def begin(self, image: np.ndarray, trimap: np.ndarray) -> Windows:
        """See deepmat.inference.predictor.Predictor.begin."""
        return Windows(self, image, trimap)

    @staticmethod
    def recognise(state: Mapping[str, Tensor]) -> DIMConfig | None:
        """The variant that published weights belong to, by keys and shapes; None if they are not DIM's.

        Skip connections leave no trace in the weights; no published 1x1 checkpoint has them.
        """
        if "conv6_1.weight" not in state or not any(key.startswith("deconv") for key in state):
            return None
        refine = any(key.startswith("refine_") for key in state)
        pointwise = state["conv6_1.weight"].shape[-1:] == (1,)
        first = state.get("conv1_1.weight")
        width = len(first) / 64 if first is not None and first.ndim else 1.0
        return DIMConfig(conv6=1 if pointwise else 3, skip=not pointwise, refine=refine, width=width)

    def forward(self, image: Tensor, trimap: Tensor) -> dict[str, Tensor]:
        """{"alpha": [N, 1, H, W] in [0, 1]} and, with refinement, "coarse", the alpha before it.

        image: RGB [N, 3, H, W]; trimap: [N, 1, H, W] of 0, 128, 255; both 0 ... 255, H and W multiples of 32.
        """
        rgb = (image / 255 - self.mean) / self.std
        # In float32 from the last convolution on, also under autocast.
        logit = self._decode(*self._encode(torch.cat((rgb, trimap / 255), dim=1))).float()
        coarse = torch.sigmoid(logit)
        if not self.refine:
            return {"alpha": coarse}
        x = torch.cat((rgb, coarse), dim=1)
        return {"alpha": torch.sigmoid(logit + self._part(self._refine, x)), "coarse": coarse}

    def _part(self, part: Callable[..., Any], *inputs: Any) -> Any:
        """A part of the forward pass; with `recompute` only its inputs are kept (Chen et al. 2016)."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(part, *inputs, use_reentrant=False)
        return part(*inputs)

    def _convolve(self, name: str, x: Tensor) -> Tensor:
        return F.relu_(self.get_submodule(name)(x))  # in place: one feature map less to write and keep

    def _encode(self, x: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        levels = []
        for level in range(1, len(ENCODER) + 1):
            x, *kept = self._part(self._down, level, x)
            levels.append(tuple(kept))
        return self._convolve("conv6_1", x), levels

    def _down(self, level: int, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A block of the encoder: features pooled, features, indices of the pooling."""
        for index in range(1, len(ENCODER[level - 1]) + 1):
            x = self._convolve(f"conv{level}_{index}", x)
        pooled, indices = F.max_pool2d(x, 2, return_indices=True)
        return pooled, x, indices

    def _decode(self, x: Tensor, levels: list[tuple[Tensor, Tensor]]) -> Tensor:
        x = self._convolve("deconv6_1", x)
        for level in range(5, 0, -1):
            x = self._part(self._up, level, x, *levels[level - 1])
        return self.deconv1(x)

    def _up(self, level: int, x: Tensor, features: Tensor, indices: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # autocast would unpool in float32
            x = F.max_unpool2d(x, indices, [2, 2])
        if self.skip:
            x = x + features
        return self._convolve(f"deconv{level}_1", x)

    def _refine(self, x: Tensor) -> Tensor:
        for name in ("refine_conv1", "refine_conv2", "refine_conv3"):
            x = self._convolve(name, x)
        return self.refine_pred(x)
