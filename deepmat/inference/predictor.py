"""The contract of a network that predicts: it sees a picture once, then answers for parts of it.

The rest of deepmat knows no more of a network than this. `deepmat.models.session.Windows` is the session of any network
that sees each window alone; a network that knows more of the picture writes its own.
"""

from typing import Protocol

import numpy as np
import torch

from deepmat.models.session import Correction, Window


class Session(Protocol):
    """A picture that a network sees."""

    notices: list[str]
    """Remarks on what did not go as planned, for the user."""

    def part(self, window: Window | None, size: tuple[int, int] | None = None) -> np.ndarray:
        """Alpha, float32 [h, w], of a window, or with None of the whole picture, seen at once.

        size: height and width, multiples of the stride, to which the network sees that part stretched; alpha is then
        computed in known regions too, since a stretched trimap loses some of what is unknown. Raises TooLarge where
        the memory does not suffice.
        """
        ...

    def finish(self, alpha: np.ndarray) -> np.ndarray:
        """The alpha of the whole picture, float32 [H, W], from the answers for its parts put together. Called once."""
        ...


class Predictor(Protocol):
    """A network that predicts."""

    stride: int
    """Windows begin at multiples of so many pixels, and are padded to them."""
    reach: int
    """Pixels around a window that matter to its alpha, a multiple of the stride."""
    bytes_a_pixel: int
    """Memory that the network takes for each pixel it sees at once."""
    enlarge_up_to: int
    """Pictures of up to so many pixels a side are seen at twice their size; 0 for none."""
    shrink_from: int
    """Mode auto sees pictures of so many pixels at half their size, and larger ones smaller still (`predict`); 0 for
    full size always."""
    first_look: Correction | None
    """What is done to the alpha of a first look at a smaller copy, by which mode auto narrows a wide trimap (`see`);
    None for no such look."""
    correction: Correction | None
    """What is done last to the alpha of a whole picture; None for nothing."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        ...

    def begin(self, image: np.ndarray, trimap: np.ndarray) -> Session:
        """Look at a picture, uint8 RGB [H, W, 3], with its trimap, uint8 [H, W] of 0, 128, 255."""
        ...
