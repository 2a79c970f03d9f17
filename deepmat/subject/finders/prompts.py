"""The finder `prompts`: the object in a box or under points, by GrabCut.

Rother et al., "GrabCut" (SIGGRAPH 2004), as OpenCV has it, on a reduced copy of the part of the photo that matters;
then along the photo's edges in full size (`imaging.guided`). With points alone, the first guess is what is nearer to
them than to the border by geodesic distance, which grows where colours change (Bai and Sapiro, ICCV 2007).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np

from deepmat.errors import ConfigError, NoSubject
from deepmat.imaging.guided import enlarge
from deepmat.imaging.shrinking import shrunk
from deepmat.subject.finders import Found, Prompts
from deepmat.subject.finders.backdrop import distance, touching

LACKING = "--finder prompts: give --box LEFT,TOP,RIGHT,BOTTOM or --point X,Y on the subject"
SIDE = 320
"""Longer side of the copy on which GrabCut runs."""
MARGIN = 0.25
"""Of the part around a box, as a share of the box's sides: what the background is learnt from."""
ROUNDS = 5
"""Rounds of GrabCut, each of which learns the colours of both sides anew."""
DISC = 2
"""Radius in pixels of the copy around a point that is known."""
STEP = 0.5
"""Cost of a pixel's way without any change of colour, in levels."""
FAVOURS = (2.2, 1.1, 0.55)
"""How many times as far from points as from the border the first guess reaches; GrabCut takes from it more easily than
it adds to it. On photos of one subject, 2.2 is better than 1 and 1.6. Where it fills a side of the picture, as with a
small thing among others, the next is tried."""
REACH = 0.55
"""The same for a point that GrabCut does not follow: it changes what is near to the point."""
SMALL = 0.05
"""Share of the largest part of the subject, or of the background, from which on a part is no speck."""

ALONE = 3
"""Discs around points up to which GrabCut has found nothing but these."""
Place = tuple[int, int]
"""(row, column) of a point in the copy."""


def find_prompted(image: np.ndarray, prompts: Prompts) -> Found:
    """The object in a box or under points; needs no network.

    Prompts lie in the picture (`prompting.fitted`). Raises ConfigError if there is neither a box nor a point; NoSubject
    where no object was found.
    """
    if prompts.box is None and not prompts.points:
        raise ConfigError(LACKING)
    rows, columns = part_around(prompts.box, image.shape)
    part = np.ascontiguousarray(image[rows, columns])
    small = shrunk(part, SIDE)
    subject = subject_at(small, prompts, part.shape, columns.start, rows.start)
    if not subject.any():
        where = "in the box" if prompts.box else "at the points"
        raise NoSubject(f"no object stands out {where}", ("point", "not_point"))
    mask = np.zeros(image.shape[:2], np.uint8)
    mask[rows, columns] = enlarge(part, subject.view(np.uint8) * 255)
    mask = within(mask, prompts.box)
    crisp = outline_contrast(small, subject)
    sure = (0.5 if prompts.box is None else 0.7) + 0.3 * crisp
    detail = max(image.shape[:2]) * max(small.shape) / max(part.shape)
    return Found(mask, sure, max(1, round(detail)), [])


def subject_at(small: np.ndarray, prompts: Prompts, shape: tuple[int, ...], left: int = 0, top: int = 0) -> np.ndarray:
    """Return the object that prompts show in the reduced copy of a part of a photo, bool [h, w].

    shape, left, top: of the part, in the photo (see `places`).
    """
    inside, outside = (places(points, left, top, shape, small.shape) for points in (prompts.points, prompts.not_points))
    for favour in FAVOURS:
        labels = seeds_of(small, prompts, left, top, shape, favour)
        subject = followed(small, segment(small, labels), inside, outside) & (labels != cv2.GC_BGD)
        subject = chosen(subject, inside, outside, only_inside=prompts.box is None)
        if prompts.box or not fills_a_side(subject):
            break
    return subject


