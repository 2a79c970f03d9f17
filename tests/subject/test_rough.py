import cv2
import numpy as np
import pytest

from deepmat import imaging
from deepmat.inference.jobs import Job, read_job
from deepmat.inference.subjects import by_mask
from deepmat.subject import rough
from deepmat.subject.band import from_mask, parse_width
from deepmat.subject.settle import settle
from deepmat.subject.trimaps import make_trimaps

SIDE = 240


def scene():
    """A red disc with a bar on a blue and green ground, both grained. Returns image, alpha uint8 [H, W]."""
    random = np.random.default_rng(1)
    y, x = np.mgrid[:SIDE, :SIDE]
    inside = ((x - 110) ** 2 + (y - 120) ** 2 < 60**2) | ((abs(y - 120) < 20) & (x > 110) & (x < 215))
    alpha = cv2.GaussianBlur(np.where(inside, 255, 0).astype(np.uint8), (0, 0), 0.7)
    ground = np.where((x + y)[..., None] > SIDE, (40, 90, 170), (50, 130, 60))
    blend = np.where(inside[..., None], (190, 60, 50), ground) + random.normal(0, 8, (SIDE, SIDE, 1))
    return np.clip(blend, 0, 255).astype(np.uint8), alpha


def seen_by_network(alpha, side=60, shift=0):
    """Return what a network of `side` pixels gives: shrunk, blurred, moved, never quite 255, enlarged."""
    small = cv2.GaussianBlur(cv2.resize(alpha, (side, side), interpolation=cv2.INTER_AREA), (0, 0), 0.8)
    soft = cv2.resize(np.roll(small, shift, axis=1).astype(np.float32) / 255, alpha.shape[::-1])
    tails = np.random.default_rng(2).integers(0, 5, alpha.shape)
    return np.clip(np.rint(252 * soft), tails, 254 - tails).astype(np.uint8)


def wrong(trimap, alpha):
    """Return the number of pixels that are known, and known wrong."""
    return np.count_nonzero(((trimap == 255) & (alpha < 128)) | ((trimap == 0) & (alpha > 127)))


def test_a_networks_mask_is_known_from_an_alpha():
    _, alpha = scene()
    hard = np.where(alpha > 127, 255, 0).astype(np.uint8)
    veil = np.where(hard, 120, 0).astype(np.uint8)
    for exact in (alpha, hard, veil, np.zeros_like(alpha), cv2.GaussianBlur(alpha, (0, 0), 9)):
        assert not rough.is_network_mask(exact)
    assert rough.is_network_mask(seen_by_network(alpha))
    for side in (60, 240):
        assert rough.estimate_detail(cv2.resize(seen_by_network(alpha, side), (960, 960))) == pytest.approx(
            max(side, rough.ROUGHEST), rel=0.5
        )


@pytest.mark.parametrize("shift", [0, 1])
def test_the_trimap_of_a_networks_mask_is_narrow_and_right(shift):
    """Even where the mask lies beside the edge by a pixel of its own, four of the picture."""
    image, alpha = scene()
    mask = seen_by_network(alpha, shift=shift)
    trimap, notices = rough.from_rough(image, mask)
    assert notices == [] and set(np.unique(trimap)) == {0, 128, 255}
    assert wrong(trimap, alpha) == 0
    assert np.mean(trimap == 128) < 0.25 < 0.9 < np.mean(from_mask(mask, 5, 5)[0] == 128)


def test_what_the_mask_missed_or_took_too_much_is_settled_by_colour():
    image, alpha = scene()
    mask = seen_by_network(alpha)
    mask[:, 175:] = np.minimum(mask[:, 175:], 40)  # the end of the bar, seen faintly
    mask[150:170, 60:80] = 60  # a hole in the disc
    mask[20:26, 20:26] = 255  # an island
    mask[200:, :120] = np.maximum(mask[200:, :120], 110)  # a shadow on the ground
    trimap, _ = rough.from_rough(image, mask)
    assert wrong(trimap, alpha) == 0
    assert np.mean(trimap[110:130, 180:205] == 255) > 0.5
    assert (trimap[(alpha == 255) & (mask == 60)] != 0).all()
    assert (trimap[20:26, 20:26] != 255).all() and (trimap[200:, :120] != 255).all()


