"""Crops of cut-outs to their subjects."""

import cv2
import numpy as np
import pytest

from deepmat import imaging
from deepmat.errors import ConfigError, TooLarge
from deepmat.inference.cropping import cropped, parse_crop
from deepmat.inference.outputs import OUTPUTS, CutOut


def cut_of(box, size=(60, 80)):
    """A cut-out whose subject fills a box: left, top, right, bottom."""
    left, top, right, bottom = box
    alpha = np.zeros(size, np.float32)
    alpha[top:bottom, left:right] = 1
    alpha[0, 0] = 0.02  # too faint to count
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    levels = imaging.to_uint8(alpha)
    return CutOut("a", image, alpha, levels, mask=levels, backdrop=255 - image)


@pytest.mark.parametrize("box", [(20, 10, 50, 40), (0, 0, 30, 20), (60, 50, 80, 60), (0, 0, 80, 60)])
@pytest.mark.parametrize("margin", ["0", "7", "10%"])
@pytest.mark.parametrize("square", [False, True])
def test_the_subject_is_whole_and_in_the_centre(box, margin, square):
    cut = cut_of(box)
    made = cropped(cut, parse_crop(margin, square))
    sides = box[2] - box[0], box[3] - box[1]
    wide = {"0": 0, "7": 7, "10%": round(max(sides) / 10)}[margin]
    height, width = made.alpha.shape
    across, down = (side + 2 * wide for side in sides)
    assert (width, height) == ((max(across, down),) * 2 if square else (across, down))
    left, top, *size = cv2.boundingRect((made.levels > 13).view(np.uint8))
    assert (left, top, *size) == ((width - sides[0]) // 2, (height - sides[1]) // 2, *sides)
    inside = np.s_[top : top + sides[1], left : left + sides[0]]
    before = np.s_[box[1] : box[3], box[0] : box[2]]
    for name in ("image", "trimap", "mask", "backdrop"):
        np.testing.assert_array_equal(getattr(made, name)[inside], getattr(cut, name)[before], err_msg=name)
        assert getattr(made, name).shape[:2] == (height, width)


def test_every_output_is_made_of_a_crop():
    made = cropped(cut_of((0, 0, 30, 20)), parse_crop("7", True))
    for name, output in OUTPUTS.items():
        assert name == "sheet" or output.make(made).shape[:2] == (44, 44)


def test_without_a_subject_the_picture_stays_whole():
    cut = cut_of((0, 0, 0, 0))
    assert cropped(cut, parse_crop("5", True)) is cut


def test_what_is_no_crop_is_refused():
    assert parse_crop(None, False) is None
    with pytest.raises(ConfigError, match="--square: is for --crop"):
        parse_crop(None, True)
    with pytest.raises(ConfigError, match="--crop -3: not a width"):
        parse_crop("-3", False)


@pytest.mark.parametrize("margin", ["60", "99999999", "1000000000%"])
def test_margins_may_not_make_it_larger_than_pictures_may_be(margin):
    with pytest.raises(TooLarge, match="a: --crop: .* is over 0.01 megapixels; give a smaller margin"):
        cropped(cut_of((20, 10, 50, 40)), parse_crop(margin, False), 10_000)


def test_true_is_no_margin():
    assert parse_crop(True, True) == parse_crop(0, True) and parse_crop(False, False) is None
