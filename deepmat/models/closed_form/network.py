"""Closed-form matting as a network without weights, to compare others with."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from deepmat.config import ClosedFormConfig
from deepmat.imaging.closed_form import closed_form
from deepmat.models.session import Window, stretch


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
    stride, reach, enlarge_up_to, shrink_from, first_look, correction = 1, 2, 0, 0, None, None
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