def test_the_band_follows_the_detail_of_the_mask_and_a_width_wins():
    image, alpha = scene()
    hard = np.where(np.roll(alpha, 2, axis=1) > 127, 255, 0).astype(np.uint8)
    shares = [np.mean(rough.from_rough(image, hard, detail)[0] == 128) for detail in (24, 60, 240)]
    assert shares == sorted(shares, reverse=True) and shares[0] > 2 * shares[2]
    trimap = rough.from_rough(image, hard, 60)[0]
    assert wrong(trimap, alpha) == 0
    wide = rough.from_rough(image, hard, 60, width=20)[0]
    assert (wide[115, 160:205] == 128).all() and (wide[115, :24] == 0).all()


@pytest.mark.parametrize("level", [0, 255, 100])
def test_a_mask_without_an_edge_gets_a_notice(level):
    image, alpha = scene()
    trimap, notices = rough.from_rough(image, np.full_like(alpha, level))
    assert trimap.shape == alpha.shape and "the mask is nowhere sure of" in " ".join(notices)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 1)])
def test_masks_of_a_pixel_or_two(shape):
    trimap, _ = rough.from_rough(np.zeros((*shape, 3), np.uint8), np.full(shape, 255, np.uint8))
    assert trimap.shape == shape


def test_masks_of_networks_get_it_from_files_and_mattes_do_not(tmp_path):
    image, alpha = scene()
    mask = seen_by_network(alpha)
    pictures = {"image": image, "network": mask, "alpha": alpha, "small": cv2.resize(mask, (60, 60))}
    for name, pixels in pictures.items():
        imaging.write_image(tmp_path / f"{name}.png", pixels)

    def read(name, width=None):
        job = Job("a", tmp_path / "image.png", tmp_path / f"{name}.png")
        return read_job(job, by_mask(parse_width(width) if width else None)).subject.trimap

    assert (read("network") == rough.from_rough(image, mask)[0]).all()
    assert (read("network", "9") == rough.from_rough(image, mask, width=9)[0]).all()
    assert (read("alpha") == from_mask(alpha, 4.8, 4.8)[0]).all()
    assert wrong(read("small"), alpha) == 0
    list(make_trimaps([tmp_path / "network.png", tmp_path / "alpha.png"], tmp_path / "t"))
    made = {name: imaging.read_grey(tmp_path / "t" / f"{name}.png") for name in ("network", "alpha")}
    assert (made["alpha"] == from_mask(alpha, 4.8, 4.8)[0]).all()
    assert wrong(made["network"], alpha) == 0 and np.mean(made["network"] == 128) < 0.4


def test_of_a_thin_subject_the_middle_stays_known():
    image = np.full((60, 90, 3), (20, 30, 200), np.uint8)
    image[20:30, 10:70] = (220, 30, 40)
    mask = np.where(image[..., 0] > 128, 255, 0).astype(np.uint8)
    trimap, notices = rough.from_rough(image, mask, detail=30)
    assert not notices and wrong(trimap, mask) == 0 and (trimap[25, 16:64] == 255).all()


def test_haze_of_the_mask_is_unknown_and_where_it_is_thick_what_lies_around_it_too():
    """Hair goes on where a network no longer sees it."""
    image, alpha = scene()
    upper = np.arange(240)[:, None] < 100
    mask = np.where(upper, np.clip(cv2.GaussianBlur(alpha, (0, 0), 6), 1, 254), np.clip(alpha, 1, 254)).astype(np.uint8)
    unknown = rough.from_rough(image, mask, detail=240, width=2)[0] == 128
    outside = cv2.distanceTransform((alpha < 128).astype(np.uint8), cv2.DIST_L2, 5)
    rim = (outside > 4) & (outside < 6)
    assert unknown[rim & upper].mean() > 0.95 and not unknown[115:][rim[115:]].any()
    assert unknown[upper & (mask > 10) & (mask < 245) & (outside < 6)].mean() > 0.95


def test_greys_far_from_the_edge_of_the_mask_are_no_haze():
    """A part that a network doubts and the picture settles has the edge that the picture shows."""
    image, alpha = scene()
    mask = np.clip(alpha, 1, 254)
    mask[:, :100] = np.minimum(mask[:, :100], 100)
    unknown = rough.from_rough(image, mask, detail=240, width=2)[0][:, :80] == 128
    inside = cv2.distanceTransform((alpha > 127).astype(np.uint8), cv2.DIST_L2, 5)[:, :80]
    assert unknown[(inside > 0) & (inside < 1.5)].all() and unknown[(inside > 4) & (inside < 7)].mean() < 0.1


