"""A picture that lite sees: at once as its forward() does, or in parts that know of the rest from a smaller copy."""

from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from deepmat.errors import TooLarge
from deepmat.models.lite.overview import hinted, overview, settle
from deepmat.models.session import Window, Windows, WindowsNearUnknown, as_tensor, forward


class Overview(NamedTuple):
    """What parts of a picture are given of the whole of it."""

    beyond: Tensor
    """`cues.summary` of the whole picture."""
    trimap: np.ndarray
    """uint8 [H, W]: the trimap with hints (`overview.hinted`) in its unknown region."""
    copy: tuple[int, Tensor] | None
    """How many times smaller the copy was, and its alpha; None for a picture that needs no copy."""


class LiteSession(Windows):
    """See deepmat.inference.predictor.Session."""

    @cached_property
    @torch.inference_mode()
    def overview(self) -> Overview | None:
        """Made when the first part is asked for; None where the memory does not suffice even for the small copy."""

        def network(small: Tensor, levels: Tensor) -> Tensor:
            return forward(self.network, small, levels, **self.options)

        image, trimap = as_tensor(self.network, self.image), as_tensor(self.network, self.trimap)
        try:
            beyond, copy = overview(network, image, trimap)
        except TooLarge:
            self.notices.append("the memory ran out for a view of the whole; each part is seen alone")
            return None
        if copy is None:
            return Overview(beyond, self.trimap, None)
        levels = hinted(trimap, *copy)[0, 0].nan_to_num().round().to(torch.uint8).cpu().numpy()
        return Overview(beyond, levels, copy)

    def part(self, window: Window | None, size: tuple[int, int] | None = None) -> np.ndarray:
        """See Session.part. The whole picture is seen by forward(), which makes its own overview."""
        inside = window or np.s_[:, :]
        if window is None or self.overview is None:
            return self.see(self.image[inside], self.trimap[inside], size)
        return self.see(self.image[inside], self.overview.trimap[inside], size, beyond=self.overview.beyond)

    def finish(self, alpha: np.ndarray) -> np.ndarray:
        """See Session.finish. Corrects the alpha of parts of a large picture, as forward() does that of a whole one."""
        made = self.__dict__.get("overview")
        if made and made.copy:
            times, small = made.copy
            settle(torch.from_numpy(alpha)[None, None], torch.from_numpy(self.trimap)[None, None], times, small.cpu())
        return alpha


class FastLiteSession(WindowsNearUnknown, LiteSession):
    """The session of the fast form, whose forward() leaves known neighbourhoods out."""
