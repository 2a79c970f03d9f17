"""A network of some twenty lines, as whoever adds one to deepmat writes it: its alpha is the picture's red channel."""

from typing import Literal

import torch

from deepmat.config import ModelSection
from deepmat.models.session import Windows


class ToyOptions(ModelSection):
    arch: Literal["toy"] = "toy"
    gain: float = 1.0


class Toy(torch.nn.Module):
    OPTIONS, PARTS, LASTING, UNSEEN = ToyOptions, {"all": ("gain",)}, (), ()
    FIRST_WEIGHTS = "deepmat train --config toy.yaml"
    stride, reach, bytes_a_pixel, enlarge_up_to, shrink_from = 32, 64, 100, 0, 0
    first_look, correction = None, None

    def __init__(self, gain=1.0):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(gain))

    @property
    def device(self):
        return self.gain.device

    def begin(self, image, trimap):
        return Windows(self, image, trimap)

    @staticmethod
    def recognise(state):
        return None

    def forward(self, image, trimap):
        return {"alpha": self.gain * image[:, :1] / 255}
