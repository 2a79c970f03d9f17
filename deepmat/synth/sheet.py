"""A sheet of procedural pictures: what `deepmat synth --sheet` draws."""

from pathlib import Path

import numpy as np

from deepmat import imaging
from deepmat.errors import ConfigError
from deepmat.imaging.blend import COMPOSITORS
from deepmat.imaging.sheets import sheet
from deepmat.runtime.files import AnyPath, as_path
from deepmat.runtime.listing import is_picture
from deepmat.synth import KINDS, PLACES, background, foreground, scene

SIDE, SCENES = 256, 10
TITLES = ("image", "alpha", "foreground", "background", "cut out")


def draw_synth_sheet(path: AnyPath, *, seed: int = 0) -> None:
    """Write a sheet of every kind of procedural picture, and of some training scenes, to the picture `path`.

    Raises ConfigError for a path without a picture's extension or a negative seed, DataError if it cannot be written.
    """
    place = as_path(path, "path")
    check_sheet(place, seed)
    imaging.write_image(place, sheet(_rows(seed), titles=TITLES, side=SIDE))


def check_sheet(path: Path, seed: int) -> None:
    """Raise ConfigError for arguments that `draw_synth_sheet` does not take."""
    if not is_picture(path):
        raise ConfigError(f"--sheet {path}: not the name of a picture; write {path}.png")
    if seed < 0:
        raise ConfigError(f"--seed {seed}: it must be at least 0")


def _rows(seed: int) -> list[tuple[str, list[np.ndarray]]]:
    """Each kind of foreground over another kind of background, then training scenes."""
    squares = (np.indices((SIDE, SIDE)) // 16).sum(0) % 2
    board = np.repeat((90 + 80 * squares).astype(np.uint8)[..., None], 3, axis=2)
    blend = COMPOSITORS["cv2"].blend

    def row(colour: np.ndarray, alpha: np.ndarray, behind: np.ndarray) -> list[np.ndarray]:
        return [blend(colour, alpha, behind), alpha, colour, behind, blend(colour, alpha, board)]

    rows = []
    kinds, places = list(KINDS), list(PLACES)
    for i in range(max(len(kinds), len(places))):
        rng, kind, place = np.random.default_rng([seed, i]), kinds[i % len(kinds)], places[i % len(places)]
        thing = foreground(rng, SIDE, SIDE, kind)
        rows.append((f"{kind}, {place}", row(*thing, background(rng, SIDE, SIDE, place=place))))
    for i in range(SCENES):
        alike = i % 2 == 1
        sample = scene(np.random.default_rng([seed, 1, i]), SIDE, SIDE, correlated=alike)
        rows.append((f"scene{', background in its colours' if alike else ''}", row(*sample)))
    return rows