@pytest.mark.parametrize("by", [-14, 14])
def test_a_hard_mask_too_large_or_too_small_leaves_all_unknown_as_far_as_the_edge(by):
    image, alpha = scene()
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(by) + 1,) * 2)
    mask = (cv2.dilate if by > 0 else cv2.erode)(cv2.inRange(alpha, 128, 255), ellipse)
    trimap, notices = rough.from_rough(image, mask)
    assert wrong(trimap, alpha) < 10 and (trimap == 255).any() and (trimap == 0).any()
    assert f"pixels {'inside' if by > 0 else 'outside'} the mask's all around" in notices[0]
    assert wrong(rough.from_rough(image, mask, width=5)[0], alpha) > 100  # a width is kept


def test_a_hard_mask_is_unsure_near_its_edge_where_the_picture_then_decides():
    """Taken at its word up to the edge, this one, moved by 14 pixels, has 1,700 pixels wrong."""
    y, x = np.mgrid[:384, :384]
    disc = np.hypot(y - 192, x - 192) < 115
    grain = np.random.default_rng(0).integers(0, 20, (384, 384, 1), np.uint8)
    image = np.where(disc[..., None], np.uint8([200, 60, 50]), np.uint8([50, 80, 160])) + grain
    alpha = disc.astype(np.uint8) * 255
    assert wrong(rough.from_rough(image, np.roll(alpha, 14, 1))[0], alpha) < 800


def test_a_thin_thing_whose_mask_is_too_large_gets_a_notice_where_nothing_of_it_stays_known():
    exact = np.zeros((400, 400), np.uint8)
    exact[194:206, 40:360] = 255
    image = np.where(exact[..., None] > 0, np.uint8([210, 60, 50]), np.uint8([60, 70, 80]))
    trimap, notices = rough.from_rough(image, cv2.dilate(exact, np.ones((21, 21), np.uint8)))
    assert "the mask is nowhere sure of foreground" in notices and not (trimap == 255).any()


def test_a_colour_that_the_mask_sees_faintly_is_no_evidence_of_background():
    image = np.full((64, 96, 3), (40, 90, 170), np.uint8)
    image[16:48, 16:40], image[16:48, 40:80] = (190, 60, 50), (60, 140, 60)
    mask = np.zeros((64, 96), np.float32)
    mask[16:48, 16:40], mask[16:48, 40:80] = 0.99, 0.05
    assert settle(image, mask)[20:44, 44:76].min() > 0.5


@pytest.mark.parametrize(
    ("level", "colour", "of_subject"),
    [(3, (120, 130, 90), True), (0, (120, 130, 90), False), (3, (200, 200, 200), False)],
)
def test_a_faint_part_that_the_subject_encloses_is_no_hole(level, colour, of_subject):
    """A coat of other colours than the rest below a head. Holes are black in the mask, or show the background."""
    image = np.full((96, 128, 3), 200, np.uint8)
    image[16:, 32:96] = 90, 60, 40
    image[60:, 48:80] = colour
    mask = np.zeros((96, 128), np.float32)
    mask[16:, 32:96] = 0.97
    mask[60:, 48:80] = level / 255
    settled = settle(image, mask)[66:, 54:74]
    assert settled.min() > 0.5 if of_subject else settled.max() < 0.5


@pytest.mark.parametrize(("row", "column", "level"), [(110, 90, 0), (190, 180, 254)], ids=["hole", "island"])
def test_where_a_sure_mask_and_the_picture_disagree_nothing_is_known(row, column, level):
    image, alpha = scene()
    mask = seen_by_network(alpha)
    here = np.s_[row - 5 : row + 5, column - 5 : column + 5]
    mask[here] = level
    assert (rough.from_rough(image, mask)[0][here] == 128).all()


def test_what_mask_and_picture_leave_open_is_unknown():
    """An area of a colour between both sides, of which the mask says half."""
    image, alpha = scene()
    here = np.s_[180:215, 150:205]
    image[here] = image[here] // 2 + np.uint8((95, 30, 25))
    mask = seen_by_network(alpha)
    mask[here] = 128
    assert (rough.from_rough(image, mask)[0][185:210, 155:200] == 128).mean() > 0.7


def test_trimaps_of_a_networks_mask_take_a_width_and_leave_other_methods_alone(tmp_path):
    mask = seen_by_network(scene()[1])
    imaging.write_image(tmp_path / "a.png", mask)
    for options, expected in (
        ({"width": "9"}, rough.from_soft(mask, 9)),
        ({"method": "morphology", "width": "3"}, from_mask(mask, 3, 3, "morphology")),
        ({"inwards": "3", "outwards": "5"}, from_mask(mask, 3, 5)),
    ):
        list(make_trimaps(tmp_path / "a.png", tmp_path / "out", **options))
        assert (imaging.read_grey(tmp_path / "out" / "a.png") == expected[0]).all(), options
