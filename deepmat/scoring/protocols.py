"""Protocols: the ways to score that tools of the field use.

The same mattes get different scores from different tools, since each tool settles these choices in its own way:

| choice | meaning |
|---|---|
| levels | what SAD, MSE, MAD get of a float alpha: 8 bits, rounded ("round") or cut ("cut"), or floats ("float") |
| saved | what Grad and Conn get of it: 8 bits, rounded or cut |
| errors | the region (metrics.REGIONS) of SAD, MSE and MAD |
| over | the region whose pixels MSE and MAD are divided by |
| structure | the region of Grad and Conn |
| masked | whether known pixels are first set to the trimap's values |
| stretched | whether each alpha is stretched to [0, 1] by its own minimum and maximum before every score |
| options | arguments of single metrics: whether Grad stretches; Conn's floats and whether the background counts |
| geometry | settings of the network (those of TestConfig) |

In all of them the unknown region is where the trimap is 128. `read_trimap` maps other levels to 0, 128, 255, with a
notice; tools that compare with 128 alone score a trimap of 127 as 0.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np

from deepmat.errors import lookup
from deepmat.imaging import to_uint8
from deepmat.imaging.trimap import unknown_region
from deepmat.scoring.metrics import METRICS, REGIONS

Levels = Literal["round", "cut", "float"]


class Protocol(NamedTuple):
    """A set of choices, as the table above has them. The defaults are those of the benchmark's MATLAB code."""

    about: str
    levels: Levels = "round"
    saved: Levels = "round"
    errors: str = "unknown"
    over: str = "unknown"
    structure: str = "unknown"
    masked: bool = False
    stretched: bool = False
    options: Mapping[str, Mapping[str, Any]] = {}
    geometry: Mapping[str, Any] = {}


FULL_SIZE = {"mode": "whole", "fit": "keep", "max_size": 1 << 16}
PROTOCOLS: dict[str, Protocol] = {
    "matlab": Protocol("the benchmark's MATLAB code on 8-bit files, as papers report it"),
    "mmagic": Protocol(
        "MMagic: errors over the whole picture, divided by the unknown pixels; Conn in double precision; full size",
        errors="whole",
        masked=True,
        options={"conn": {"width": "double"}},
        geometry=FULL_SIZE,
    ),
    "reference": Protocol(
        "pytorch-deep-image-matting: each side stretched to at most 1600, errors of floats over the whole picture, "
        "divided by the unknown pixels; files are cut to 8 bits",
        levels="float",
        saved="cut",
        errors="whole",
        masked=True,
        geometry={"mode": "whole", "fit": "stretch", "max_size": 1600},
    ),
    "port": Protocol(
        "the Python port that many repositories share: files cut to 8 bits, Grad not stretched, Conn in double "
        "precision and with the background as a component",
        levels="cut",
        saved="cut",
        options={"grad": {"stretch": False}, "conn": {"width": "double", "background": True}},
    ),
    "whole": Protocol(
        "the whole picture, as tools without trimaps score portraits", errors="whole", over="whole", structure="whole"
    ),
    "matlab-cut": Protocol("matlab, but files cut to 8 bits", levels="cut", saved="cut"),
    "matlab-float": Protocol("matlab, but SAD, MSE and MAD of floats", levels="float"),
    "matlab-double": Protocol("matlab, but Conn in double precision", options={"conn": {"width": "double"}}),
    "matlab-background": Protocol(
        "matlab, but Conn with the background as a component", options={"conn": {"background": True}}
    ),
    "matlab-unstretched": Protocol("matlab, but Grad of unstretched alphas", options={"grad": {"stretch": False}}),
    "matlab-stretched": Protocol("matlab, but all scores of stretched alphas", stretched=True),
}
"""By name; one whose name has a hyphen varies a single choice of another."""
DEFAULT = "matlab"
STRUCTURE = ("grad", "conn")
"""Metrics that depend on a pixel's neighbourhood; the others are pixelwise errors."""
COUNTED = ("mse", "mad")
"""The errors that are means."""


def choose(names: Iterable[str]) -> dict[str, Protocol]:
    """The protocols of those names; "all" is every one. Raises ConfigError for an unknown name."""
    chosen: dict[str, Protocol] = {}
    for name in names:
        chosen |= PROTOCOLS if name == "all" else {name: lookup(PROTOCOLS, name, "protocol")}
    return chosen


def in_levels(alpha: np.ndarray, levels: Levels) -> np.ndarray:
    """A float alpha, [H, W], as it is scored; uint8 alphas are returned unchanged."""
    if alpha.dtype == np.uint8 or levels == "float":
        return alpha
    return to_uint8(alpha) if levels == "round" else (np.clip(alpha, 0, 1) * 255).astype(np.uint8)


def _stretch(alpha: np.ndarray) -> np.ndarray:
    """An alpha stretched to its full range: uint8 to [0, 255], floats to [0, 1]; one of a single value as it is."""
    if alpha.min() == alpha.max():
        return alpha
    top = 255.0 if alpha.dtype == np.uint8 else 1.0
    return np.asarray(cv2.normalize(alpha, np.empty_like(alpha), 0, top, cv2.NORM_MINMAX))


def _with_known(pred: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """A copy of a matte with known pixels set to the trimap's values."""
    values = trimap if pred.dtype == np.uint8 else trimap / pred.dtype.type(255)
    return np.where(unknown_region(trimap), pred, values)


def score(
    protocol: Protocol,
    pred: np.ndarray,
    alpha: np.ndarray,
    trimap: np.ndarray,
    metrics: Iterable[str] = tuple(METRICS),
    region: str | None = None,
) -> dict[str, float]:
    """The scores of a matte by a protocol, by metric. Empty if the region that they are over has no pixels.

    pred: float32 [H, W] in [0, 1] of a network or a file of over 8 bits, or uint8 [H, W]. alpha: uint8 [H, W]. trimap:
    uint8 [H, W] of 0, 128, 255. region: one of metrics.REGIONS in place of the protocol's own. Raises ConfigError for
    an unknown metric or region.
    """
    regions = {
        name: lookup(REGIONS, name, "region")(alpha, trimap)
        for name in ({region} if region else {protocol.errors, protocol.over, protocol.structure})
    }
    errors, over, structure = (regions[region or name] for name in (protocol.errors, protocol.over, protocol.structure))
    if not over.any():  # a matte that nothing is asked of would score 0 like a perfect one
        return {}
    if protocol.masked:
        pred = _with_known(pred, trimap)
    scores = {}
    for name in metrics:
        structural = name in STRUCTURE
        pair = in_levels(pred, protocol.saved if structural else protocol.levels), alpha
        if protocol.stretched:
            pair = _stretch(pair[0]), _stretch(pair[1])
        options = dict(protocol.options.get(name, {}))
        if name in COUNTED:
            options["over"] = over
        scores[name] = lookup(METRICS, name, "metric")(*pair, structure if structural else errors, **options)
    return scores
