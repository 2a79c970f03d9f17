"""A mask made to agree with prompts: what a box and points say of a subject that another finder has found.

A segmentation network sees whole things and draws their edges better than GrabCut does; prompts say which thing. So the
mask stays as it is but where it contradicts a prompt, and there changes as far as colours go (finder `prompts`).
"""

from collections.abc import Sequence

import cv2
import numpy as np

from deepmat.errors import NoSubject
from deepmat.imaging.guided import enlarge
from deepmat.imaging.shrinking import shrunk
from deepmat.imaging.trimap import BACKGROUND, FOREGROUND, depth
from deepmat.subject.finders import Found, Prompts
from deepmat.subject.finders.backdrop import touching
from deepmat.subject.finders.prompts import (
    DISC,
    SIDE,
    SMALL,
    Place,
    alone,
    around,
    find_prompted,
    first_labels,
    followed,
    places,
    segment,
    subject_at,
    within,
)

INSTEAD = "what lies at --point is taken in place of what was found without it; --point on that, too, keeps both"
SHORT = 0.3
"""Share of a box's width or height by which a mask may end before the box does; beyond it the mask lacks something."""
BALL = 4
"""How many times its distance from the mask's outline a point changes the mask around it: where one sees that much is
wrong, one points into the middle."""
LEVELS = 60
"""Change of colour, summed along the way, up to which what GrabCut leaves alone follows a point of the background."""
BRIDGE = 2
"""Half the width in pixels of what joins no parts: an outline that GrabCut sees elsewhere than the mask."""
SCRAP = 0.2
"""Share of what was taken away up to which what is left of the same part goes too."""
RIVAL = 0.4
"""Area of what is left of a mask, as a share of a part that holds points of the background alone, from which on that is
another subject."""
NEAR = 8
"""Pixels between the mask and what a point adds to it; what is farther off is another subject."""


def agreed(image: np.ndarray, found: Found, prompts: Prompts) -> Found:
    """Return what a finder has found in a photo, uint8 RGB [H, W, 3], with a mask that agrees with the prompts.

    What lies outside the box goes. The object in a box is added where the mask fills only a part of the box, and the
    object at a point that the mask leaves out. Without a box, points choose among the parts of the mask, but for small
    bits and what is near to what a point adds. What is under a point of the background goes, as far as GrabCut
    follows. Prompts lie in the picture (`prompting.fitted`). Raises NoSubject where nothing is left.
    """
    if not any(prompts):
        return found
    mask = within(found.mask, prompts.box)
    if prompts.box and falls_short(mask, prompts.box):
        mask = np.maximum(mask, _by_colours(image, prompts))
    small = shrunk(image, SIDE)
    inside, outside = (
        places(points, 0, 0, image.shape, small.shape) for points in (prompts.points, prompts.not_points)
    )
    before = cv2.resize(mask, small.shape[1::-1], interpolation=cv2.INTER_AREA) > 127
    now = before | _added(small, before, image.shape, prompts, inside)
    notices = found.notices
    if inside and prompts.box is None:
        now = _chosen(now, before, inside)
        if (before & ~now).sum() > before.sum() / 2 and not any(before[place] for place in inside):
            notices = [*notices, INSTEAD]
    now &= ~_taken(small, now, inside, [place for place in outside if now[place]])
    mask = within(_changed(image, mask, before, now), prompts.box)
    if not (mask > 127).any():
        where = "in the box" if prompts.box else "beside the points of the background"
        raise NoSubject(f"nothing of the subject is left {where}", ("point", "box"))
    detail = found.detail if (now == before).all() else min(found.detail, SIDE)
    return found._replace(mask=mask, detail=detail, notices=notices)


def _added(
    small: np.ndarray, mask: np.ndarray, shape: tuple[int, ...], prompts: Prompts, inside: Sequence[Place]
) -> np.ndarray:
    """Return the object at points of the subject that a reduced mask, bool [h, w], leaves out. shape: of the photo."""
    lost = [at for at, place in enumerate(inside) if not mask[place]]
    if not lost:
        return np.zeros_like(mask)
    points = tuple(prompts.points[at] for at in lost)
    ball = _balls(mask, [inside[at] for at in lost])
    return ball & subject_at(small, Prompts(None, points, prompts.not_points), shape)


def _chosen(now: np.ndarray, before: np.ndarray, inside: Sequence[Place]) -> np.ndarray:
    """Return the parts of a mask, bool [h, w], that hold a point, and those near to a bit that it had not before.

    Small bits choose nothing: they are what it lacked.
    """
    spots = around(inside, now.shape)
    if touching(now, spots).sum() < SMALL * now.sum():
        return now
    bits = touching(now, around(alone(before, inside), now.shape))
    return touching(now, spots | (cv2.dilate(bits.view(np.uint8), _disc(NEAR)) > 0))


