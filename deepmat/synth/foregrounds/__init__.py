"""The kinds of foreground. Each draws the layers of a subject, with exact alpha, as far as a view shows it."""

from collections.abc import Callable

import numpy as np

from deepmat.errors import lookup
from deepmat.synth.camera import finish
from deepmat.synth.drawing import View, check_sides, whole
from deepmat.synth.foregrounds.clear import glass, smoke
from deepmat.synth.foregrounds.plumes import dandelion, feathers, tuft
from deepmat.synth.foregrounds.solids import blob, leaves
from deepmat.synth.foregrounds.strands import fur, hair
from deepmat.synth.foregrounds.things import flag, plant, sieve, thing, veil
from deepmat.synth.foregrounds.woven import basket, lace, net

Kind = Callable[[np.random.Generator, View], np.ndarray]

KINDS: dict[str, Kind] = {
    "hair": hair,
    "fur": fur,
    "feathers": feathers,
    "dandelion": dandelion,
    "net": net,
    "lace": lace,
    "glass": glass,
    "smoke": smoke,
    "leaves": leaves,
    "blob": blob,
    "thing": thing,
    "plant": plant,
    "sieve": sieve,
    "veil": veil,
    "flag": flag,
    "tuft": tuft,
    "basket": basket,
}


def foreground(rng: np.random.Generator, height: int, width: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """A random picture of one of KINDS, whole.

    Returns straight RGB colours, uint8 [H, W, 3], defined also where alpha is 0, and the true alpha, uint8 [H, W].
    ConfigError for a name that is not in KINDS, DataError if a side is under 32 pixels.
    """
    check_sides(height, width)
    view = whole(height, width)
    return finish(rng, lookup(KINDS, kind, "kind of foreground")(rng, view))
