"""Loss terms: name -> function of the model's outputs and the batch. Their weights are data (the config's `loss`).

outputs: {"alpha": float [N, 1, H, W] in [0, 1]}, with "coarse" beside it where the model refines.
batch: "alpha" float [N, 1, H, W] in [0, 1], "composite", "fg", "bg" float [N, 3, H, W] in 0 ... 255,
"unknown" float [N, 1, H, W], 1 where the trimap is unknown, else 0.
Each term is a scalar: a mean over the unknown pixels of the whole batch.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from deepmat.errors import lookup

Tensors = Mapping[str, Tensor]


def _charbonnier(difference: Tensor) -> Tensor:
    """sqrt(x^2 + 1e-12), a smooth |x| (Deep Image Matting, equations 1 and 2)."""
    return torch.sqrt(difference**2 + 1e-12)


def _mean_unknown(values: Tensor, batch: Tensors) -> Tensor:
    """Sum over the unknown pixels, mean over channels, divided by (number of unknown pixels + 1)."""
    unknown = batch["unknown"]
    return (values * unknown).sum() / batch["count"] / values.shape[1]


def _first_alpha(outputs: Tensors) -> Tensor:
    return outputs.get("coarse", outputs["alpha"])


def alpha(outputs: Tensors, batch: Tensors) -> Tensor:
    """Alpha loss (Deep Image Matting, equation 1) of the encoder-decoder's alpha, the coarse one where both exist."""
    return _mean_unknown(_charbonnier(_first_alpha(outputs) - batch["alpha"]), batch)


def composition(outputs: Tensors, batch: Tensors) -> Tensor:
    """Composition loss (equation 2) of the encoder-decoder's alpha: the picture made with it against the true one."""
    predicted = _first_alpha(outputs)
    composite = predicted * batch["fg"] + (1 - predicted) * batch["bg"]
    return _mean_unknown(_charbonnier(composite - batch["composite"]) / 255, batch)


def refined(outputs: Tensors, batch: Tensors) -> Tensor:
    """Alpha loss of the refined alpha."""
    return _mean_unknown(_charbonnier(outputs["alpha"] - batch["alpha"]), batch)


LOSSES: dict[str, Callable[[Tensors, Tensors], Tensor]] = {
    "alpha": alpha,
    "composition": composition,
    "refined": refined,
}


def weighted_sum(outputs: Tensors, batch: Tensors, weights: Mapping[str, float]) -> tuple[Tensor, dict[str, Tensor]]:
    """The total loss and each term of `weights` by itself (terms of weight 0 are left out).

    ConfigError for a term that is not in LOSSES.
    """
    terms = {name: lookup(LOSSES, name, "loss")(outputs, batch) for name, weight in weights.items() if weight}
    total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
    return total, terms
