"""The finder `plain`: whatever is not the backdrop, before a backdrop that is smooth.

The backdrop is modelled from the border inwards (`backdrop`). Background is what can be reached from there without
crossing an edge: through pixels of the model's colours, or darker ones of its hue where they change softly, which are
shadows. A ball walks there in place of a point, so that a gap in a faint edge, as of a white product before white, does
not let the background in.
"""

from typing import NamedTuple

import cv2
import numpy as np

from deepmat.errors import NoSubject
from deepmat.imaging.shrinking import shrunk
from deepmat.imaging.trimap import depth
from deepmat.subject.finders import Found, Prompts
from deepmat.subject.finders.agreeing import agreed
from deepmat.subject.finders.backdrop import (
    DARK,
    REMEDIES,
    brightest,
    check_border,
    distance,
    dot,
    model_backdrop,
    shares,
    spread,
    touching,
)
from deepmat.subject.finders.upsampling import between

SIDE = 640
"""Longer side of the copy on which the subject is found."""
BALL = 2
"""Radius in pixels of the ball that walks through the background."""
CRISP = 0.6
"""Share of the subject's outline that is a sharp edge."""
RIM = 10
"""Pixels from the background up to which what looks like it may be a gap between hairs."""
STEEP, STEEP_KEYED = 7, 20
"""Slope in levels a pixel from which on an edge is no shadow's; higher before key colours, whose hue tells."""
LEAST, MOST = 0.002, 0.9
"""Share of the picture that a subject has."""


class Cues(NamedTuple):
    """What a reduced picture shows beside the model of its backdrop; each bool [H, W]."""

    same: np.ndarray
    """Of the backdrop's colours."""
    shade: np.ndarray
    """Of the backdrop's hue, and darker, as in its shadow."""
    edge: np.ndarray
    """At an edge: sharp, or steep."""
    steep: np.ndarray
    """At an edge of soft borders that is too steep for most shadows."""
    keyed: np.ndarray
    """Before a colourful backdrop, of whose hue a subject is hardly ever."""
    near: float
    """Distance in levels up to which a colour is the backdrop's."""


