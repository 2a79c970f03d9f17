import cv2
import numpy as np
import pytest

from deepmat import imaging, synth
from deepmat.errors import ConfigError, DataError

SMALL = {"train": 8, "test": 7, "backgrounds": 3, "size": 64, "seed": 5, "per_foreground": (4, 2)}


@pytest.mark.parametrize("kind", synth.KINDS)
def test_a_seed_fixes_every_byte_whatever_the_number_of_threads(kind):
    def draw():
        rng = np.random.default_rng(3)
        colour, alpha = synth.foreground(rng, 160, 150, kind)
        return colour.tobytes() + alpha.tobytes() + synth.background(rng, 160, 150).tobytes()

    threads, first = cv2.getNumThreads(), draw()
    try:
        cv2.setNumThreads(1)
        assert draw() == first
    finally:
        cv2.setNumThreads(threads)


@pytest.mark.parametrize("kind", synth.KINDS)
@pytest.mark.parametrize(("height", "width"), [(64, 48), (131, 97), (90, 301), (300, 101)])
def test_a_foreground_has_surround_soft_edge_and_colours_everywhere(kind, height, width):
    for seed in range(3):
        colour, alpha = synth.foreground(np.random.default_rng(seed), height, width, kind)
        assert (colour.shape, colour.dtype) == ((height, width, 3), np.uint8)
        assert (alpha.shape, alpha.dtype) == ((height, width), np.uint8)
        assert (alpha == 0).mean() > 0.2
        assert ((alpha > 0) & (alpha < 255)).mean() > 0.02
        assert alpha.max() > 150
        if kind not in ("glass", "smoke", "net"):
            assert (alpha == 255).mean() > 0.02
        assert not alpha[0].any()  # nothing is cut off by the upper edge
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
    assert np.mean(gaps) < 0.4, gaps  # black or white past the edge would be near 1


def test_backgrounds_are_full_pictures_that_differ():
    pictures = [synth.background(np.random.default_rng(seed), 70, 93) for seed in range(12)]
    assert all((p.shape, p.dtype) == ((70, 93, 3), np.uint8) and p.std() > 5 for p in pictures)
    assert len({p.tobytes() for p in pictures}) == 12
    assert np.array_equal(pictures[4], synth.background(np.random.default_rng(4), 70, 93))


def read_all(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_write_dataset_makes_adobes_layout(tmp_path):
    yielded = [path.relative_to(tmp_path).as_posix() for path in synth.write_dataset(tmp_path, **SMALL)]
    assert len(yielded) == synth.count_files(8, 7, 3, (4, 2))
    kinds = list(synth.KINDS)
    train = [f"{kind}_{i:04d}.png" for i, kind in enumerate([*kinds, kinds[0]])]
    test = [f"test_{kind}_{i:04d}.png" for i, kind in enumerate(kinds)]
    halves = {"Training_set/Adobe-licensed images": train[:4], "Training_set/Other": train[4:]}
    expected = [f"{half}/{part}/{n}" for half, names in halves.items() for n in names for part in ("fg", "alpha")]
    expected += [f"Test_set/Adobe-licensed images/{part}/{name}" for name in test for part in ("fg", "alpha")]
    expected += [f"Test_set/Adobe-licensed images/trimaps/{n[:-4]}_{k}.png" for n in test for k in range(2)]
    expected += [f"bg_train/bg_{i:04d}.png" for i in range(3)] + ["bg_test/test_bg_0000.png"]
    lists = {"training_fg": train, "test_fg": test, "training_bg": None, "test_bg": ["test_bg_0000.png"] * 14}
    expected += [f"{'Test' if name.startswith('test') else 'Training'}_set/{name}_names.txt" for name in lists]
    assert sorted(yielded) == sorted(expected) == sorted(read_all(tmp_path))

    for name, lines in lists.items():
        path = tmp_path / ("Test_set" if name.startswith("test") else "Training_set") / f"{name}_names.txt"
        assert lines is None or path.read_text().splitlines() == lines
    scenes = (tmp_path / "Training_set/training_bg_names.txt").read_text().splitlines()
    assert len(scenes) == 32
    assert all(sorted(set(scenes[i : i + 3])) == [f"bg_{j:04d}.png" for j in range(3)] for i in range(0, 30, 3))

    for name in test:
        alpha = imaging.read_grey(tmp_path / "Test_set/Adobe-licensed images/alpha" / name)
        assert max(alpha.shape) == 64
        for k in range(2):
            levels = imaging.read_grey(tmp_path / f"Test_set/Adobe-licensed images/trimaps/{name[:-4]}_{k}.png")
            assert set(np.unique(levels)) <= {0, 128, 255}
            assert (alpha[levels == 255] == 255).all()
            assert not alpha[levels == 0].any()


def test_same_seed_same_files_and_a_larger_set_begins_with_the_smaller(tmp_path):
    for name, changes in {"a": {}, "b": {}, "larger": {"train": 10, "backgrounds": 5}, "other": {"seed": 6}}.items():
        list(synth.write_dataset(tmp_path / name, **{**SMALL, **changes}))
    first, larger, other = (read_all(tmp_path / name) for name in ("a", "larger", "other"))
    assert first == read_all(tmp_path / "b")
    assert first["bg_train/bg_0002.png"] == larger["bg_train/bg_0002.png"]
    fur = "Training_set/Adobe-licensed images/fg/fur_0001.png"
    assert first[fur] == larger[fur]
    assert not any(first[name] == other[name] for name in first if "/fg/" in name or name.startswith("bg_"))


@pytest.mark.parametrize(
    "wrong", [{"size": 63}, {"seed": -1}, {"train": 0}, {"test": 0}, {"backgrounds": 0}, {"per_foreground": (1, 0)}]
)
def test_numbers_out_of_range_are_named_before_anything_is_written(tmp_path, wrong):
    with pytest.raises(DataError, match=next(iter(wrong))):
        synth.write_dataset(tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_a_picture_must_be_large_enough_and_of_a_known_kind():
    with pytest.raises(DataError, match="31x200"):
        synth.background(np.random.default_rng(0), 200, 31)
    with pytest.raises(ConfigError, match="did you mean hair"):
        synth.foreground(np.random.default_rng(0), 64, 64, "hairs")
