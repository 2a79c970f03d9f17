"""Training samples by number: a function of (seed, epoch, index, times) alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from deepmat.config import AugmentConfig, DataConfig, Large
from deepmat.data.augment import Layers, Options, at_size, make_sample
from deepmat.data.origins import Origin
from deepmat.errors import DataError


class TrainingSet:
    """Samples by (epoch, index, times), those of the origins one after the other.

    A sample is a dict of "name" and uint8 arrays (deepmat.data), so many times as large as the config's, a function
    of (seed, epoch, index, times) alone. A picture that cannot be used gives its DataError in place of a sample.
    """

    def __init__(self, origins: Sequence[Origin], config: DataConfig, seed: int) -> None:
        self.origins, self.seed = origins, seed
        self.augment, self.doubled = config.augment, config.doubled

    def __len__(self) -> int:
        return sum(map(len, self.origins))

    def __getitem__(self, at: tuple[int, int, int]) -> dict[str, Any] | DataError:
        epoch, index, times = at
        rng = np.random.default_rng([self.seed, epoch, index, 1])  # [seed, epoch] alone is that of the order
        fold = 2 if self.doubled and rng.random() < self.doubled else 1
        options = enlarged(self.augment, times / fold)
        for origin in self.origins:
            if index < len(origin):
                break
            index -= len(origin)
        try:
            name, layers = origin.open(index, rng)
            layers["second"] = lambda: _foreground(origin, rng, options)
            sample = make_sample(layers, rng, options)
            if fold > 1:
                sample = {kind: pixels.repeat(fold, 0).repeat(fold, 1) for kind, pixels in sample.items()}
            return {"name": name, **sample}
        except DataError as error:
            return error


LENGTHS = {"affine": "window", "crop": "sizes", "resize": "size", "distance_trimap": "width", "blots": "radius"}
"""Options in pixels that grow with the sample."""


def enlarged(config: AugmentConfig, times: float) -> dict[str, Any]:
    """The options of each step, for samples so many times as large."""
    options = config.model_dump()
    for step, key in LENGTHS.items():
        if options[step]:
            lengths = options[step][key]
            scaled = [type(length)(times * length) for length in np.atleast_1d(lengths).tolist()]
            options[step][key] = scaled if isinstance(lengths, list) else scaled[0]
    return options


def _foreground(origin: Origin, rng: np.random.Generator, options: Options) -> Layers:
    """Another foreground of the origin, as far as `resize`."""
    _, layers = origin.open(int(rng.integers(len(origin))), rng)
    return at_size(layers, rng, options)


def times_at(step: int, large: Large | None) -> int:
    """How many times as large as the config's the samples of a step are: of the last of each `large.every`."""
    return large.times if large and (step + 1) % large.every == 0 else 1
