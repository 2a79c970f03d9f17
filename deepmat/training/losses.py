"""Loss terms: functions of the model's outputs and the batch, by name. Their weights are the config's `loss`.

outputs: {"alpha": float [N, 1, H, W] in [0, 1]}, and "coarse" alike where the model refines.
batch: "alpha" float [N, 1, H, W] in [0, 1], "composite", "fg", "bg" float [N, 3, H, W] in 0 ... 255,
"unknown" float [N, 1, H, W], 1 where the trimap is unknown, else 0; "count" float or float [], the number of unknown
pixels in the whole step + 1; "known" alike of known pixels.
Each term is a scalar: a sum over unknown pixels divided by "count" ("known_l1": over known ones, by "known";
"pyramid": over both, by both). Since the parts of a step (processes, accumulated batches) share its counts, their terms
add up to those of the whole step.
Every term but "refined" is of the encoder-decoder's alpha: the coarse one where the model refines, else the only one.
"""

from collections.abc import Callable, Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from deepmat.errors import lookup

Tensors = Mapping[str, Tensor]


def _charbonnier(difference: Tensor) -> Tensor:
    """sqrt(x^2 + 1e-12), a smooth |x| (Deep Image Matting, equations 1 and 2)."""
    return torch.sqrt(difference**2 + 1e-12)


def _mean_unknown(values: Tensor, batch: Tensors) -> Tensor:
    """Sum over the unknown pixels, mean over channels, divided by "count"."""
    return (values * batch["unknown"]).sum() / batch["count"] / values.shape[1]


def _first_alpha(outputs: Tensors, batch: Tensors) -> Tensor:
    """The encoder-decoder's alpha in the batch's precision, whatever autocast made it in."""
    return outputs.get("coarse", outputs["alpha"]).to(batch["alpha"].dtype)


def _error(outputs: Tensors, batch: Tensors) -> Tensor:
    """Predicted minus true alpha [N, 1, H, W]; 0 in known pixels."""
    return (_first_alpha(outputs, batch) - batch["alpha"]) * batch["unknown"]


def alpha(outputs: Tensors, batch: Tensors) -> Tensor:
    """Alpha loss (Deep Image Matting, equation 1)."""
    return _mean_unknown(_charbonnier(_first_alpha(outputs, batch) - batch["alpha"]), batch)


def composition(outputs: Tensors, batch: Tensors) -> Tensor:
    """Composition loss (equation 2): difference of the composite with the predicted alpha and the true composite."""
    predicted = _first_alpha(outputs, batch)
    composite = predicted * batch["fg"] + (1 - predicted) * batch["bg"]
    return _mean_unknown(_charbonnier(composite - batch["composite"]) / 255, batch)


def refined(outputs: Tensors, batch: Tensors) -> Tensor:
    """Alpha loss of the refined alpha."""
    return _mean_unknown(_charbonnier(outputs["alpha"] - batch["alpha"]), batch)


def l1(outputs: Tensors, batch: Tensors) -> Tensor:
    """Mean absolute error: the alpha loss without its smoothing."""
    return _error(outputs, batch).abs().sum() / batch["count"]


def known_l1(outputs: Tensors, batch: Tensors) -> Tensor:
    """Mean absolute error over the known pixels (ViTMatte), whose alpha a network without it leaves to chance."""
    difference = _first_alpha(outputs, batch) - batch["alpha"]
    return (difference * (1 - batch["unknown"])).abs().sum() / batch["known"]


# The pyramid's filter, [1 4 6 4 1] / 16 along both axes (Burt and Adelson 1983, a = 3/8), is the mean of two neighbours
# taken four times. Poolings do it, since autocast and TF32 would round convolutions.
def _means(values: Tensor, times: int) -> Tensor:
    for _ in range(times):
        values = F.avg_pool2d(values, 2, stride=1)
    return values


def _reduce(values: Tensor) -> Tensor:
    """Filter and halve: [N, 1, H, W] to [N, 1, ceil(H / 2), ceil(W / 2)]; the border is replicated."""
    return F.avg_pool2d(_means(F.pad(values, (2, 2, 2, 2), mode="replicate"), 3), 2)


