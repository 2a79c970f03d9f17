"""A sheet of some masks beside their trimaps."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from deepmat import imaging
from deepmat.errors import DataError
from deepmat.imaging.masks import read_mask
from deepmat.imaging.sheets import sheet
from deepmat.imaging.trimap import FOREGROUND, unknown_region

ROWS, SIDE = 12, 320
"""Most rows of a sheet, and the side of its panels in pixels."""
TITLES = ("mask", "trimap", "picture, unknown in red")
RED = (127, 0, 0)


def write_preview(
    path: Path,
    made: Sequence[tuple[str, Path, Path]],
    threshold: int | None = None,
    partners: Mapping[str, Path | DataError] | None = None,
) -> list[str]:
    """Write a sheet of masks beside their trimaps, up to ROWS of them, spread over all. Returns notices.

    made: name, mask and trimap file of each. threshold: as for `read_mask`. partners: the picture for each name, or why
    there is none, for a third column.
    """
    rows, notices = [], []
    for name, mask, trimap in made[:: -(-len(made) // ROWS)]:
        levels = imaging.read_grey(trimap)
        panels = [read_mask(mask, threshold)[0], levels]
        if partners:
            panel, problems = _shown_on_picture(partners[name], mask, levels)
            panels.append(panel)
            notices += problems
        rows.append((f"{name}   unknown {100 * unknown_region(levels).mean():.1f} %", panels))
    imaging.write_image(path, sheet(rows, TITLES[: 3 if partners else 2], side=SIDE))
    return notices


def _shown_on_picture(partner: Path | DataError, mask: Path, trimap: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return the third panel of a row; a dark trimap and a notice where the picture cannot be used."""
    try:
        if isinstance(partner, DataError):
            raise partner
        image = imaging.read_image(partner)
        imaging.check_same_size(partner, image, mask, trimap)
    except DataError as error:
        return trimap // 4, [str(error)]
    shown = image // 2
    shown[unknown_region(trimap)] += np.array(RED, np.uint8)
    return np.where((trimap == FOREGROUND)[..., None], image, shown), []
