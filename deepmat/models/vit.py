"""Plain vision transformers of transformers (ViT, DINO, DINOv2, MAE) as first weights of ViTMatte's backbone.

ViTMatte's backbone is such a transformer with relative positions and a few convolutions between its layers, which begin
with fresh weights. Its input has a fourth channel, the trimap, whose weights begin as zeros.
"""

import re
from collections.abc import Mapping
from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from deepmat.errors import CheckpointError

FORMAT = "vision transformer of transformers"
KINDS = ("vit", "vit_mae", "dinov2")
"""Their model_type in config.json."""
ENCODER_ONLY = "holds an encoder only; `deepmat train {}` makes a whole network of it"
LAYER = re.compile(r"(?:encoder\.layer|layers)\.(\d+)\.(.+)\.(weight|bias|lambda1)$")
NAMES = {
    "layernorm_before": "norm1",
    "norm1": "norm1",
    "layernorm_after": "norm2",
    "norm2": "norm2",
    "attention.attention.query": "query",
    "attention.q_proj": "query",
    "attention.attention.key": "key",
    "attention.k_proj": "key",
    "attention.attention.value": "value",
    "attention.v_proj": "value",
    "attention.output.dense": "attention.proj",
    "attention.o_proj": "attention.proj",
    "intermediate.dense": "mlp.fc1",
    "mlp.fc1": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "mlp.fc2": "mlp.fc2",
}
"""Parts of a layer, by their older and newer names, and what VitDet calls them; query, key and value are one there."""
SCALED = {"layer_scale1": "attention.proj", "layer_scale2": "mlp.fc2"}
"""DINOv2 scales what these give, which is the same as scaling their weights."""
PATCHES, POSITIONS = "backbone.embeddings.projection.weight", "backbone.embeddings.position_embeddings"


def translate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The transformer's weights by the names of ViTMatte's backbone. Heads, decoders and other tokens are left out."""
    found, scales = {}, {}
    for key, value in state.items():
        # Those of a whole model have a prefix, "vit.encoder.layer.0 ..."; a decoder's layers are others.
        name = re.sub(r"^(vit|dinov2)\.", "", key)
        if name.startswith("embeddings.patch_embeddings.projection."):
            found[f"backbone.embeddings.projection.{name.rpartition('.')[2]}"] = value
        elif name == "embeddings.position_embeddings":
            found[POSITIONS] = value
        elif match := LAYER.match(name):
            begin = f"backbone.encoder.layer.{match[1]}."
            if match[2] in SCALED:
                scales[begin + SCALED[match[2]]] = value
            elif match[2] in NAMES:
                found[f"{begin}{NAMES[match[2]]}.{match[3]}"] = value
    for name, scale in scales.items():
        for kind in ("weight", "bias"):
            if f"{name}.{kind}" in found:
                weight = found[f"{name}.{kind}"]
                found[f"{name}.{kind}"] = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    return _joined(found)


def _joined(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Join query, key and value of each layer, where all three are there."""
    for name in [name for name in state if ".query." in name]:
        three = [name.replace(".query.", f".{part}.") for part in ("query", "key", "value")]
        if all(each in state for each in three):
            state[name.replace(".query.", ".attention.qkv.")] = torch.cat([state.pop(each) for each in three])
    return state


def fitted(state: Mapping[str, Tensor], own: Mapping[str, Tensor], label: str) -> dict[str, Tensor]:
    """Translated weights in the shapes of a network's own: positions and patches are interpolated, channels are added.

    Raises CheckpointError for a network that is no ViTMatte, or of another width or depth. label: of the weights.
    """
    if PATCHES not in own:
        raise CheckpointError(f"{label}: a vision transformer; `deepmat train --config vitmatte` begins with it")
    fresh = (".rel_pos_", ".residual.")
    needed = [key for key in own if key.startswith("backbone.") and not any(part in key for part in fresh)]
    theirs, ours = (sum(key.endswith(".norm1.weight") for key in each) for each in (state, needed))
    lacking = [key for key in needed if key not in state]
    if theirs == ours and lacking:
        raise CheckpointError(f"{label}: has no {lacking[0]}; a vision transformer of another kind, take another")
    widths = [each[PATCHES].shape[0] if PATCHES in each else 0 for each in (state, own)]
    if widths[0] != widths[1] or theirs != ours:
        raise CheckpointError(
            f"{label}: a vision transformer of width {widths[0]} and {theirs} layers, this run's has {widths[1]} and "
            f"{ours}; model.size small takes 384 and 12, base 768 and 12"
        )
    made = dict(state)
    made[PATCHES] = _patches(state[PATCHES].float(), own[PATCHES])
    made[POSITIONS] = _positions(state[POSITIONS].float(), own[POSITIONS], label)
    return made


def _patches(kernel: Tensor, own: Tensor) -> Tensor:
    """[C, 3, p, p] -> [C, 4, q, q]; the sum over a patch stays about the same."""
    if kernel.shape[2:] != own.shape[2:]:
        area = kernel.shape[2] * kernel.shape[3] / (own.shape[2] * own.shape[3])
        kernel = F.interpolate(kernel, own.shape[2:], mode="bicubic", align_corners=False) * area
    return F.pad(kernel, (0, 0, 0, 0, 0, max(0, own.shape[1] - kernel.shape[1])))


def _positions(table: Tensor, own: Tensor, label: str) -> Tensor:
    """[1, 1 + n x n, C] -> [1, 1 + m x m, C], the first being that of the class token."""
    side, wanted = isqrt(table.shape[1] - 1), isqrt(own.shape[1] - 1)
    if side**2 != table.shape[1] - 1:
        raise CheckpointError(f"{label}: positions of no square picture ({table.shape[1]}); take another")
    grid = table[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    if side != wanted:
        grid = F.interpolate(grid, (wanted, wanted), mode="bicubic", align_corners=False)
    return torch.cat([table[:, :1], grid.flatten(2).transpose(1, 2)], 1)
