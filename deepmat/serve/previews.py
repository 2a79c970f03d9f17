"""Previews: a picture seen much smaller, which the page shows while the whole is worked on."""

from dataclasses import replace
from typing import Any, NamedTuple

import cv2

from deepmat.errors import DeepmatError
from deepmat.inference.background import plain
from deepmat.inference.outputs import CutOut
from deepmat.serve.making import Maker, Read, Wanted, encode, matte, shrunk, subject_in
from deepmat.serve.workers import Stop
from deepmat.subject.finders import Prompts

PIXELS = 200_000
"""Of a preview: with lite about a second of two cores, the subject included."""
LARGE = 500_000
"""Pixels seen by the network from which a preview comes first."""
WANTED = Wanted("cutout", ".png", plain((255, 255, 255)), None, PIXELS)


class Preview(NamedTuple):
    """A preview of a cut-out."""

    file: bytes
    """A PNG with transparency, smaller than the picture and of its shape."""
    cut: CutOut
    """The same at the picture's size: its trimap and alpha are enlarged. Strokes work on it until the whole is made."""
    finder: str
    why: str


def is_slow(network: Any, size: tuple[int, int]) -> bool:
    """Return whether a picture of (height, width) takes so long that a preview comes first."""
    times = 4 if max(size) <= network.enlarge_up_to else 1
    return times * size[0] * size[1] > LARGE


def preview_of(maker: Maker, read: Read, prompts: Prompts, stop: Stop) -> Preview | None:
    """Return a preview of a picture; None for one that needs none, and where no subject is found in its small copy."""
    if not is_slow(maker.network, read.size):
        return None
    small, moved = shrunk(read, prompts, PIXELS)
    try:
        subject = subject_in(maker, small, None, None, moved)
    except DeepmatError:  # two clicks may be one pixel there; the whole picture tells
        return None
    cut, _ = matte(maker, small, subject, stop, quick=True)
    return Preview(encode(cut, WANTED)[0], _enlarged(cut, read), subject.finder, subject.why)


def _enlarged(cut: CutOut, read: Read) -> CutOut:
    size = read.size[1], read.size[0]
    trimap = cv2.resize(cut.trimap, size, interpolation=cv2.INTER_NEAREST)
    alpha = cv2.resize(cut.alpha, size, interpolation=cv2.INTER_LINEAR)
    return replace(cut, image=read.photo.image, trimap=trimap, alpha=alpha, mask=None, backdrop=None)
