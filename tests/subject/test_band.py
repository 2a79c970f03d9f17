import numpy as np
import pytest
from studio import disc

from deepmat.errors import ConfigError, DataError
from deepmat.imaging.trimap import by_distance
from deepmat.subject import band


def lines(width=2):
    mask = np.zeros((60, 80), np.uint8)
    for left in range(15, 70, 15):
        mask[:, left : left + width] = 255
    return mask


def test_widths():
    assert band.parse_width("20").pixels((300, 4000)) == 20
    assert band.parse_width(" 2 % ").pixels((300, 4000)) == band.parse_width("2%").pixels((4000, 300, 3)) == 80
    assert band.parse_width("0.01%").pixels((300, 400)) == 1
    assert band.parse_width("0").pixels((300, 400)) == band.parse_width("0%").pixels((300, 400)) == 0
    assert band.parse_width(20) == band.parse_width(20.0) == band.parse_width(np.int64(20)) == band.parse_width("20")
    for wrong in ("", "%", "2px", "2%%", "-1", "nan", "inf", "2% 3", "two", -1, True, b"2", [2], None):
        with pytest.raises(ConfigError, match="^--width .*: not a width; give pixels"):
            band.parse_width(wrong, "--width")
    with pytest.raises(ConfigError, match='^--width 0.05: less than a pixel; a share is a percentage, "5%"'):
        band.parse_width(0.05, "--width")


def test_the_least_width_gives_a_band():
    made, notices = band.from_mask(disc(), *[band.parse_width("0.001%").pixels((60, 80))] * 2)
    assert not notices
    assert (made == 128).any() and not ((made[:, 1:] == 0) & (made[:, :-1] == 255)).any()


@pytest.mark.parametrize(
    ("mask", "width", "level", "notice"),
    [
        (np.zeros((9, 9)), 2, 0, "all pixels are 0, so the whole trimap is background"),
        (np.full((9, 9), 255), 2, 255, "all pixels are 255, so the whole trimap is foreground"),
        (lines(), 6, 0, "no known foreground is left; a smaller width inwards leaves some"),
        (255 - lines(), 6, 255, "no known background is left; a smaller width outwards leaves some"),
        (np.minimum(disc(), 254) - (disc() > 0) * np.arange(80), 2, 0, "no pixel is 255, so no foreground is known"),
        (np.tile(np.arange(256), (9, 1)), 2, 128, "99 % of the pixels are between 0 and 255, so unknown; `deepmat"),
        (255 - disc(), 2, 255, "255 along the border and 0 in the middle; is it inverted?"),
    ],
)  # fmt: skip
def test_odd_masks_get_a_notice(mask, width, level, notice):
    made, notices = band.from_mask(mask.astype(np.uint8), width, width)
    assert notice in " ".join(notices)
    assert made[0, 0] == level
    assert not band.from_mask(disc(), 2, 2)[1]


def test_from_mask_takes_methods_and_refuses_labels():
    assert (band.from_mask(disc(), 5, 5, "morphology")[0] != band.from_mask(disc(), 5, 5)[0]).any()
    with pytest.raises(ConfigError, match="did you mean distance"):
        band.from_mask(disc(), 5, 5, "distances")
    with pytest.raises(DataError, match="its levels are 0 to 2, like labels"):
        band.from_mask(disc() // 255 + (disc(radius=9) > 0), 5, 5)


@pytest.mark.parametrize(("shift", "said"), [(0, None), (-9, "known foreground"), (9, "known background")])
def test_known_pixels_that_alpha_contradicts_get_a_notice(shift, said):
    alpha = disc(120, 120, 30)
    trimap = band.from_mask(disc(120, 120, 30 - shift), 5, 5)[0]
    solved = np.where(trimap == 128, alpha, trimap) / np.float32(255)
    notices = band.too_narrow(trimap, solved)
    assert not notices if said is None else said in notices[0] and len(notices) == 1
    steps, edges = zip(*band.steps_at_known(trimap, solved), strict=True)
    assert (np.logical_or(*edges) <= (trimap == 128)).all() and all(
        (a <= b).all() for a, b in zip(steps, edges, strict=True)
    )
    assert band.too_narrow(np.full_like(trimap, 128), solved) == band.too_narrow(alpha, solved) == []


@pytest.mark.parametrize("thickness", [3, 6, 8])
def test_of_thin_parts_something_stays_known(thickness):
    """Stems, bars of a grill, and the gaps between them."""
    mask = lines(thickness)
    made, notices = band.from_mask(mask, 6, 6)
    assert "thinner than the unknown band, which was made narrower" in notices[0] and len(notices) == 1
    assert (made[:, 15 + thickness // 2] == 255).all() and (made[:, 30 - (15 - thickness) // 2] == 0).all()
    assert (mask[made == 255] == 255).all() and (mask[made == 0] == 0).all()
    edge = (mask[:, 1:] != mask[:, :-1]).any(axis=0)
    assert (made[:, 1:][:, edge] == 128).all() and (made[:, :-1][:, edge] == 128).all()
    soft = np.where(np.arange(60)[:, None] < 50, 200, disc())  # a soft mask has few pixels of 255 for other reasons
    assert not any("thinner" in notice for notice in band.from_mask(soft.astype(np.uint8), 6, 6)[1])
    thick = np.maximum(disc(), lines(2))  # what has a known middle keeps its band
    assert (band.from_mask(thick, 4, 4)[0] == by_distance(thick, 4, 4)).all()


@pytest.mark.parametrize(("stems", "follows"), [(6, True), (1, False)])
def test_stems_keep_their_middle_under_a_large_head(stems, follows):
    mask = disc(240, 240, 60)
    for left in range(25, 25 + 35 * stems, 35):
        mask[100:, left : left + 6] = 255
    made, notices = band.from_mask(mask, 6, 6)
    assert (made == 255).sum() > band.THIN * (mask == 255).sum()  # known by the head alone
    assert (made[200:, 27:29] == (255 if follows else 128)).all()
    assert any("thinner" in notice for notice in notices) == follows
