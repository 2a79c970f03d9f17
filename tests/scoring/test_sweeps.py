import numpy as np
import pytest

from deepmat import imaging
from deepmat.config import SweepConfig, TestConfig
from deepmat.data.pairs import pictures_to_score
from deepmat.errors import DataError
from deepmat.report import draw_curves
from deepmat.scoring.pictures import Case
from deepmat.scoring.sweeps import AXES, curves, sweep_pictures


@pytest.fixture
def pictures(data):
    return pictures_to_score(TestConfig(), data)[0]


def half(image, trimap, geometry):
    return np.where(trimap == 128, 0.5, trimap / 255).astype(np.float32)


def brightness(image, trimap, geometry):
    return np.where(trimap == 128, image[..., 0] / 255, trimap / 255).astype(np.float32)


def test_wider_trimaps_leave_more_to_be_wrong_about(pictures):
    records = [record for found in sweep_pictures(pictures, half, {"trimap": [1, 3, 9]}) for record in found]
    assert [record["level"] for record in records[:4]] == [None, 1, 3, 9]
    points = curves(records)
    assert [(point["axis"], point["level"]) for point in points] == [
        (None, None), ("trimap", 1), ("trimap", 3), ("trimap", 9)
    ]  # fmt: skip
    sads = [point["sad"] for point in points[1:]]
    assert sads == sorted(sads) and sads[0] < sads[-1]
    assert points[0]["sad"] == pytest.approx(np.mean([record["sad"] for record in records if record["axis"] is None]))


def test_jpeg_and_noise_change_the_image_alone_and_always_alike(pictures):
    axes = {"jpeg": [95, 10], "noise": [2, 40]}
    first, again = (
        [record for found in sweep_pictures(pictures, brightness, axes) for record in found] for _ in range(2)
    )
    assert first == again and len(first) == 5 * len(pictures)
    untouched = [record["sad"] for found in sweep_pictures(pictures, half, axes) for record in found]
    assert untouched[0] == untouched[1] == untouched[4]


def test_a_sweep_scores_where_the_wider_trimap_is_unknown(pictures):
    """By hand, of one picture: the sum over that trimap's region of |0.5 - alpha|."""
    from deepmat.imaging import trimap

    (records,) = sweep_pictures(pictures[:1], half, {"trimap": [9]})
    alpha = imaging.read_grey(pictures[0][1]["alpha"])
    unknown = trimap.by_distance(alpha, 9, 9) == 128
    expected = np.abs(128 / 255 - alpha / 255)[unknown].sum() / 1000
    assert records[1]["sad"] == pytest.approx(expected)


def test_noise_is_another_one_for_each_picture():
    grey = np.full((20, 20, 3), 128, np.uint8)
    cases = [Case(name, grey, grey[..., 0], grey[..., 0], {}, []) for name in ("a", "b", "a")]
    seen = [AXES["noise"](case, 9)[0] for case in cases]
    assert np.array_equal(seen[0], seen[2]) and not np.array_equal(seen[0], seen[1])


@pytest.mark.parametrize("axis", AXES)
def test_contract_of_every_axis(axis):
    rng = np.random.default_rng(0)
    alpha = np.zeros((48, 40), np.uint8)
    alpha[10:30, 10:30] = 255
    image, trimap = rng.integers(0, 256, (48, 40, 3), dtype=np.uint8), np.full_like(alpha, 128)
    case = Case("n", image.copy(), trimap.copy(), alpha, {}, [])
    seen, levels = AXES[axis](case, 10)
    assert seen.shape == image.shape and seen.dtype == levels.dtype == np.uint8 and levels.shape == alpha.shape
    assert set(np.unique(levels)) <= {0, 128, 255}
    assert not np.array_equal(seen, image) or not np.array_equal(levels, trimap)
    assert np.array_equal(case.image, image) and np.array_equal(case.trimap, trimap)
    assert getattr(SweepConfig(), axis)


def test_a_picture_that_fails_does_not_end_a_sweep(pictures, tmp_path):
    def picky(image, trimap, geometry):
        raise DataError("too large")

    pictures = [*pictures, ("gone", DataError("gone: why"))]
    errors = [found[0]["error"] for found in sweep_pictures(pictures, picky, {"jpeg": [50]})]
    assert errors == ["too large"] * 2 + ["gone: why"]
    known = {**pictures[0][1], "trimap": tmp_path / "known.png"}
    imaging.write_image(known["trimap"], np.full_like(imaging.read_grey(known["alpha"]), 255))
    (found,) = sweep_pictures([("known", known)], half, {"jpeg": [50]})
    assert "known: no pixel of its trimap is unknown, so there is no score" in found[0]["error"]
    assert curves([{"name": "gone", "error": "why"}]) == []


def test_curves_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    points = [{"axis": None, "level": None, "sad": 3.0}]
    points += [{"axis": axis, "level": level, "sad": 30.0 / level} for axis in AXES for level in (10, 20, 40)]
    draw_curves(tmp_path / "c.png", points, "sad", "title")
    drawn = imaging.read_image(tmp_path / "c.png")
    assert drawn.shape[1] > 2.5 * drawn.shape[0] and 0.02 < np.mean(drawn < 200) < 0.5
