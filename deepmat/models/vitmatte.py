"""ViTMatte (Yao et al. 2024, Information Fusion 103), as transformers has it, and its weights in transformers' format.

A plain vision transformer sees the picture and its trimap in patches of 16 pixels; a few convolutions on the picture
itself add the details. Weights have transformers' own names.
"""

import copy
import logging
import re
from collections.abc import Mapping, Sequence
from functools import cache
from types import ModuleType
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepmat.config import VitMatteConfig
from deepmat.errors import ConfigError, did_you_mean
from deepmat.models.session import EVERYWHERE, Windows

SIZES: dict[str, dict[str, int]] = {
    "small": {"hidden_size": 384, "num_attention_heads": 6},
    "base": {"hidden_size": 768, "num_attention_heads": 12},
}
"""What distinguishes the two published networks (the authors' configs ViTMatte_S_100ep and ViTMatte_B_100ep)."""
VITDET = {
    "num_channels": 4,
    "image_size": 512,
    "use_relative_position_embeddings": True,
    "window_size": 14,
    "window_block_indices": [0, 1, 3, 4, 6, 7, 9, 10],
    "residual_block_indices": [2, 5, 8, 11],
    "out_features": ["stage12"],
}
"""What both have in common, beside transformers' defaults."""
SCORES_AT_ONCE = 1 << 23
"""Attention scores that are computed at a time; more take more memory and, on a CPU, more time."""
IGNORED = ("architectures", "dtype", "transformers_version", "out_indices", "stage_names")
"""Keys of a config of transformers that do not shape the network, or say again what others say."""
EXPECTED = "deepmat runs vitmatte models, such as hustvl/vitmatte-small-composition-1k"


def transformers() -> ModuleType:
    """The library of that name, silent. Raises ConfigError where it is missing."""
    try:
        import transformers
    except ImportError as error:
        raise ConfigError("vitmatte needs transformers: pip install 'deepmat[hub]'") from error
    logging.getLogger("transformers").setLevel(logging.ERROR)
    return transformers


def published(size: str) -> dict[str, Any]:
    """The whole config of a published network, as transformers' VitMatteConfig has it."""
    backbone = {"model_type": "vitdet", **VITDET, **SIZES[size]}
    return _whole({"hidden_size": SIZES[size]["hidden_size"], "backbone_config": backbone})


def _whole(values: Mapping[str, Any]) -> dict[str, Any]:
    """Config values of transformers, filled up with its defaults; lists in place of tuples. Raises ConfigError."""
    try:
        return _plain(transformers().VitMatteConfig.from_dict(dict(values)).to_dict())
    except ConfigError:
        raise
    except Exception as error:  # its checks have no exception class in common
        raise ConfigError(f"model.network: transformers refuses it ({_line(error)})") from error


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if key not in IGNORED}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


