"""Closed-form matting as a network without weights, to compare others with.

Levin, Lischinski and Weiss, "A closed-form solution to natural image matting", PAMI 2008. What is known holds exactly,
and the equations are solved from coarse to fine, since conjugate gradients carry knowledge one pixel further a step.
"""

from collections.abc import Mapping

import cv2
import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, cg
from torch import Tensor, nn

from deepmat.config import ClosedFormConfig
from deepmat.imaging.trimap import UNKNOWN, unknown_region
from deepmat.models.closed_form.laplacian import system
from deepmat.models.session import Window, stretch

COARSEST = 32
"""Pixels of the shorter side at which nothing coarser is solved first."""
STEPS, TOLERANCE = 500, 1e-4
"""Most steps of conjugate gradients, and the residual at which they end, relative to the right side."""


def closed_form(image: np.ndarray, trimap: np.ndarray, epsilon: float) -> np.ndarray:
    """Alpha, float32 [H, W] in [0, 1], of a picture, uint8 [H, W, 3].

    trimap: uint8 [H, W]; all but 0 and 255 is unknown. Where nothing is known, alpha is 0.5.
    """
    unknown = unknown_region(trimap)
    if unknown.all():
        return np.full(trimap.shape, 0.5, np.float32)
    alpha = (trimap / 255).astype(np.float32)
    if unknown.any():
        matrix, right = system(image, trimap, epsilon)
        diagonal = matrix.diagonal() + 1e-6
        divide = LinearOperator(matrix.shape, lambda residual: residual / diagonal, dtype=np.float32)
        start = _coarse(image, trimap, epsilon)[unknown]
        found, _ = cg(matrix, right, start, rtol=TOLERANCE, maxiter=STEPS, M=divide)
        alpha[unknown] = found.clip(0, 1)
    return alpha


def _coarse(image: np.ndarray, trimap: np.ndarray, epsilon: float) -> np.ndarray:
    """The alpha of the picture at half its size, enlarged; 0.5 for small pictures."""
    height, width = trimap.shape
    if min(height, width) <= COARSEST:
        return np.full(trimap.shape, 0.5, np.float32)
    size = (width + 1) // 2, (height + 1) // 2
    small, levels = (cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) for pixels in (image, trimap))
    levels[unknown_region(levels)] = UNKNOWN
    return stretch(closed_form(small, levels, epsilon), (height, width))


class ClosedFormSession:
    """See deepmat.inference.predictor.Session. Each part is solved alone."""

    def __init__(self, network: "ClosedForm", image: np.ndarray, trimap: np.ndarray) -> None:
        self.network, self.image, self.trimap = network, image, trimap
        self.notices: list[str] = []

    def part(self, window: Window | None, size: tuple[int, int] | None = None) -> np.ndarray:
        """See Session.part."""
        inside = window or np.s_[:, :]
        image, trimap = self.image[inside], self.trimap[inside]
        if size is None:
            return closed_form(image, trimap, self.network.epsilon)
        found = closed_form(stretch(image, size), stretch(trimap, size), self.network.epsilon)
        return stretch(found, (trimap.shape[0], trimap.shape[1]))

    def finish(self, alpha: np.ndarray) -> np.ndarray:
        """See Session.finish: nothing is left to do."""
        return alpha


class ClosedForm(nn.Module):
    """See deepmat.inference.predictor.Predictor. It computes on the CPU, and has nothing to train.

    epsilon: weight of the slope of alpha over colour.
    """

    OPTIONS = ClosedFormConfig
    PARTS: dict[str, tuple[str, ...]] = {}
    LASTING = ()
    UNSEEN = ()
    stride, reach, enlarge_up_to = 1, 2, 0
    bytes_a_pixel = 600
    device = torch.device("cpu")

    def __init__(self, epsilon: float = 1e-7) -> None:
        super().__init__()
        self.epsilon = epsilon

    def begin(self, image: np.ndarray, trimap: np.ndarray) -> ClosedFormSession:
        """See deepmat.inference.predictor.Predictor.begin."""
        return ClosedFormSession(self, image, trimap)

    @staticmethod
    def recognise(state: Mapping[str, Tensor]) -> ClosedFormConfig | None:
        """None: it has no weights."""
        return None

    def forward(self, image: Tensor, trimap: Tensor) -> dict[str, Tensor]:
        """{"alpha": [N, 1, H, W] in [0, 1]} of pictures RGB [N, 3, H, W] and trimaps [N, 1, H, W], both 0 ... 255."""
        pictures = image.permute(0, 2, 3, 1).byte().cpu().numpy()
        alphas = [
            closed_form(np.ascontiguousarray(picture), levels, self.epsilon)
            for picture, levels in zip(pictures, trimap[:, 0].byte().cpu().numpy(), strict=True)
        ]
        return {"alpha": torch.from_numpy(np.stack(alphas)[:, None]).to(image.device)}
