import inspect

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deepmat.config import AugmentConfig, Resize
from deepmat.data import augment
from deepmat.data.augment import AUGMENTATIONS


def options(**changes):
    """Every step left out that can be, but for the changes."""
    off = {name: None for name, field in AugmentConfig.model_fields.items() if field.default is None or name == "flip"}
    return AugmentConfig(**{**off, **changes}).model_dump()


def layers_of(height=90, width=120, seed=0):
    """Soft discs on noise; the colours say where a pixel came from."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    alpha = np.zeros((height, width), np.float32)
    for _ in range(3):
        y, x, radius = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(4, 20)
        alpha = np.maximum(alpha, np.clip((radius - np.hypot(rows - y, columns - x)) / 4, 0, 1))
    alpha = np.rint(alpha * 255).astype(np.uint8)
    fg = np.dstack((rows * 255 // height, columns * 255 // width, 255 - alpha)).astype(np.uint8)
    return {"rgba": np.dstack((fg, alpha)), "points": augment.edge_points(alpha)}


class Scene:
    def __init__(self, height, width, shrink=1):
        self.size = (height, width)
        ramps = np.dstack([*np.mgrid[:height, :width], np.zeros((height, width))]).astype(np.uint8)
        self.pixels, self.asked = cv2.resize(ramps, (width // shrink, height // shrink)), []

    def read(self, least):
        self.asked.append(least)
        return self.pixels


def drawn_with(rng_seed=1, scene=None, **steps):
    rng = np.random.default_rng(rng_seed)
    layers = {**layers_of(), "scene": scene or Scene(70, 90)}
    layers["second"] = lambda: augment.apply(augment.GEOMETRY, layers_of(seed=5), rng, options(**steps))
    return augment.make_sample(layers, rng, options(**steps))


def test_every_step_takes_the_options_of_its_section_and_keeps_their_order():
    assert list(AUGMENTATIONS) == list(AugmentConfig.model_fields)
    for name, step in AUGMENTATIONS.items():
        section = AugmentConfig.model_fields[name].annotation
        section = next(each for each in (section, *getattr(section, "__args__", ())) if hasattr(each, "model_fields"))
        keywords = {key for key, p in inspect.signature(step).parameters.items() if p.kind is p.KEYWORD_ONLY}
        assert set(section.model_fields) - {"probability"} == keywords, name


def test_a_bare_sample_is_the_reference_s():
    sample = drawn_with(crop={"sizes": [64]}, resize=Resize(size=[64, 64]))
    assert {kind: pixels.shape for kind, pixels in sample.items()} == {
        "image": (64, 64, 3), "composite": (64, 64, 3), "fg": (64, 64, 3), "bg": (64, 64, 3),
        "alpha": (64, 64), "trimap": (64, 64),
    }  # fmt: skip
    assert all(pixels.dtype == np.uint8 for pixels in sample.values())
    assert set(np.unique(sample["trimap"])) <= {0, 128, 255} and (sample["trimap"] == 128).any()
    fraction = sample["alpha"][..., None] / 255
    blended = fraction * sample["fg"] + (1 - fraction) * sample["bg"]
    assert np.abs(blended - sample["image"]).max() <= 0.5 + 1e-9
    np.testing.assert_array_equal(sample["image"], sample["composite"])


@pytest.mark.parametrize("name", [*AUGMENTATIONS, "distance_trimap"])
def test_each_step_changes_what_it_names_and_nothing_else(name):
    """With and without the step, from the same picture."""
    what = {
        "affine": {"image", "composite", "fg", "bg", "alpha", "trimap"},
        "crop": {"image", "composite", "fg", "bg", "alpha", "trimap"},
        "resize": {"image", "composite", "fg", "bg", "alpha", "trimap"},
        "flip": {"image", "composite", "fg", "bg", "alpha", "trimap"},
        "combine": {"image", "composite", "fg", "bg", "alpha", "trimap"},
        "jitter": {"image", "composite", "fg", "bg", "trimap"},
        "background": {"image", "composite", "bg", "trimap"},
        "blur": {"image", "trimap"},
        "noise": {"image", "trimap"},
        "jpeg": {"image", "trimap"},
        "trimap": {"trimap"},
        "distance_trimap": {"trimap"},
        "blots": {"trimap"},
        "forget": {"trimap"},
        "untold": {"trimap"},
    }[name]
    changes = {
        "crop": {"sizes": [32]},
        "resize": {"size": [64, 64], "interpolation": ["nearest"]},
        "background": {"fit": "window"},
        "trimap": {"kernel": [9, 9], "iterations": [1, 1]},
    }.get(name, {} if name == "jitter" else {"probability": 1})
    base = {"crop": {"sizes": [48]}, "resize": Resize(size=[64, 64])}
    if name == "untold":
        base |= {"combine": {"probability": 1}, "trimap": {"kernel": [2, 2], "iterations": [1, 1]}}
    without, with_it = drawn_with(**base), drawn_with(**{**base, name: changes})
    same = {kind for kind in without if np.array_equal(without[kind], with_it[kind])}
    assert {kind for kind in without if kind not in what} <= same
    first = dict.fromkeys(("blur", "noise", "jpeg"), "image")
    first |= dict.fromkeys(("trimap", "distance_trimap", "blots", "forget", "untold"), "trimap")
    assert first.get(name, "composite") not in same


def test_of_what_was_put_behind_nothing_is_known():
    steps = {"combine": {"probability": 1}, "trimap": {"kernel": [2, 2], "iterations": [1, 1]}}
    alone = drawn_with(trimap=steps["trimap"])
    told, untold = drawn_with(**steps), drawn_with(**steps, untold={"probability": 1})
    more = (alone["alpha"] < 200) & (told["alpha"] == 255)
    assert (told["trimap"][more] == 255).any() and (untold["trimap"][more] == 128).all()
    same = told["alpha"] == alone["alpha"]
    np.testing.assert_array_equal(untold["trimap"][same], told["trimap"][same])


def test_the_network_sees_what_the_composition_loss_does_not():
    sample = drawn_with(noise={"probability": 1}, jpeg={"probability": 1}, blur={"probability": 1})
    fraction = sample["alpha"][..., None] / 255
    assert np.abs(fraction * sample["fg"] + (1 - fraction) * sample["bg"] - sample["composite"]).max() <= 0.5 + 1e-9
    assert np.abs(sample["image"].astype(int) - sample["composite"]).mean() > 0.5


@settings(max_examples=60)
@given(st.integers(2, 90), st.integers(2, 90), st.integers(1, 120), st.integers(0, 99))
def test_a_crop_is_square_inside_the_picture_and_holds_an_edge(height, width, size, seed):
    rng = np.random.default_rng(seed)
    alpha = np.zeros((height, width), np.uint8)
    alpha[rng.integers(height), rng.integers(width)] = rng.choice([100, 255])
    rgba = np.dstack((*np.mgrid[:height, :width].astype(np.uint8), np.zeros_like(alpha), alpha))
    layers = augment.crop({"rgba": rgba, "points": augment.edge_points(alpha)}, rng, sizes=[size])
    side = min(size, height, width)
    assert layers["rgba"].shape == (side, side, 4) and layers["window"] == (side, height, width)
    assert np.shares_memory(layers["rgba"], rgba)  # nothing is read that is not cut out
    if side > 2:
        assert len(np.unique(layers["rgba"][..., 3])) > 1
    resized = augment.resize(layers, rng, size=[32, 64], interpolation=["nearest"])
    assert resized["fg"].shape == (32, 64, 3) and resized["alpha"].shape == (32, 64) and "rgba" not in resized


@settings(max_examples=60)
@given(st.integers(40, 200), st.integers(40, 200), st.integers(32, 150), st.integers(0, 99))
def test_an_affine_window_reads_the_same_as_the_whole_picture_warped(height, width, window, seed):
    """What is left unread does not show: noise outside the part that is read changes nothing inside."""
    layers = layers_of(height, width, seed)
    if not len(layers["points"]):
        return
    settings_ = {"rotate": 40, "scale": (0.7, 1.4), "shear": 10, "window": window}
    warped = augment.affine(layers, np.random.default_rng(seed), **settings_)["rgba"]
    assert warped.shape[0] <= max(window, height) and warped.shape[1] <= max(window, width)
    assert len(np.unique(warped[..., 3])) > 1
    still = {"rotate": 0, "scale": (1.0, 1.0), "shear": 0, "window": 10**6}
    layers["points"] = np.array([height // 2 * width + width // 2])
    same = augment.affine(layers, np.random.default_rng(seed), **still)["rgba"]
    assert np.abs(same.astype(int) - layers["rgba"]).max() <= 1


def test_combining_follows_the_formula_and_the_nearer_colours_win():
    first = np.array([[0, 128, 255, 128]], np.uint8)
    second = np.array([[128, 128, 128, 0]], np.uint8)
    colours = [np.full((1, 4, 3), level, np.uint8) for level in (200, 100)]
    layers = {"fg": colours[0], "alpha": first, "second": lambda: {"fg": colours[1], "alpha": second}, "image": 0}
    both = augment.combine(layers, np.random.default_rng(0))
    expected = 255 * (1 - (1 - first / 255.0) * (1 - second / 255.0))
    assert np.abs(both["alpha"] - expected).max() <= 0.5
    share = np.array([0, 128 / 255, 1, 1]) / np.array([1, expected[0, 1] / 255, 1, 1])
    assert np.abs(both["fg"][0, :, 0] - (100 + 100 * share)).max() <= 0.51
    assert "image" not in both  # blended anew


@settings(max_examples=60)
@example(250, 248, 248, "cover", 4, 0)
@given(
    st.integers(32, 250), st.integers(32, 250), st.integers(1, 250), st.sampled_from(["cover", "window"]),
    st.sampled_from([1, 2, 4]), st.integers(0, 99),
)  # fmt: skip
def test_a_background_is_cut_from_inside_at_the_asked_scale(high, wide, side, fit, shrink, seed):
    scene, fg_size = Scene(high, wide, shrink), (max(side, 150), max(side, 200))
    layers = {"alpha": np.zeros((64, 96), np.uint8), "scene": scene, "window": (side, *fg_size)}
    bg = augment.background(layers, np.random.default_rng(seed), fit=fit)["bg"]
    assert bg.shape == (64, 96, 3)
    if fit == "cover":
        part = side / max(1, fg_size[0] / high, fg_size[1] / wide)
        reach = int(np.ptp(bg[..., 0]))  # of the ramp downwards
        assert min(part, high) * 0.9 - 4 - 2 * shrink <= reach <= part + shrink
        least = scene.asked[0]
        assert least[0] == int(np.ceil(high * 64 / part)) and least[1] == int(np.ceil(wide * 96 / part))


def test_probabilities_and_ranges_are_kept():
    rng, hits = np.random.default_rng(0), 0
    layers = {"fg": np.arange(12, dtype=np.uint8).reshape(1, 4, 3), "alpha": np.arange(4, dtype=np.uint8)[None]}
    for _ in range(400):
        hits += augment.apply(["flip"], layers, rng, {"flip": {"probability": 0.25}})["alpha"][0, 0] == 3
    assert 60 < hits < 140
    inside = disc()["alpha"] == 255
    unknown = [augment.trimap_by_distance(disc(), rng, width=[1, 16], uneven=0)["trimap"] == 128 for _ in range(400)]
    widths = np.array([[np.count_nonzero(each & side) for side in (inside, ~inside)] for each in unknown]) / (
        40 * np.pi
    )
    assert 0.5 < widths.min() and widths.max() < 23  # circles are longer outside
    assert all(3 < middle < 6 for middle in np.median(widths, 0))  # each octave as often
    assert abs(np.corrcoef(widths.T)[0, 1]) < 0.2  # both borders by themselves


def disc():
    rows, columns = np.mgrid[:64, :64]
    return {"alpha": np.where(np.hypot(rows - 32, columns - 32) < 20, 255, 0).astype(np.uint8)}


def test_a_trimap_by_distance_knows_nothing_wrong():
    rng = np.random.default_rng(0)
    for _ in range(20):
        levels = augment.trimap_by_distance(disc(), rng, width=[1, 30], uneven=0.5)["trimap"]
        alpha = disc()["alpha"]
        assert (alpha[levels == 255] == 255).all() and (alpha[levels == 0] == 0).all()
    for level in (0, 255):
        flat = {"alpha": np.full((9, 9), level, np.uint8)}
        assert (augment.trimap_by_distance(flat, rng, width=[1, 3], uneven=0.5)["trimap"] == level).all()


@pytest.mark.parametrize(("uneven", "least", "most"), [(0, 0, 1), (1, 2, 60)])
def test_an_uneven_trimap_is_wider_here_and_narrower_there(uneven, least, most):
    reach = []
    for seed in range(10):
        levels = augment.trimap_by_distance(disc(), np.random.default_rng(seed), width=[6, 6], uneven=uneven)["trimap"]
        down, across = np.nonzero(levels == 128)
        sides = [(levels[32, 33:] == 128).sum(), (levels[32, :32] == 128).sum(), (levels[33:, 32] == 128).sum()]
        assert down.size and across.size
        reach.append(max(sides) - min(sides))
    assert least <= np.mean(reach) <= most


def test_blots_make_unknown_what_was_known_and_nothing_else():
    rng, changed = np.random.default_rng(0), 0
    before = {"trimap": np.where(np.arange(64) < 32, 255, 0).astype(np.uint8)[None].repeat(64, 0)}
    for _ in range(20):
        after = augment.blots(before, rng, count=[1, 3], radius=[4, 16])["trimap"]
        other = after != before["trimap"]
        assert 20 < other.sum() < 3 * np.pi * 17**2 and (after[other] == 128).all()
        changed += other
    assert (changed > 0).mean() > 0.5 and (before["trimap"] != 128).all()


def test_a_part_of_one_colour_is_forgotten_and_the_rest_of_its_side_is_not():
    image = np.zeros((48, 48, 3), np.uint8)
    image[:24], image[24:, :24] = 200, (180, 20, 20)
    levels = np.where(np.arange(48) < 32, 255, 0).astype(np.uint8)[None].repeat(48, 0)
    forgotten = np.zeros((48, 48), int)
    for seed in range(30):
        after = augment.forget({"image": image, "trimap": levels}, np.random.default_rng(seed), levels=[10, 10])[
            "trimap"
        ]
        other = after != levels
        assert (after[other] == 128).all() and {*after.ravel()} >= {0, 255}  # something of both sides is left
        assert not (other[:, :32].any() and other[:, 32:].any())
        forgotten += other
    assert forgotten[36, 8] and forgotten[8, 8] and forgotten[8, 40]
    nothing = {"image": image, "trimap": np.full_like(levels, 128)}
    assert augment.forget(nothing, np.random.default_rng(0), levels=[10, 10]) is nothing


def dot(height, width, row, column):
    """A picture all transparent but for one soft dot; its colours are white."""
    rgba = np.full((height, width, 4), 255, np.uint8)
    rgba[..., 3] = 0
    rgba[row - 1 : row + 2, column - 1 : column + 2, 3] = 200
    return {"rgba": rgba, "points": augment.edge_points(rgba[..., 3])}


@pytest.mark.parametrize(("row", "column"), [(3, 3), (3, 396), (296, 5), (150, 200)])
def test_an_affine_window_is_where_the_point_is(row, column):
    turned = {"rotate": 45, "scale": (1.0, 1.0), "shear": 0, "window": 64}
    warped = augment.affine(dot(300, 400, row, column), np.random.default_rng(1), **turned)
    assert warped["rgba"].shape == (64, 64, 4) and warped["rgba"][..., 3].max() > 100
    assert (warped["rgba"][..., :3] == 255).all()  # colours go on beyond the border


def test_an_affine_that_loses_the_edge_is_left_out():
    layers = dot(300, 400, 150, 200)
    layers["points"] = np.array([3])  # from which no window of 32 reaches the dot
    lost = {"rotate": 0, "scale": (1.0, 1.0), "shear": 0, "window": 32}
    assert augment.affine(layers, np.random.default_rng(0), **lost) is layers


def test_a_background_keeps_its_scale_after_an_affine():
    """A crop of 64 of a picture of 300x400, over a scene of 75x100: a sixteenth, 16 pixels, turned or not."""
    for factor in (None, 0.5, 1.0, 2.0):
        layers, scene, rng = dot(300, 400, 150, 200), Scene(75, 100), np.random.default_rng(0)
        if factor:
            still = {"rotate": 0, "scale": (factor, factor), "shear": 0, "window": 128}
            layers = augment.affine(layers, rng, **still)
        cropped = augment.crop(layers, rng, sizes=[64])
        sample = augment.resize(cropped, rng, size=[64, 64], interpolation=["linear"])
        augment.background({**sample, "scene": scene}, rng, fit="cover")
        assert scene.asked == [(round(300 * (factor or 1)), round(400 * (factor or 1)))]


def test_edge_points_are_spread_over_the_whole_edge():
    alpha = np.full((200, 300), 100, np.uint8)
    points = augment.edge_points(alpha)
    assert len(points) == augment.MOST_POINTS and points[0] == 0 and points[-1] == alpha.size - 1
    assert np.ptp(np.diff(points)) <= 1


def test_any_part_of_a_scene_may_be_the_background():
    sizes = set()
    for seed in range(20):
        layers = {"alpha": np.zeros((32, 32), np.uint8), "scene": Scene(200, 250)}
        sizes.add(int(np.ptp(augment.background(layers, np.random.default_rng(seed), fit="window")["bg"][..., 0])))
    assert min(sizes) < 80 and max(sizes) > 150 and len(sizes) > 10


def test_combining_never_leaves_a_sample_without_an_edge():
    layers = {"fg": np.zeros((1, 2, 3), np.uint8), "alpha": np.array([[0, 255]], np.uint8)}
    solid = {"fg": np.full((1, 2, 3), 9, np.uint8), "alpha": np.full((1, 2), 255, np.uint8)}
    assert augment.combine({**layers, "second": lambda: solid}, np.random.default_rng(0))["alpha"].tolist() == [
        [0, 255]
    ]
    clear = {"fg": np.full((1, 2, 3), 9, np.uint8), "alpha": np.zeros((1, 2), np.uint8)}
    both = augment.combine({**layers, "second": lambda: clear}, np.random.default_rng(0))
    assert both["fg"].tolist() == layers["fg"].tolist()  # where neither is seen, the nearer one's colours go on