def find_plain(image: np.ndarray, prompts: Prompts = Prompts()) -> Found:
    """The subject before a plain backdrop, without its shadow; needs no network.

    The mask is made to agree with the prompts (`agreeing`). Raises NoSubject where the border is not plain, or nothing
    or nearly everything stands out.
    """
    small = reduced(image)
    model, seeds, scatter = model_backdrop(small)
    cues = look(small, model, scatter, seeds)
    background = walk(cues, seeds)
    check_border(background, float(brightest(model).mean()))
    background |= holes(cues, background, small)
    subject, doubt = clean(~background, cues)
    crisp = check_subject(subject, doubt, cues, is_green(model))
    backdrop = continued(small, model, ~subject & background)
    mask = np.where(subject, np.where(doubt, 128, 255), 0).astype(np.uint8)
    full = between(image, mask, *colours_inside(small, mask), backdrop, 3 * cues.near)
    size = image.shape[1], image.shape[0]
    behind = cv2.resize(np.clip(np.rint(backdrop), 0, 255).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
    sure = sureness(subject, doubt, background) * (0.5 + crisp / 2)
    return agreed(image, Found(full, sure, max(size), [], behind), prompts)


def reduced(image: np.ndarray) -> np.ndarray:
    """Return a copy of at most SIDE pixels, float32 [H, W, 3], smoothed against noise."""
    return cv2.GaussianBlur(shrunk(image, SIDE).astype(np.float32), (0, 0), 1.0)


def slope(small: np.ndarray, sigma: float = 0) -> np.ndarray:
    """Return the steepest slope of the three channels, float32 [H, W], in levels a pixel."""
    soft = cv2.GaussianBlur(small, (0, 0), sigma) if sigma else small
    x, y = (cv2.Scharr(soft, cv2.CV_32F, dx, 1 - dx, scale=1 / 32) for dx in (1, 0))
    return np.sqrt(brightest(x * x + y * y))


def look(small: np.ndarray, model: np.ndarray, scatter: float, seeds: np.ndarray) -> Cues:
    """Compare a picture with the model of its backdrop, both float32 [H, W, 3].

    scatter: of the backdrop, in levels; seeds: pixels of it, bool [H, W], whose slopes are noise. An edge in focus
    loses two thirds of its slope when it is smoothed three times as much, the border of a soft shadow hardly any.
    """
    apart = distance(small, model)
    share = dot(small, model) / np.maximum(dot(model, model), 1)
    off = distance(small, model * share[..., None])
    near = max(6.0, 4 * scatter)
    bright = brightest(model)
    keyed = is_key(model)
    darker = (share < 1.02) & (share > np.where(keyed, 0.3, 0.4)) & (bright > DARK)
    shade = darker & (off < 0.75 * near + 0.12 * apart)
    fine, coarse = slope(small), slope(small, 3)
    faint = max(1.2, 0.8 * scatter, 2 * float(np.median(fine[seeds])) if seeds.any() else 0)
    sharp = long_lines((fine > faint) & (fine > 1.6 * coarse), fine > 3 * faint)
    steep = fine > np.where(keyed, STEEP_KEYED, STEEP)
    return Cues(apart < near, shade, sharp | steep, steep & ~sharp, keyed, near)


def is_key(model: np.ndarray) -> np.ndarray:
    """Return where a backdrop, float32 [H, W, 3], is so colourful that its hue alone tells it: bool [H, W]."""
    return brightest(-model) > -0.6 * brightest(model)


def is_green(model: np.ndarray) -> bool:
    """Return whether a backdrop, float32 [H, W, 3], is a green screen for the most part: no sky is green."""
    return bool(np.mean(is_key(model) & (brightest(model) == model[..., 1])) > 0.5)


def long_lines(lines: np.ndarray, strong: np.ndarray) -> np.ndarray:
    """Return the connected lines, bool [H, W], that have a strong pixel or are long: noise has neither."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(lines.astype(np.uint8), connectivity=8)
    kept = stats[:, cv2.CC_STAT_AREA] > 30
    kept[labels[strong & lines]] = True
    kept[0] = False
    return kept[labels]


def walk(cues: Cues, seeds: np.ndarray) -> np.ndarray:
    """Return what a ball reaches from the seeds, bool [H, W], without touching an edge."""
    free = (cues.same | cues.shade) & ~cues.edge
    ball = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * BALL + 1, 2 * BALL + 1))
    inner = touching(cv2.erode(free.view(np.uint8), ball, borderValue=1) > 0, seeds)
    reached = cv2.dilate(inner.view(np.uint8), ball) > 0
    near = cv2.dilate(reached.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return (reached & free) | (near & cues.same)


def holes(cues: Cues, background: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Return the parts of the backdrop that the subject encloses, or nearly so, bool [H, W].

    Through a hole one sees the backdrop as it is, with a sharp border; a highlight, or the plain side of a white
    product, blends into what is around. Small parts that are open to the background lie between hairs.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats((cues.same & ~background).astype(np.uint8), connectivity=4)
    found = np.zeros_like(background)
    fine, around = slope(small), cv2.dilate(background.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
    open_ = np.bincount(labels[around], minlength=len(stats)) > 0
    for label in range(1, len(stats)):
        left, top, width, height, area = (int(each) for each in stats[label])
        if open_[label] and area < 0.003 * background.size:
            found |= labels == label
        if area < 12 or open_[label]:
            continue
        part = slice(max(top - 3, 0), top + height + 3), slice(max(left - 3, 0), left + width + 3)
        hole = labels[part] == label
        rim = (cv2.dilate(hole.view(np.uint8), np.ones((5, 5), np.uint8)) > 0) & ~hole
        if np.mean(fine[part][rim] > STEEP) > 0.75:
            found[part] |= hole
    return found


def clean(subject: np.ndarray, cues: Cues) -> tuple[np.ndarray, np.ndarray]:
    """Return the subject without specks, and where it may be no more than a shadow, both bool [H, W]."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(subject.astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.float32)
    shaded = np.bincount(labels[cues.shade | cues.same], minlength=len(areas)) / areas
    areas[0] = 0
    kept = areas >= np.where(shaded > 0.7, 0.2, 0.02) * max(float(areas.max()), 9 / 0.02)
    kept[0] = False
    subject = kept[labels]
    inside = depth(subject)
    soft = touching(subject & cues.shade & (~cues.edge | cues.steep), (inside > 0) & (inside < 2))
    return subject, soft | subject & (cues.shade | cues.same) & (cues.keyed | (inside < RIM))


def check_subject(subject: np.ndarray, doubt: np.ndarray, cues: Cues, green: bool) -> float:
    """Return the share of the outline that is an edge.

    Raises NoSubject where nothing or nearly everything stands out, or where little of the outline is an edge and the
    backdrop is no green screen.
    """
    if subject.mean() < LEAST:
        raise NoSubject("nothing stands out from the plain backdrop", REMEDIES)
    if subject.mean() > MOST:
        raise NoSubject(f"{100 * subject.mean():.0f} % of the picture is no plain backdrop", REMEDIES)
    rim = cv2.morphologyEx(subject.view(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    rim &= ~doubt
    crisp = float(np.mean((cv2.dilate(cues.edge.view(np.uint8), np.ones((5, 5), np.uint8)) > 0)[rim]))
    if crisp < CRISP and not green:
        raise NoSubject("what stands out from the backdrop has no edge, as clouds and lights have none", REMEDIES)
    return crisp


def sureness(subject: np.ndarray, doubt: np.ndarray, background: np.ndarray) -> float:
    """Return how sure the mask is, 0 to 1: the less of the border is backdrop and the more is in doubt, the less."""
    border = float(np.mean([*shares(background).values()]))
    return float(np.clip(0.4 + 0.6 * border - float(doubt.sum()) / max(float(subject.sum()), 1), 0, 1))


def continued(small: np.ndarray, model: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Return the backdrop with its shadows, float32 [H, W, 3], continued behind the subject."""
    known = cv2.erode(background.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return model + spread(small - model, known, 4.0)


def colours_inside(small: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the subject's colours, float32 [H, W, 3], continued over its edge, and where these are known, bool."""
    core = cv2.erode((mask == 255).view(np.uint8), np.ones((7, 7), np.uint8)) > 0
    weight = cv2.GaussianBlur(core.astype(np.float32), (0, 0), 6)
    total = cv2.GaussianBlur(np.where(core[..., None], small, np.float32(0)), (0, 0), 6)
    return total / np.maximum(weight, 1e-4)[..., None], weight > 1e-3