def part_around(box: tuple[int, int, int, int] | None, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the rows and columns of a picture, of shape (H, W, ...), that matter: a box and a margin, or all."""
    if box is None:
        return slice(0, shape[0]), slice(0, shape[1])
    left, top, right, bottom = box
    x, y = (max(8, round(MARGIN * side)) for side in (right - left, bottom - top))
    return slice(max(top - y, 0), min(bottom + y, shape[0])), slice(max(left - x, 0), min(right + x, shape[1]))


def places(
    points: Sequence[tuple[int, int]], left: int, top: int, shape: tuple[int, ...], small: tuple[int, ...]
) -> list[Place]:
    """Return the (row, column) of points in the reduced copy of a part; those outside the part are left out.

    left, top: of the part in the photo; shape, small: (H, W, ...) of the part and of its copy.
    """
    found = []
    for x, y in points:
        row, column = (y - top) * small[0] // shape[0], (x - left) * small[1] // shape[1]
        if 0 <= row < small[0] and 0 <= column < small[1]:
            found.append((row, column))
    return found


def within(mask: np.ndarray, box: tuple[int, int, int, int] | None) -> np.ndarray:
    """Return a mask, uint8 [H, W], that is 0 outside of a box, if there is one."""
    if box is None:
        return mask
    left, top, right, bottom = (max(side, 0) for side in box)
    limited = np.zeros_like(mask)
    limited[top:bottom, left:right] = mask[top:bottom, left:right]
    return limited


def fills_a_side(subject: np.ndarray) -> bool:
    """Return whether a subject, bool [H, W], takes most of the upper, left or right border; people cross the lower."""
    return max(float(side.mean()) for side in (subject[0], subject[:, 0], subject[:, -1])) > 0.5


def seeds_of(
    small: np.ndarray, prompts: Prompts, left: int, top: int, shape: tuple[int, ...], favour: float
) -> np.ndarray:
    """Return GrabCut's labels before its first round, uint8 [H, W], of the copy of a part (see `places`)."""
    inside = places(prompts.points, left, top, shape, small.shape)
    outside = places(prompts.not_points, left, top, shape, small.shape)
    if prompts.box:
        labels = np.full(small.shape[:2], cv2.GC_BGD, np.uint8)
        corners = np.array(prompts.box, float).reshape(2, 2) - (left, top)
        (x0, y0), (x1, y1) = corners * (small.shape[1] / shape[1], small.shape[0] / shape[0])
        box = slice(int(y0), max(int(np.ceil(y1)), int(y0) + 1)), slice(int(x0), max(int(np.ceil(x1)), int(x0) + 1))
        labels[box] = cv2.GC_PR_FGD
        if np.mean(labels == cv2.GC_BGD) < 0.05:  # a box of the whole picture: its corners are likely background
            labels[~ellipse(labels.shape)] = cv2.GC_PR_BGD
    else:
        return first_labels(nearer(small, inside, outside, favour), inside, outside)
    return _with_points(labels, inside, outside)


def first_labels(subject: np.ndarray, inside: Sequence[Place], outside: Sequence[Place]) -> np.ndarray:
    """Return GrabCut's labels of a first guess, bool [H, W], and of points in and outside of the subject."""
    return _with_points(np.where(subject, np.uint8(cv2.GC_PR_FGD), np.uint8(cv2.GC_PR_BGD)), inside, outside)


def _with_points(labels: np.ndarray, inside: Sequence[Place], outside: Sequence[Place]) -> np.ndarray:
    for label, spots in ((cv2.GC_BGD, outside), (cv2.GC_FGD, inside)):
        for row, column in spots:
            cv2.circle(labels, (column, row), DISC, label, -1)
    for row, column in outside:
        labels[row, column] = cv2.GC_BGD
    return labels


def ellipse(shape: tuple[int, ...]) -> np.ndarray:
    """Return the ellipse that touches all sides, bool [H, W]."""
    y, x = (np.linspace(-1, 1, side)[:, None] for side in shape)
    return y**2 + x.T**2 <= 1


def nearer(
    small: np.ndarray,
    inside: Sequence[Place],
    outside: Sequence[Place],
    favour: float,
    farthest: float = np.inf,
) -> np.ndarray:
    """Return what is nearer to points inside than to points outside and to the border, bool [H, W], by colour.

    favour: how many times as far it may be; farthest: how far in levels. The middle of the lower border does not count,
    since subjects often cross it.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import dijkstra

    height, width = small.shape[:2]
    soft = cv2.GaussianBlur(small.astype(np.float32), (0, 0), 1.5)
    numbers = np.arange(height * width).reshape(height, width)
    pairs: list[tuple[Any, Any, float]] = [(np.s_[:, :-1], np.s_[:, 1:], 1.0), (np.s_[:-1], np.s_[1:], 1.0)]
    pairs += [(np.s_[:-1, :-1], np.s_[1:, 1:], 1.414), (np.s_[:-1, 1:], np.s_[1:, :-1], 1.414)]
    costs = [(distance(soft[a], soft[b]) + STEP * length).ravel() for a, b, length in pairs]
    starts = [numbers[start].ravel() for start, _, _ in pairs]
    ends = [numbers[end].ravel() for _, end, _ in pairs]
    where = np.concatenate(starts), np.concatenate(ends)
    graph = coo_array((np.concatenate(costs), where), (numbers.size, numbers.size)).tocsr()

    def far(spots: Iterable[int]) -> np.ndarray:
        return np.asarray(dijkstra(graph, directed=False, indices=list(spots), min_only=True)).reshape(height, width)

    from_inside = far(int(numbers[row, column]) for row, column in inside)
    corners = np.delete(numbers[-1], np.s_[width // 5 : width - width // 5])
    from_border = far(np.concatenate([numbers[0], numbers[:, 0], numbers[:, -1], corners]).tolist())
    if outside:
        from_border = np.minimum(from_border, far(int(numbers[row, column]) for row, column in outside))
    return (from_inside < favour * from_border) & (from_inside < farthest)


def segment(small: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the subject, bool [H, W], by GrabCut of a picture, uint8 [H, W, 3], from its labels, uint8 [H, W]."""
    background = (labels == cv2.GC_BGD) | (labels == cv2.GC_PR_BGD)
    if (small == small[0, 0]).all():  # nothing stands out, over which GrabCut takes half a minute
        return labels == cv2.GC_FGD
    if background.all() or not background.any():
        return ~background
    cv2.setRNGSeed(1)  # which OpenCV's k-means takes, so that results repeat
    models = np.zeros((2, 1, 65))
    found = labels.copy()
    cv2.grabCut(small, found, (0, 0, 0, 0), models[0], models[1], ROUNDS, cv2.GC_INIT_WITH_MASK)
    return (found == cv2.GC_FGD) | (found == cv2.GC_PR_FGD)


def followed(
    small: np.ndarray,
    subject: np.ndarray,
    inside: Sequence[Place],
    outside: Sequence[Place],
    farthest: float = np.inf,
) -> np.ndarray:
    """Return GrabCut's subject, bool [H, W], changed near to points that it left alone with little around them.

    farthest: in levels (see `nearer`).
    """
    lost, left = alone(subject, inside), alone(~subject, outside)
    if lost:
        subject = subject | nearer(small, lost, outside, REACH, farthest)
    if left:
        subject = subject & ~nearer(small, left, inside, REACH, farthest)
    return subject


def chosen(subject: np.ndarray, inside: Sequence[Place], outside: Sequence[Place], only_inside: bool) -> np.ndarray:
    """Return the large parts and those under points inside, with small holes filled: bool [H, W].

    Holes under points outside stay. only_inside: no other parts than those under points inside, if there are any.
    """
    if only_inside and inside:
        subject = touching(subject, around(inside, subject.shape))
    for value, least, kept in ((True, SMALL, inside), (False, 0.005, outside)):
        _, parts, stats, _ = cv2.connectedComponentsWithStats((subject == value).astype(np.uint8), connectivity=4)
        areas = np.append(0, stats[1:, cv2.CC_STAT_AREA])
        specks = (areas < least * areas.max()) & (areas > 0)
        specks[parts[around(kept, subject.shape)]] = False
        subject = subject ^ specks[parts]
    return subject


def alone(region: np.ndarray, points: Sequence[Place]) -> list[Place]:
    """Return the points whose part of a region, bool [H, W], is small beside the largest one, or their disc alone."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(region.view(np.uint8), connectivity=4)
    areas = np.append(0, stats[1:, cv2.CC_STAT_AREA])
    least = max(SMALL * areas.max(), ALONE * (2 * DISC + 1) ** 2)
    return [point for point in points if areas[parts[point]] < least]


def around(points: Sequence[Place], shape: tuple[int, ...]) -> np.ndarray:
    """Return the pixels that are up to DISC rows and columns from points, bool [H, W]."""
    near = np.zeros(shape, bool)
    for row, column in points:
        near[max(row - DISC, 0) : row + DISC + 1, max(column - DISC, 0) : column + DISC + 1] = True
    return near


def outline_contrast(small: np.ndarray, subject: np.ndarray) -> float:
    """Return the share of the subject's outline at which the picture has an edge."""
    rim = cv2.morphologyEx(subject.view(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    edges = cv2.dilate(cv2.Canny(small, 40, 100), np.ones((3, 3), np.uint8)) > 0
    return float(edges[rim].mean()) if rim.any() else 0.0