def _expand(values: Tensor, height: int, width: int) -> Tensor:
    """Double and filter: [N, 1, ceil(height / 2), ceil(width / 2)] to [N, 1, height, width]."""
    # Repeating each pixel equals inserting zeros and taking the first of the four means, times two.
    doubled = F.interpolate(F.pad(values, (1, 1, 1, 1), mode="replicate"), scale_factor=2, mode="nearest")
    return _means(doubled, 3)[..., 1 : height + 1, 1 : width + 1]


def _details(values: Tensor) -> Iterator[Tensor]:
    """Levels 1 ... 5 of the Laplacian pyramid, from fine to coarse. Pictures may have any size."""
    for _ in range(5):
        below = _reduce(values)
        yield values - _expand(below, *values.shape[-2:])
        values = below


def laplacian(outputs: Tensors, batch: Tensors) -> Tensor:
    """Laplacian loss (Hou and Liu 2019, Context-Aware Image Matting): sum over s = 1 ... 5 of 2^(s - 1) |L_s|_1.

    L_s is level s, from fine to coarse, of the Laplacian pyramid of the error. The residual below the five levels does
    not count, so a constant error over a picture that is unknown throughout costs nothing.
    """
    levels = [2**level * values.abs().sum() for level, values in enumerate(_details(_error(outputs, batch)))]
    return torch.stack(levels).sum() / batch["count"]


def pyramid(outputs: Tensors, batch: Tensors) -> Tensor:
    """Laplacian loss of ViTMatte's code: mean over s = 1 ... 5 of 2^(s - 1) mean |L_s|, over known pixels too.

    Coarse levels weigh more than in `laplacian`: level s has a pixel for 4^(s - 1) of the picture's.
    """
    difference = _first_alpha(outputs, batch) - batch["alpha"]
    levels = [8**level * values.abs().sum() for level, values in enumerate(_details(difference))]
    return torch.stack(levels).sum() / 5 / (batch["count"] + batch["known"])


def gradient(outputs: Tensors, batch: Tensors) -> Tensor:
    """L1 norm of the error's gradient, |d/dx| + |d/dy| as differences of neighbouring pixels.

    Differences between unknown and known pixels count: a constant error costs something along the edge only.
    """
    error = _error(outputs, batch)
    return (error.diff(dim=-1).abs().sum() + error.diff(dim=-2).abs().sum()) / batch["count"]


def _sobel(values: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel's filters along x and y, [-1 0 1] by [1 2 1]; [N, 1, H, W] each. Beyond the border everything is 0.

    Slices do it: autocast and TF32 would round convolutions.
    """
    padded = F.pad(values, (1, 1, 1, 1))
    across, down = padded[..., 2:] - padded[..., :-2], padded[..., 2:, :] - padded[..., :-2, :]
    return (
        across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :],
        down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:],
    )


def _steepness(values: Tensor, batch: Tensors) -> Tensor:
    across, down = _sobel(values)
    return _mean_unknown(across.abs() + down.abs(), batch)


def sobel(outputs: Tensors, batch: Tensors) -> Tensor:
    """L1 norm of the error's gradient by Sobel's filters, the first half of the gradient penalty of ViTMatte's code.

    At unknown pixels, which see their known neighbours as predicted. The filters are not normalised: a ramp of 1 a
    pixel has 8.
    """
    return _steepness(_first_alpha(outputs, batch) - batch["alpha"], batch)


def steepness(outputs: Tensors, batch: Tensors) -> Tensor:
    """L1 norm of alpha's own gradient, as `sobel`; the other half of that penalty, by 0.01.

    It is no error: the true alpha has some too, and a flat one none.
    """
    return _steepness(_first_alpha(outputs, batch), batch)


LOSSES: dict[str, Callable[[Tensors, Tensors], Tensor]] = {
    "alpha": alpha,
    "composition": composition,
    "refined": refined,
    "l1": l1,
    "known_l1": known_l1,
    "laplacian": laplacian,
    "gradient": gradient,
    "pyramid": pyramid,
    "sobel": sobel,
    "steepness": steepness,
}


def weighted_sum(outputs: Tensors, batch: Tensors, weights: Mapping[str, float]) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the weighted sum of the terms, and each term unweighted. Terms of weight 0 are left out.

    Raises ConfigError for a term that is not in LOSSES.
    """
    terms = {name: lookup(LOSSES, name, "loss")(outputs, batch) for name, weight in weights.items() if weight}
    total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
    return total, terms
