"""What prompts correct, by a simulated user: `python -m benchmarks.prompts IMAGES ALPHAS --start box --clicks 3`.

The user knows the true alpha. Each click lies in the middle of the largest region that the trimap gets wrong.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

import deepmat
from deepmat import imaging
from deepmat.errors import DataError, NoSubject, lookup
from deepmat.imaging.arrays import as_photo
from deepmat.inference.subjects import of_photo
from deepmat.runtime.listing import list_pictures
from deepmat.runtime.pairing import pair
from deepmat.subject.finders import Prompts
from deepmat.subject.seeking import Seeker

MARGIN = 0.01
"""Margin of a box around the subject, as a share of the picture's longer side."""


def around_subject(alpha: np.ndarray) -> Prompts:
    """A box around what is over half foreground in alpha, float32 [H, W]."""
    height, width = alpha.shape
    left, top, wide, tall = cv2.boundingRect((alpha > 0.5).astype(np.uint8))
    margin = round(MARGIN * max(height, width))
    right, bottom = min(left + wide + margin, width), min(top + tall + margin, height)
    return Prompts((max(left - margin, 0), max(top - margin, 0), right, bottom))


def in_subject(alpha: np.ndarray) -> Prompts:
    """A point in the middle of the largest part that is over half foreground in alpha, float32 [H, W]."""
    return Prompts(points=tuple(middle(alpha > 0.5)))


STARTS = {"box": around_subject, "point": in_subject, "nothing": lambda alpha: Prompts()}


def middle(region: np.ndarray) -> list[tuple[int, int]]:
    """The point (x, y) of the largest part of a region, bool [H, W], that is farthest from its edge; [] for none."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8))
    if count < 2:
        return []
    largest = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    inside = cv2.distanceTransform(np.pad(largest, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    row, column = np.unravel_index(int(inside[1:-1, 1:-1].argmax()), region.shape)
    return [(int(column), int(row))]


def series(path: Path, alpha: np.ndarray, mask: Path | None, seeker: Seeker) -> Iterator[float]:
    """What the trimap of a picture gets wrong with the seeker's prompts, and after each click: SAD / 1000.

    alpha: the true one, float32 [H, W]; mask: a rough one in place of a finder.
    """
    photo, _, _ = as_photo(path)
    while True:
        try:
            trimap = of_photo(photo, None, mask, seeker, str(path)).trimap
        except NoSubject:
            trimap = np.zeros(alpha.shape, np.uint8)
        wrong = np.where(trimap == 255, 1 - alpha, np.where(trimap == 0, alpha, 0))
        yield float(wrong.sum()) / 1000
        for column, row in middle(wrong > 0.5):
            kind = "points" if alpha[row, column] > 0.5 else "not_points"
            clicks = {kind: (*getattr(seeker.prompts, kind), (column, row))}
            seeker = seeker._replace(prompts=seeker.prompts._replace(**clicks))


def cut_out(path: Path, alpha: np.ndarray, mask: Path | None, seeker: Seeker) -> Iterator[float]:
    """The whole-picture SAD / 1000 of a picture's cut-out; arguments as for `series`."""
    guide = {"mask": mask} if mask else {"finder": seeker.finder}
    made = deepmat.cut(path, **seeker.prompts._asdict(), **guide, precision="fp32")
    yield float(np.abs(made.alpha - alpha).sum()) / 1000


def main(
    images: Annotated[Path, typer.Argument(help="Folder of pictures.")],
    alphas: Annotated[Path, typer.Argument(help="Folder of their alphas.")],
    start: Annotated[str, typer.Option(help=", ".join(STARTS))] = "box",
    clicks: Annotated[int, typer.Option(min=0, help="Clicks after the start.")] = 3,
    masks: Annotated[Path | None, typer.Option(help="Folder of rough masks, in place of a finder.")] = None,
    finder: Annotated[str | None, typer.Option(help="As for deepmat cut.")] = None,
    whole: Annotated[bool, typer.Option("--whole", help="Score cut-outs with the start's prompts.")] = False,
) -> None:
    """Print what trimaps get wrong at the start and after each click, or the error of whole cut-outs: SAD / 1000."""
    begin, rows = lookup(STARTS, start, "start"), []
    pictures, _ = list_pictures(images)
    truths, _ = pair(list(pictures), alphas, "alpha")
    guides = pair(list(pictures), masks, "mask")[0] if masks else dict.fromkeys(pictures)
    for name, path in pictures.items():
        truth, guide = truths[name], guides[name]
        for partner in (truth, guide):
            if isinstance(partner, DataError):
                raise SystemExit(str(partner))
        alpha = imaging.read_grey(truth) / np.float32(255)
        errors = (cut_out if whole else series)(path, alpha, guide, Seeker(begin(alpha), finder))
        rows.append([*islice(errors, 1 if whole else clicks + 1)])
        print(name, *(f"{error:.2f}" for error in rows[-1]), flush=True)
    print("mean (median)", *(f"{np.mean(each):.2f} ({np.median(each):.2f})" for each in zip(*rows, strict=True)))


if __name__ == "__main__":
    typer.run(main)