def section(config: Mapping[str, Any], processor: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a VitMatteConfig from a config.json and a preprocessor_config.json (perhaps {}).

    Raises ConfigError for values that are none of ViTMatte's.
    """
    whole = _whole(config)
    size = next((name for name, given in SIZES.items() if given["hidden_size"] == whole["hidden_size"]), "small")
    values: dict[str, Any] = {"arch": "vitmatte", "size": size, "network": _differences(whole, published(size))}
    scale = processor.get("rescale_factor", 1 / 255)
    if not processor.get("do_rescale", True) or abs(scale * 255 - 1) > 1e-6:
        raise ConfigError(f"preprocessor_config.json: rescale_factor is {scale}; ViTMatte takes levels / 255")
    normalises = processor.get("do_normalize", True)
    values["mean"] = [float(level) for level in processor.get("image_mean", [0.5] * 3)] if normalises else [0.0] * 3
    values["std"] = [float(level) for level in processor.get("image_std", [0.5] * 3)] if normalises else [1.0] * 3
    values["divisor"] = processor.get("size_divisor", processor.get("size_divisibility", 32))
    return values


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a config that another one has otherwise; those of a section within it alike."""
    found = {}
    for key, value in theirs.items():
        base = ours.get(key)
        if key not in ours:  # of an older version of transformers
            continue
        if isinstance(value, dict) and isinstance(base, dict) and value.get("model_type") == base.get("model_type"):
            value, base = _differences(value, base), {}
        if value != base:
            found[key] = value
    return found


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A config with changes, in its sections too, unless a section is of another model_type. Raises ConfigError."""
    made = dict(base)
    for key, value in changes.items():
        if key not in base:
            raise ConfigError(f"model.network: {key}: unknown key of ViTMatte{did_you_mean(key, base)}")
        within = made.get(key)
        same = isinstance(within, dict) and isinstance(value, dict) and "model_type" not in value
        made[key] = _merged(cast(dict[str, Any], within), value) if same else value
    return made


@cache
def _frugal() -> type[nn.Module]:
    """VitDetAttention of transformers, in a memory that grows with the pixels, not with their square."""
    from transformers.models.vitdet import modeling_vitdet as vitdet

    class Frugal(vitdet.VitDetAttention):
        """Without a gradient, scores are computed for some rows of patches at a time."""

        def forward(self, hidden_state: Tensor, output_attentions: bool = False) -> tuple[Tensor, ...]:
            if output_attentions or torch.is_grad_enabled():
                return cast(tuple[Tensor, ...], super().forward(hidden_state, output_attentions))
            batch, height, width, channels = hidden_state.shape
            rows = max(1, SCORES_AT_ONCE // (batch * self.num_heads * height * width * width))
            parts = self.qkv(hidden_state).reshape(batch, height * width, 3, self.num_heads, -1)
            query, key, value = parts.permute(2, 0, 3, 1, 4).flatten(1, 2).unbind(0)
            query, key = query.unflatten(1, (height, width)), key.transpose(1, 2)
            relative = self.use_relative_position_embeddings
            by_row = vitdet.get_rel_pos(height, height, self.rel_pos_h) if relative else None
            by_column = vitdet.get_rel_pos(width, width, self.rel_pos_w) if relative else None
            found = torch.empty_like(value)
            for top in range(0, height, rows):
                some = query[:, top : top + rows]
                scores = (some.flatten(1, 2) * self.scale) @ key
                if by_row is not None:
                    table = scores.view(*some.shape[:3], height, width)
                    table += torch.einsum("brwc,rkc->brwk", some, by_row[top : top + rows])[..., None]
                    table += torch.einsum("brwc,wkc->brwk", some, by_column)[:, :, :, None]
                found[:, top * width : (top + some.shape[1]) * width] = scores.softmax(-1) @ value
            joined = found.view(batch, self.num_heads, height, width, -1).permute(0, 2, 3, 1, 4)
            return (self.proj(joined.reshape(batch, height, width, channels)),)

    return Frugal


class VitMatteSession(Windows):
    """See deepmat.inference.predictor.Session. The network itself fills a window's sides, with zeros."""

    FILLED = False


class VitMatte(nn.Module):
    """See deepmat.inference.predictor.Predictor; the options are those of deepmat.config.VitMatteConfig."""

    OPTIONS = VitMatteConfig
    PARTS = {"encoder": ("backbone",), "decoder": ("decoder",)}
    LASTING = ("size", "network", "mean", "std")
    UNSEEN = ()
    FIRST_WEIGHTS = "deepmat train --config vitmatte"
    reach, enlarge_up_to, shrink_from, first_look, correction = EVERYWHERE, 0, 0, None, None
    bytes_a_pixel = 1800
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        size: str = "small",
        network: Mapping[str, Any] | None = None,
        mean: Sequence[float] = (0.5, 0.5, 0.5),
        std: Sequence[float] = (0.5, 0.5, 0.5),
        divisor: int = 32,
    ) -> None:
        super().__init__()
        self._recompute = False
        whole = _whole(_merged(published(size), network or {}))
        try:
            made = transformers().VitMatteForImageMatting(transformers().VitMatteConfig.from_dict(whole))
        except Exception as error:
            raise ConfigError(f"model.network: transformers cannot make it ({_line(error)})") from error
        self.backbone, self.decoder, self.stride = made.backbone, made.decoder, divisor
        for part in self.backbone.modules():
            if type(part).__name__ == "VitDetAttention":
                part.__class__ = _frugal()
        # As the processor of transformers computes them, levels of 255 and their share in one.
        self.register_buffer("mean", 255 * torch.tensor([*mean]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor([*std]).view(3, 1, 1), persistent=False)

    @property
    def device(self) -> torch.device:
        return self.mean.device

    @property
    def dtype(self) -> torch.dtype:
        """In which the transformer computes."""
        return next(self.backbone.parameters()).dtype

    @property
    def recompute(self) -> bool:
        """Whether the transformer's layers keep their inputs only (gradient checkpointing)."""
        return self._recompute

    @recompute.setter
    def recompute(self, wanted: bool) -> None:
        if wanted != self._recompute:  # transformers is about to rename these
            kind = "activation" if hasattr(self.backbone, "activation_checkpointing_enable") else "gradient"
            getattr(self.backbone, f"{kind}_checkpointing_{'enable' if wanted else 'disable'}")()
        self._recompute = wanted

    def begin(self, image: np.ndarray, trimap: np.ndarray) -> VitMatteSession:
        """See deepmat.inference.predictor.Predictor.begin."""
        return VitMatteSession(self, image, trimap)

    def depth(self, name: str) -> int:
        """How many layers of the transformer lie above a parameter (deepmat.training.optimisers.by_depth)."""
        layers = len(self.backbone.encoder.layer)
        if name.startswith("backbone.embeddings."):
            return layers + 1
        place = re.match(r"backbone\.encoder\.layer\.(\d+)\.(?!residual\.)", name)
        return layers - int(place[1]) if place else 0

    @staticmethod
    def recognise(state: Mapping[str, Tensor]) -> VitMatteConfig | None:
        """None: weights of transformers have their config beside them (deepmat.models.folders)."""
        return None

    def forward(self, image: Tensor, trimap: Tensor) -> dict[str, Tensor]:
        """{"alpha": [N, 1, H, W] in [0, 1]} of RGB [N, 3, H, W] and trimaps [N, 1, H, W] of 0, 128, 255; any H, W."""
        height, width = trimap.shape[2:]
        seen = torch.cat([(image.float() - self.mean) / self.std, trimap.float() / 255], 1)
        seen = F.pad(seen, (0, -width % self.stride, 0, -height % self.stride))
        features = self.backbone(seen.to(self.dtype)).feature_maps[-1]
        with torch.autocast(seen.device.type, enabled=False):
            alpha = self.decoder(features.float(), seen)
        return {"alpha": alpha[:, :, :height, :width]}


def in_bf16(model: VitMatte) -> VitMatte:
    """A copy for prediction whose transformer computes in bfloat16, its decoder in float32."""
    made = copy.deepcopy(model)
    made.backbone.to(torch.bfloat16)
    return made
