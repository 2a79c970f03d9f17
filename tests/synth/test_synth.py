from pathlib import Path

import cv2
import numpy as np
import pytest

from deepmat import imaging, synth
from deepmat.errors import ConfigError, DataError
from deepmat.synth import scenes
from deepmat.synth.camera import motion_blur, straighten
from deepmat.synth.dataset import synthesise
from deepmat.synth.drawing import lay_strands, whole
from deepmat.synth.foregrounds.frizz import frizz
from deepmat.synth.foregrounds.locks import locks

COUNT = len(synth.KINDS)
SMALL = {"train": COUNT + 1, "test": COUNT, "backgrounds": 3, "size": 64, "seed": 5, "per_foreground": (4, 2)}
OPAQUE = ("hair", "fur", "feathers", "leaves", "blob", "thing", "plant", "tuft")
SIZES = [(32, 32), (64, 48), (131, 97), (90, 301), (300, 101)]


def has_edge(alpha):
    return ((alpha > 0) & (alpha < 255)).any()


def blend(colour, alpha, background):
    return background + (colour.astype(float) - background) * (alpha / 255.0)[..., None]


@pytest.mark.parametrize("kind", synth.KINDS)
def test_a_seed_fixes_every_byte_whatever_the_number_of_threads(kind):
    def draw():
        rng = np.random.default_rng(3)
        pictures = [*synth.foreground(rng, 160, 150, kind), synth.background(rng, 160, 150), *synth.scene(rng, 96, 80)]
        return b"".join(picture.tobytes() for picture in pictures)

    threads, first = cv2.getNumThreads(), draw()
    try:
        cv2.setNumThreads(1)
        assert draw() == first
    finally:
        cv2.setNumThreads(threads)


@pytest.mark.parametrize("kind", synth.KINDS)
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_foreground_has_surround_soft_edge_and_colours_everywhere(kind, height, width):
    for seed in range(3):
        colour, alpha = synth.foreground(np.random.default_rng(seed), height, width, kind)
        assert (colour.shape, colour.dtype) == ((height, width, 3), np.uint8)
        assert (alpha.shape, alpha.dtype) == ((height, width), np.uint8)
        assert (alpha == 0).mean() > 0.2
        assert ((alpha > 0) & (alpha < 255)).mean() > 0.005
        assert alpha.max() > 100
        if kind in OPAQUE:
            assert (alpha == 255).mean() > 0.01
        assert alpha[0].mean() < 8  # little is cut off by the upper edge
        assert (colour[alpha == 0].max(axis=-1) > 5).mean() > 0.7


@pytest.mark.parametrize("kind", synth.KINDS)
def test_colours_go_on_past_the_edge(kind):
    gaps = []
    for seed in range(4):
        colour, alpha = synth.foreground(np.random.default_rng(seed), 256, 256, kind)
        weight = cv2.blur(alpha.astype(np.float32), (7, 7))[..., None]
        inside = cv2.blur(colour * alpha[..., None].astype(np.float32), (7, 7)) / np.maximum(weight, 1e-3)
        beside = (alpha == 0) & (weight[..., 0] > 1)
        gaps.append(np.abs(colour - inside)[beside].mean() / inside[beside].mean())
    assert np.mean(gaps) < 0.25, gaps  # black or white past the edge would be near 1


def test_motion_blurs_colours_and_alpha_as_one():
    """A moving thing over a plain ground looks like the still picture of the two, blurred."""
    colour, alpha = synth.foreground(np.random.default_rng(2), 200, 180, "blob")
    still = np.dstack([colour * (alpha / 255.0)[..., None], alpha]).astype(np.float32) / 255
    ground = np.array([0, 255, 0])
    wanted = motion_blur(blend(colour, alpha, ground).astype(np.float32), 13.0, -20.0)
    moved = blend(*straighten(motion_blur(still, 13.0, -20.0)), ground)
    apart = blend(
        motion_blur(colour.astype(np.float32), 13.0, -20.0), motion_blur(alpha.astype(np.float32), 13.0, -20.0), ground
    )
    assert np.abs(moved - wanted).mean() < 0.5
    assert np.abs(moved - wanted).max() < 8
    assert np.abs(apart - wanted).max() > 3 * np.abs(moved - wanted).max()  # blurring each by itself is not the same
    centre = [
        np.average(np.indices(a.shape), axis=(1, 2), weights=a)
        for a in (still[..., 3], motion_blur(still, 13, -20)[..., 3])
    ]
    assert np.allclose(centre[1] - centre[0], [-10, 6.5], atol=1)


@pytest.mark.parametrize("place", synth.PLACES)
def test_backgrounds_are_full_pictures_that_differ(place):
    for height, width in SIZES:
        pictures = [synth.background(np.random.default_rng(seed), height, width, place=place) for seed in range(3)]
        assert all((p.shape, p.dtype) == ((height, width, 3), np.uint8) and p.std() > 1 for p in pictures)
        assert len({p.tobytes() for p in pictures}) == 3


