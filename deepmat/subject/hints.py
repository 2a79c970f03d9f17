"""Hints on a rough mask that looks doubtful: what is odd, and the prompt that helps."""

import cv2
import numpy as np

from deepmat.imaging.shrinking import shrunk
from deepmat.subject.finders import Prompts

LEAST, MOST = 0.01, 0.95
"""Shares of the photo below and above which a mask is doubtful."""
UNSURE = 0.5
"""Below this the finder is unsure (`finders.Found.sure`)."""
RIVAL = 0.4
"""Area of a second part, as a share of the largest one's, from which it may be another subject."""
CUT = 0.4
"""Share of a side of the photo from which a mask that reaches it counts as cut off there."""
SIDE = 512
"""Longer side at which parts are counted."""


def hints(mask: np.ndarray, sure: float = 1.0, prompts: Prompts = Prompts()) -> list[str]:
    """Return remarks on a rough mask, uint8 [H, W], for the user; none for one that looks right.

    sure: `finders.Found.sure`; prompts: those that the mask agrees with. They say which thing is meant.
    """
    small = (shrunk(mask, SIDE) > 127).astype(np.uint8)
    scale = max(small.shape) / max(mask.shape)
    share = float(small.mean())
    if share < LEAST:
        return (
            []
            if any(prompts)
            else [f"the mask covers {100 * share:.1f} % of the picture; --box L,T,R,B around the subject helps"]
        )
    if share > MOST:
        return [
            f"the mask covers {100 * share:.0f} % of the picture; --box around the subject or --not-point on the "
            "background helps"
        ]
    if any(prompts):
        return _cut_off(small, scale)
    notices = [*_rivals(small, scale), *_cut_off(small, scale)]
    if sure < UNSURE and not notices:
        notices.append("the finder is unsure of the subject; --save sheet shows its mask, --box or --point corrects it")
    return notices


def _rivals(small: np.ndarray, scale: float) -> list[str]:
    """Return a hint if the mask has a second part that may be another subject."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(small, connectivity=8)
    parts = sorted(stats[1:].tolist(), key=lambda each: -each[cv2.CC_STAT_AREA])
    if len(parts) < 2 or parts[1][cv2.CC_STAT_AREA] < RIVAL * parts[0][cv2.CC_STAT_AREA]:
        return []
    boxes = []
    for left, top, width, height, _ in parts[:2]:
        corners = (left - 1, top - 1, left + width + 1, top + height + 1)
        boxes.append(",".join(str(max(0, round(each / scale))) for each in corners))
    return [f"two separate parts were found; --box {boxes[0]} or --box {boxes[1]} takes one of them"]


def _cut_off(small: np.ndarray, scale: float) -> list[str]:
    """Return a hint if the mask runs along a side of the photo other than its lower one, on which people stand."""
    height, width = small.shape
    sides = {
        "left": (small[:, 0], lambda at: (0, at)),
        "right": (small[:, -1], lambda at: (width - 1, at)),
        "upper": (small[0], lambda at: (at, 0)),
    }
    for side, (line, place) in sides.items():
        if line.mean() > CUT:
            reached = np.flatnonzero(line)
            at = int(reached[len(reached) // 2])
            x, y = (int(each / scale) for each in place(at))
            return [
                f"the mask runs along the {side} side of the picture; if that is background, --not-point {x},{y} helps"
            ]
    return []
