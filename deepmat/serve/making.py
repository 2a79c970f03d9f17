"""From the bytes of a request to the bytes of its answer: what `deepmat cut -` does for a pipe."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from deepmat import imaging
from deepmat.errors import ConfigError, DataError
from deepmat.imaging import About
from deepmat.imaging.fitting import Photo, read_photo, unused_alpha
from deepmat.imaging.unread import Unread
from deepmat.inference.background import Background, of_picture, plain
from deepmat.inference.cropping import Crop, cropped, parse_crop
from deepmat.inference.outputs import OUTPUTS, Choice, CutOut, encode_output, parse_outputs
from deepmat.inference.subjects import doubts, of_photo, of_trimap, see_subject
from deepmat.serve.refusals import Refusal, worded
from deepmat.serve.workers import Stop
from deepmat.subject.finders import Prompts
from deepmat.subject.key import without_key
from deepmat.subject.seeking import Seeker, Subject

FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "AVIF", "HEIF", "TIFF", "GIF", "BMP", "PPM", "JPEG2000")
"""Formats that are read, by Pillow's names. Others, EPS for one, start programs of their own."""
ENDLESS = 1 << 62
"""Pixels: no limit, where the size is compared afterwards."""
KINDS = tuple(OUTPUTS)
"""Kinds of output: those of `deepmat cut --save`."""
MEDIA = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".tif": "image/tiff",
    ".exr": "image/x-exr",
}
"""Media types by the extension of a file."""


@dataclass(frozen=True)
class Maker:
    """What all requests share: a loaded network, the finder and the limit of pictures."""

    network: Any
    finder: str | None
    max_pixels: int

    @property
    def finder_name(self) -> str:
        """What finds subjects; of an ONNX file its name alone."""
        return Path(self.finder).name if self.finder else "chosen by the picture"


class Read(NamedTuple):
    """A picture of a request."""

    photo: Photo
    own: np.ndarray | None
    """uint8 [H, W], its alpha channel."""
    about: About
    notices: list[str]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.photo.image.shape[0], self.photo.image.shape[1]


class Wanted(NamedTuple):
    """The output that a request asks for."""

    kind: str
    suffix: str
    background: Background
    crop: Crop | None
    max_pixels: int


def check_file(data: bytes, name: str, max_pixels: int) -> None:
    """Raise Refusal unless a file is a picture of FORMATS of up to `max_pixels`, by its header alone."""
    try:
        file = Unread(data, ENDLESS, name)
    except DataError as error:
        raise Refusal("no_picture", worded(str(error))) from error
    if file.picture.format not in FORMATS:
        raise Refusal("no_picture", f"{name}: {file.picture.format} is not read here; send PNG, JPEG or WebP")
    height, width = file.size
    if height * width > max_pixels:
        raise Refusal("too_large", f"{name}: {width}x{height} is over {max_pixels / 1e6:g} megapixels; shrink it")


def read_image(data: bytes, max_pixels: int) -> Read:
    """Read the picture of a request. Raises Refusal, DataError."""
    check_file(data, "image", max_pixels)
    return Read(*read_photo(data, max_pixels, "image"))


def shrunk(read: Read, prompts: Prompts, pixels: float) -> tuple[Read, Prompts]:
    """Return a picture of at most so many pixels, and the prompts at their places in it."""
    height, width = read.size
    scale = min(1.0, (pixels / (height * width)) ** 0.5)
    size = max(1, int(width * scale)), max(1, int(height * scale))
    if size == (width, height):
        return read, prompts
    image = cv2.resize(read.photo.image, size, interpolation=cv2.INTER_AREA)
    own = None if read.own is None else cv2.resize(read.own, size, interpolation=cv2.INTER_AREA)
    across, down = size[0] / width, size[1] / height

    def placed(points: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        return tuple((int(x * across), int(y * down)) for x, y in points)

    box = prompts.box
    if box:
        box = round(box[0] * across), round(box[1] * down), round(box[2] * across), round(box[3] * down)
    moved = Prompts(box, placed(prompts.points), placed(prompts.not_points))
    return read._replace(photo=read.photo._replace(image=image), own=own), moved


def subject_in(maker: Maker, read: Read, trimap: bytes | None, mask: bytes | None, prompts: Prompts) -> Subject:
    """Return the subject of a picture, of a trimap or mask if there is one. Raises Refusal, DeepmatError."""
    if trimap is not None and (mask is not None or any(prompts)):
        raise ConfigError("trimap: shows the subject itself; leave out mask, box and points")
    given = trimap if trimap is not None else mask
    if given is not None:
        name = "trimap" if trimap is not None else "mask"
        check_file(given, name, maker.max_pixels)
        more = unused_alpha(read.own, "image", name)
    if trimap is not None:
        subject = of_trimap(trimap, read.photo, maker.max_pixels)
        return subject._replace(notices=[*subject.notices, *more])
    seeker = Seeker(prompts, maker.finder)
    if mask is not None:
        subject = of_photo(read.photo, read.own, mask, seeker, "image", maker.max_pixels)
        return subject._replace(notices=[*subject.notices, *more])
    return of_photo(read.photo, read.own, None, seeker, "image", maker.max_pixels)


def matte(maker: Maker, read: Read, subject: Subject, stop: Stop, quick: bool = False) -> tuple[CutOut, list[str]]:
    """Return the cut-out of a picture by its subject, and notices. quick: seen once, not doubled, and not corrected."""
    stop.check()
    options: dict[str, Any] = {"double": 0, "correct": False, "narrow": False} if quick else {}
    with stop.watching():
        finish, seen = see_subject(maker.network, read.photo.image, subject, **options)
        alpha = finish()
    stop.check()
    alpha = without_key(alpha, read.photo.image, subject.trimap, subject.backdrop)
    source = {"": "trimap", "mask": "mask"}.get(subject.finder, "image")
    about = doubts(source, subject, alpha)
    notices = [*read.notices, *subject.notices, *seen.notices, *about]
    made = CutOut("image", read.photo.image, alpha, subject.trimap, read.about, estimated=subject.alpha is None)
    return replace(made, mask=subject.mask, backdrop=subject.backdrop), [worded(each) for each in notices]


def wanted_of(
    kind: str,
    form: str | None,
    background: str | None,
    picture: bytes | None,
    crop: str | None,
    square: bool,
    max_pixels: int,
) -> Wanted:
    """Return what a request wants. Raises ConfigError, or Refusal for a background that is no picture."""
    if background and picture:
        raise ConfigError("background and background_image: send one of them")
    if (background or picture) and kind != "composite":
        raise ConfigError("background: is for the output composite; ask for that")
    window = parse_crop(crop, square)
    choice = parse_outputs(f"{kind}.{form}" if form else kind)[0]
    if picture:
        check_file(picture, "background_image", max_pixels)
        behind = of_picture(picture, max_pixels)
    else:
        behind = plain(imaging.parse_colour(background or "white"))
    return Wanted(choice.kind, choice.suffix, behind, window, max_pixels)


def encode(cut: CutOut, wanted: Wanted) -> tuple[bytes, tuple[int, int]]:
    """Return the file that is wanted of a cut-out, and the height and width of its picture. Raises TooLarge."""
    cut = replace(cut, background=wanted.background)
    if wanted.crop:
        cut = cropped(cut, wanted.crop, wanted.max_pixels)
    size = cut.alpha.shape[0], cut.alpha.shape[1]
    return encode_output(cut, Choice(wanted.kind, wanted.suffix)), size