@pytest.mark.parametrize(("height", "width"), [*SIZES, (33, 500)])
def test_every_scene_has_an_edge_at_any_size(height, width):
    for seed in range(25):
        foreground, alpha, background = synth.scene(np.random.default_rng(seed), height, width)
        assert foreground.shape == background.shape == (height, width, 3) and alpha.shape == (height, width)
        assert {part.dtype for part in (foreground, alpha, background)} == {np.dtype(np.uint8)}
        assert has_edge(alpha)


def test_scenes_show_whole_things_and_close_ups():
    covered = [(synth.scene(np.random.default_rng(seed), 64, 64)[1] > 250).mean() for seed in range(60)]
    assert min(covered) < 0.1 and max(covered) > 0.6
    assert 0.15 < np.mean(covered) < 0.6


def test_colour_alone_does_not_tell_a_correlated_background_from_the_foreground():
    def distance(seed, correlated):
        foreground, alpha, background = synth.scene(np.random.default_rng(seed), 96, 96, correlated=correlated)
        return np.linalg.norm(
            np.average(foreground, axis=(0, 1), weights=np.dstack([alpha] * 3)) - background.mean((0, 1))
        )

    alike, free = (np.mean([distance(seed, correlated) for seed in range(40)]) for correlated in (True, False))
    assert alike < 0.4 * free, (alike, free)
    mixed = np.mean([distance(seed, None) for seed in range(40)])
    assert alike < mixed < free


def read_all(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_write_dataset_makes_adobes_layout(tmp_path):
    yielded = [path.relative_to(tmp_path).as_posix() for path in synthesise(tmp_path, **SMALL)]
    assert len(yielded) == synthesise(tmp_path / "other", **SMALL).total
    kinds = list(synth.KINDS)
    train = [f"{kind}_{i:04d}.png" for i, kind in enumerate([*kinds, kinds[0]])]
    test = [f"test_{kind}_{i:04d}.png" for i, kind in enumerate(kinds)]
    half = (len(train) + 1) // 2
    halves = {"Training_set/Adobe-licensed images": train[:half], "Training_set/Other": train[half:]}
    expected = [f"{half}/{part}/{n}" for half, names in halves.items() for n in names for part in ("fg", "alpha")]
    expected += [f"Test_set/Adobe-licensed images/{part}/{name}" for name in test for part in ("fg", "alpha")]
    expected += [f"Test_set/Adobe-licensed images/trimaps/{n[:-4]}_{k}.png" for n in test for k in range(2)]
    expected += [f"bg_train/bg_{i:04d}.png" for i in range(3)] + ["bg_test/test_bg_0000.png"]
    lists = {"training_fg": train, "test_fg": test, "training_bg": None, "test_bg": ["test_bg_0000.png"] * (2 * COUNT)}
    expected += [f"{'Test' if name.startswith('test') else 'Training'}_set/{name}_names.txt" for name in lists]
    assert sorted(yielded) == sorted(expected) == sorted(read_all(tmp_path))

    for name, lines in lists.items():
        path = tmp_path / ("Test_set" if name.startswith("test") else "Training_set") / f"{name}_names.txt"
        assert lines is None or path.read_text().splitlines() == lines
    scenes = (tmp_path / "Training_set/training_bg_names.txt").read_text().splitlines()
    assert len(scenes) == 4 * len(train)
    assert all(
        sorted(set(scenes[i : i + 3])) == [f"bg_{j:04d}.png" for j in range(3)] for i in range(0, len(scenes) - 2, 3)
    )

    for name in test:
        alpha = imaging.read_grey(tmp_path / "Test_set/Adobe-licensed images/alpha" / name)
        assert max(alpha.shape) == 64
        for k in range(2):
            levels = imaging.read_grey(tmp_path / f"Test_set/Adobe-licensed images/trimaps/{name[:-4]}_{k}.png")
            assert set(np.unique(levels)) <= {0, 128, 255}
            assert (alpha[levels == 255] == 255).all()
            assert not alpha[levels == 0].any()


def test_same_seed_same_files_and_a_larger_set_begins_with_the_smaller(tmp_path):
    for name, changes in {
        "a": {},
        "b": {},
        "larger": {"train": COUNT + 2, "test": COUNT + 1, "backgrounds": 5},
        "other": {"seed": 6},
    }.items():
        list(synthesise(tmp_path / name, **{**SMALL, **changes}))
    first, larger, other = (read_all(tmp_path / name) for name in ("a", "larger", "other"))
    assert first == read_all(tmp_path / "b")
    for name in ("Training_set/Adobe-licensed images/fg/fur_0001.png", "bg_train/bg_0001.png"):
        assert first[name] == larger[name]
    tested = [name for name in first if name.startswith("Test_set/Adobe")]
    assert tested and all(first[name] == larger[name] for name in tested)
    assert not any(first[name] == other[name] for name in first if "/fg/" in name or name.startswith("bg_"))


def test_after_a_stop_the_rest_is_drawn(tmp_path):
    few = {"train": 1, "test": 1, "backgrounds": 1, "size": 64, "seed": 5, "per_foreground": (1, 2)}
    list(synthesise(tmp_path, **few))
    whole = read_all(tmp_path)
    for name in list(whole)[1::3]:
        (tmp_path / name).unlink()
    work = synthesise(tmp_path, **few, skip_existing=True)
    assert len(list(work)) == work.total < len(whole) and read_all(tmp_path) == whole
    with pytest.raises(DataError, match=r"bg_0000.png: was drawn with another seed or size"):
        synthesise(tmp_path, **{**few, "seed": 6}, skip_existing=True)
    with pytest.raises(DataError, match="is not empty"):
        synthesise(tmp_path, **few)


@pytest.mark.parametrize(
    "wrong", [{"size": 63}, {"seed": -1}, {"train": 0}, {"test": 0}, {"backgrounds": 0}, {"per_foreground": (1, 0)}]
)
def test_numbers_out_of_range_are_named_before_anything_is_written(tmp_path, wrong):
    with pytest.raises(DataError, match=next(iter(wrong))):
        synthesise(tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_a_picture_must_be_large_enough_and_of_a_known_kind():
    with pytest.raises(DataError, match="31x200"):
        synth.background(np.random.default_rng(0), 200, 31)
    with pytest.raises(DataError, match="200x31"):
        synth.scene(np.random.default_rng(0), 31, 200)
    with pytest.raises(ConfigError, match="did you mean hair"):
        synth.foreground(np.random.default_rng(0), 64, 64, "hairs")


def test_a_sheet_can_be_had_without_a_data_set(deepmat):
    result = deepmat("synth", "--sheet", "sheet.png", "--seed", 4)
    assert result.exit_code == 0 and "sheet.png" in result.stderr
    height, width = imaging.read_image(Path("sheet.png")).shape[:2]
    assert height > 256 * (len(synth.PLACES) + 2) and width > 5 * 256
    assert [path.name for path in Path().iterdir()] == ["sheet.png"]
    both = deepmat(
        "synth", "out", "--sheet", "b.png", "--train", 1, "--test", 1, "--backgrounds", 1, "--size", 64, "--seed", 4
    )
    assert both.exit_code == 0 and Path("out/Test_set").is_dir()
    assert Path("b.png").read_bytes() == Path("sheet.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to write: give a folder OUT"),
        (["--sheet", "sheet"], "--sheet sheet: not the name of a picture; write sheet.png"),
        (["--sheet", "sheet.png", "--seed", -1], "--seed -1: it must be at least 0"),
        (["out", "--size", 5], "size is 5"),
    ],
)
def test_what_synth_cannot_do_is_said_in_one_line(deepmat, arguments, message):
    result = deepmat("synth", *arguments)
    assert result.exit_code == 1 and message in result.stderr
    assert not list(Path().iterdir())


