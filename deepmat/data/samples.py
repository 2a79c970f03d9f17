"""Training samples by number: each is a function of (seed, epoch, index, scale)."""

from collections.abc import Sequence
from typing import Any, TypedDict, cast

import numpy as np

from deepmat import imaging
from deepmat.config import AugmentConfig, DataConfig, Large
from deepmat.data.augment import Layers, Options, at_size, make_sample
from deepmat.data.origins import Origin
from deepmat.errors import DataError
from deepmat.imaging.closed_form import coarse

STEPS = 60
"""Steps of closed-form matting at each size; samples are small."""


class Sample(TypedDict, total=False):
    """A training sample; shapes and values are in the table of deepmat.data."""

    name: str
    image: np.ndarray
    composite: np.ndarray
    fg: np.ndarray
    bg: np.ndarray
    alpha: np.ndarray
    trimap: np.ndarray
    matte: np.ndarray


class TrainingSet:
    """The samples of all origins, one origin after the other, by (epoch, index, scale).

    matte: with the alpha of closed-form matting at half size. scale: multiplies the size of the sample in the config. A
    picture that cannot be used gives its DataError in place of a sample, since worker processes would lose the message
    of an exception.
    """

    def __init__(self, origins: Sequence[Origin], config: DataConfig, seed: int, matte: bool = False) -> None:
        self.origins, self.seed = origins, seed
        self.augment, self.doubled, self.matte = config.augment, config.doubled, matte

    def __len__(self) -> int:
        return sum(map(len, self.origins))

    def __getitem__(self, at: tuple[int, int, int]) -> Sample | DataError:
        epoch, index, scale = at
        rng = np.random.default_rng([self.seed, epoch, index, 1])  # [seed, epoch] is that of the order
        fold = 2 if self.doubled and rng.random() < self.doubled else 1
        options = enlarged(self.augment, scale / fold)
        for origin in self.origins:
            if index < len(origin):
                break
            index -= len(origin)
        try:
            name, layers = origin.open(index, rng)
            layers["second"] = lambda: _foreground(origin, rng, options)
            sample = make_sample(layers, rng, options)
            if self.matte:
                sample["matte"] = imaging.to_uint8(coarse(sample["image"], sample["trimap"], steps=STEPS))
            if fold > 1:
                sample = {kind: pixels.repeat(fold, 0).repeat(fold, 1) for kind, pixels in sample.items()}
            return cast(Sample, {"name": name, **sample})
        except DataError as error:
            return error


LENGTHS = {"affine": "window", "crop": "sizes", "resize": "size", "distance_trimap": "width", "blots": "radius"}
"""The option of each step that is in pixels."""


def enlarged(config: AugmentConfig, scale: float) -> dict[str, Any]:
    """The options of each step, with lengths in pixels multiplied by `scale`; whole ones stay 1 or more."""
    options = config.model_dump()
    for step, key in LENGTHS.items():
        if options[step]:
            lengths = options[step][key]
            scaled = [
                max(1, int(scale * length)) if isinstance(length, int) else scale * length
                for length in np.atleast_1d(lengths).tolist()
            ]
            options[step][key] = scaled if isinstance(lengths, list) else scaled[0]
    return options


def _foreground(origin: Origin, rng: np.random.Generator, options: Options) -> Layers:
    """The layers of a random foreground of the origin after `resize`."""
    _, layers = origin.open(int(rng.integers(len(origin))), rng)
    return at_size(layers, rng, options)


def times_at(step: int, large: Large | None) -> int:
    """The scale of the samples of a step: `large.times` in the last of each `large.every` steps, else 1."""
    return large.times if large and (step + 1) % large.every == 0 else 1
