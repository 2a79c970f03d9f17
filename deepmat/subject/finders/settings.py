"""What an ONNX file does not say of a segmentation network: how it takes a picture, and what its map means."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from deepmat.errors import ConfigError, lookup

SIDES = range(16, 8193)
"""Pixels of a side that a network may be asked to take."""

Triple = tuple[float, float, float]


class Settings(NamedTuple):
    """What an ONNX file does not say: how it takes a picture, and what its map means."""

    side: int | None = None
    """Pixels of both sides of the input; None for what the file says, or 512 if it takes any."""
    mean: Triple = (0.485, 0.456, 0.406)
    std: Triple = (0.229, 0.224, 0.225)
    """The input is (colour / divisor - mean) / std. These are ImageNet's."""
    divisor: str = "255"
    """One of DIVISORS: 255, or max for the highest level of the picture."""
    output: str = "auto"
    """One of OUTPUTS."""


DIVISORS: dict[str, Callable[[np.ndarray], float]] = {
    "255": lambda levels: 255.0,
    "max": lambda levels: max(float(levels.max()), 1.0),
}


def _stretch(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.clip(values, 0, 1)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -values))


def _auto(values: np.ndarray) -> np.ndarray:
    return _stretch(values) if is_share(values) else _sigmoid(values)


def is_share(values: np.ndarray) -> bool:
    """Return whether the values are shares, from 0 to 1, but for rounding."""
    return bool(values.min() >= -0.01 and values.max() <= 1.01)


OUTPUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "auto": _auto,
    "minmax": _stretch,
    "sigmoid": _sigmoid,
    "clip": lambda values: np.clip(values, 0, 1),
}
"""From a network's map, float32 [h, w], to shares of the foreground. auto: sigmoid for values beyond 0 to 1, else
minmax, which stretches them to 0 to 1."""


def parse_settings(pairs: Iterable[str], base: Settings | None = None) -> Settings:
    """Return settings, changed by "side=512", "mean=0.5,0.5,0.5" and so on. Raises ConfigError for what is wrong."""
    parsers: dict[str, Callable[[str], Any]] = {
        "side": int,
        "mean": _triple,
        "std": _triple,
        "divisor": lambda text: text,
        "output": lambda text: text,
    }
    changes = {}
    for pair in pairs:
        key, _, text = pair.partition("=")
        parse = lookup(parsers, key.strip(), "setting of a network")
        try:
            changes[key.strip()] = parse(text.strip())
        except ValueError as error:
            raise ConfigError(
                f"finder.{pair}: not understood; write finder.side=512 or finder.mean=0.5,0.5,0.5"
            ) from error
    return check_settings((base or Settings())._replace(**changes))


def check_settings(settings: Settings) -> Settings:
    """Return the settings. Raises ConfigError for values that no network takes."""
    lookup(DIVISORS, settings.divisor, "finder.divisor")
    lookup(OUTPUTS, settings.output, "finder.output")
    if settings.side is not None and settings.side not in SIDES:
        raise ConfigError(f"finder.side={settings.side}: give {SIDES.start} to {SIDES.stop - 1} pixels")
    if not all(np.isfinite(settings.mean + settings.std)) or min(settings.std) <= 0:
        raise ConfigError(f"finder.mean {settings.mean}, finder.std {settings.std}: give numbers, std above 0")
    return settings


def _triple(text: str) -> Triple:
    """Return three numbers from "R,G,B", or from one for all three."""
    numbers = [float(number) for number in text.split(",")]
    if len(numbers) not in (1, 3):
        raise ValueError
    return numbers[0], numbers[len(numbers) // 2], numbers[-1]