@pytest.mark.parametrize("draw", [frizz, locks])
def test_hair_thins_out_from_a_solid_mass(draw):
    fractional, solid = [], []
    for seed in range(8):
        layers = draw(np.random.default_rng(seed), whole(96, 96))
        alpha = layers[..., 3]
        assert (
            layers.shape == (96, 96, 4) and layers.min() > -1e-3 and (layers[..., :3] <= alpha[..., None] + 0.02).all()
        )
        fractional.append(((alpha > 0.03) & (alpha < 0.97)).mean())
        solid.append((alpha > 0.97).mean())
    assert np.median(fractional) > 0.1 and np.median(solid) > 0.05


def test_strands_that_cross_let_less_light_through():
    view, layers = whole(65, 65), np.zeros((65, 65, 4), np.float32)
    across, down = [[-0.4, 0.0], [0.4, 0.0]], [[0.0, -0.4], [0.0, 0.4]]
    colours = np.float32([[1, 0, 0], [0, 1, 0]])
    lay_strands(layers, view, np.float32([across, down]), colours, np.array([0.5, 0.5]))
    (one, other), both = layers[[32, 20], [20, 32], 3], layers[32, 32]
    assert 0.35 < one <= 0.5 and 0.35 < other <= 0.5
    np.testing.assert_allclose(both, [one * (1 - other), other, 0, 1 - (1 - one) * (1 - other)], atol=0.01)
    assert not layers[:5].any() and not layers[:, :5].any()


def test_some_scenes_are_easy(monkeypatch):
    """Their subject has its own plain colours, which the background is not drawn from."""
    dressed, alike = [], []
    plain = scenes.background_like
    monkeypatch.setattr(scenes, "_dress", lambda rng, colour, alpha, photo: dressed.append(1) or colour)
    monkeypatch.setattr(scenes, "background_like", lambda *given: alike.append(1) or plain(*given))
    for seed in range(60):
        scenes.scene(np.random.default_rng(seed), 48, 48)
    assert 24 <= len(dressed) <= 48 and 5 <= len(alike) <= 25