def _taken(small: np.ndarray, mask: np.ndarray, inside: Sequence[Place], wrong: Sequence[Place]) -> np.ndarray:
    """Return what points of the background that lie in a reduced mask, bool [h, w], take away from it, bool [h, w]."""
    if not wrong:
        return np.zeros_like(mask)
    segmented = segment(small, first_labels(mask, inside, wrong))
    spots = around(wrong, mask.shape)
    balls = _balls(~mask, wrong)
    taken = (
        mask
        & balls
        & (spots | ~followed(small, segmented, inside, wrong, LEVELS) | _others(mask, balls, spots, inside))
    )
    wide = (cv2.erode(taken.view(np.uint8), _disc(BRIDGE)) > 0) | taken & spots
    taken &= cv2.dilate(touching(wide, spots).view(np.uint8), _disc(BRIDGE)) > 0
    return taken | _scraps(mask & ~taken, taken)


def _others(mask: np.ndarray, balls: np.ndarray, spots: np.ndarray, inside: Sequence[Place]) -> np.ndarray:
    """Return the parts of a mask, bool [h, w], that are other subjects, whatever their colours.

    They hold points of the background, spots, and none of the subject; balls around these take most of them; and enough
    is left beside each.
    """
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
    areas, reached = stats[:, cv2.CC_STAT_AREA], np.bincount(parts[balls & mask], minlength=count)
    other = (reached > areas / 2) & (areas[1:].sum() - areas >= RIVAL * areas)
    held = np.zeros(count, bool)
    held[parts[spots & mask]] = True
    held[parts[around(inside, mask.shape) & mask]] = False
    return (other & held & (np.arange(count) > 0))[parts]


def _scraps(rest: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Return the parts of a rest next to what was taken, both bool [h, w], that are small beside that, as rims are."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(rest.view(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < SCRAP * taken.sum()
    small[0] = False
    return touching(small[labels], cv2.dilate(taken.view(np.uint8), np.ones((3, 3), np.uint8)) > 0)


def _balls(part: np.ndarray, points: Sequence[Place]) -> np.ndarray:
    """Return what is within BALL times the distance of points, (row, column), from a part, bool [h, w], around them."""
    far = depth(~part)
    rows, columns = np.indices(part.shape)
    near = np.zeros(part.shape, bool)
    for row, column in points:
        near |= np.hypot(rows - row, columns - column) <= BALL * max(float(far[row, column]), DISC)
    return near


def _disc(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def mark(trimap: np.ndarray, mask: np.ndarray, prompts: Prompts) -> None:
    """Make points known in a trimap, and what the mask has of their side close around them; changes the trimap.

    trimap, mask: uint8 [H, W]. The trimap of a rough mask would close the small gaps that points of the background
    show.
    """
    radius = DISC * max(trimap.shape) // (2 * SIDE)
    sides = (prompts.points, FOREGROUND, mask > 127), (prompts.not_points, BACKGROUND, mask <= 127)
    for points, level, side in sides:
        discs = np.zeros_like(trimap)
        for point in points:
            cv2.circle(discs, point, radius, 1, -1)
        trimap[(discs > 0) & side] = level
    for points, level, _ in sides:  # last, so that no disc covers a point
        for column, row in points:
            trimap[row, column] = level


def falls_short(mask: np.ndarray, box: tuple[int, int, int, int]) -> bool:
    """Return whether a mask, uint8 [H, W], ends far before one of the sides of the box that holds the whole subject."""
    left, top, right, bottom = box
    inside = mask[top:bottom, left:right] > 127
    for axis, side in enumerate(inside.shape):
        at = np.flatnonzero(inside.any(1 - axis))
        if not at.size or max(at[0], side - 1 - at[-1]) > SHORT * side:
            return True
    return False


def _by_colours(image: np.ndarray, prompts: Prompts) -> np.ndarray:
    """Return the mask of the finder `prompts`, uint8 [H, W]; 0 where it finds nothing."""
    try:
        return find_prompted(image, prompts).mask
    except NoSubject:
        return np.zeros(image.shape[:2], np.uint8)


def _changed(image: np.ndarray, mask: np.ndarray, before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Return a mask, uint8 [H, W], changed as its reduced form is, bool [h, w]; with what is soft around that."""
    gone, added = before & ~now, now & ~before
    if gone.any():
        gone = ~now & (depth(~gone) < depth(~now))
        mask = np.minimum(mask, 255 - enlarge(image, gone.view(np.uint8) * 255))
    if added.any():
        mask = np.maximum(mask, enlarge(image, added.view(np.uint8) * 255))
    return mask
