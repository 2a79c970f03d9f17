import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepmat import dataset, imaging, trimap
from deepmat.config import DataConfig, TrimapConfig
from deepmat.errors import DataError

SMALL = {"crop_sizes": [64, 96, 160], "input_size": [64, 96]}


def batches(data, workers=0, start=0, stop=6, seed=3):
    config = DataConfig(root=data, **SMALL)
    pictures, _ = dataset.training_pictures(config)
    loader = dataset.training_batches(
        pictures, config, batch_size=3, seed=seed, start=start, stop=stop, workers=workers
    )
    return list(loader)


def same(first, second):
    return first["name"] == second["name"] and all(
        np.array_equal(first[key], second[key]) for key in ("image", "alpha", "fg", "bg", "trimap")
    )


def test_samples_follow_the_documented_contract(data):
    for batch in batches(data):
        count = len(batch["name"])
        for key, channels in {"image": 3, "fg": 3, "bg": 3, "alpha": 1, "trimap": 1}.items():
            assert batch[key].shape == (count, channels, 64, 96) and batch[key].numpy().dtype == np.uint8
        alpha, levels = batch["alpha"].numpy(), batch["trimap"].numpy()
        assert set(np.unique(levels)) <= {0, 128, 255} and (levels == 128).any(axis=(1, 2, 3)).all()
        assert (alpha[levels == 0] == 0).all() and (alpha[levels == 255] == 255).all()
        blended = (alpha / 255) * batch["fg"].numpy() + (1 - alpha / 255) * batch["bg"].numpy()
        assert np.abs(blended - batch["image"].numpy()).mean() < 3  # all four were cut at the same place


def test_any_number_of_workers_and_any_start_give_the_same_batches(data):
    straight = batches(data)
    assert all(map(same, straight, batches(data, workers=2)))
    assert all(map(same, straight[2:], batches(data, start=2)))
    assert not all(map(same, straight, batches(data, seed=4)))
    # 4 pictures in batches of 3: an epoch is two batches, with every picture once, and differs from the next.
    names = [sorted(straight[i]["name"] + straight[i + 1]["name"]) for i in (0, 2, 4)]
    assert names[0] == names[1] == names[2] and len(set(names[0])) == 4
    assert not same(straight[0], straight[2])


def test_every_setting_reaches_the_samples(data):
    """Each changed setting changes the samples in the way that it names."""

    def drawn(seed=0, **changes):
        config = DataConfig(root=data, **{**SMALL, "flip": 0.0, **changes})
        samples = dataset.TrainingSet(dataset.training_pictures(config)[0], config, seed)
        return [samples[epoch, index] for epoch in range(8) for index in range(len(samples))]

    plain, flipped = drawn(), drawn(flip=1.0)
    assert all(np.array_equal(a["fg"], b["fg"].numpy()[..., ::-1]) for a, b in zip(plain, flipped, strict=True))
    assert not np.array_equal(plain[0]["image"], drawn(seed=1)[0]["image"])
    assert not np.array_equal(plain[0]["image"], plain[4]["image"])  # another epoch, another crop of the same picture
    assert not all(np.array_equal(a["image"], b["image"]) for a, b in zip(plain, drawn(crop_sizes=[64]), strict=True))
    narrow = drawn(trimap=TrimapConfig(kernel=[3, 3], iterations=[1, 1]))
    wide = drawn(trimap=TrimapConfig(kernel=[3, 3], iterations=[9, 9]))
    for few, many in zip(narrow, wide, strict=True):
        assert (few["trimap"] == 128).sum() < (many["trimap"] == 128).sum()


def test_trimap_ranges_include_both_ends():
    alpha = np.zeros((64, 64), np.uint8)
    alpha[16:48, 16:48] = 255
    config, rng = TrimapConfig(kernel=[3, 4], iterations=[1, 2]), np.random.default_rng(0)
    made = {dataset.random_trimap(alpha, config, rng).tobytes() for _ in range(60)}
    assert made == {trimap.from_alpha(alpha, kernel, times).tobytes() for kernel in (3, 4) for times in (1, 2)}


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 90), st.integers(2, 90), st.integers(1, 120), st.integers(0, 99))
def test_a_crop_has_its_size_and_holds_unknown_pixels(height, width, size, seed):
    rng = np.random.default_rng(seed)
    alpha = np.zeros((height, width), np.uint8)
    alpha[rng.integers(height), rng.integers(width)] = rng.choice([100, 255])
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    cropped = dataset.crop_around_unknown({"image": image, "alpha": alpha}, size, rng)
    assert cropped["image"].shape == (size, size, 3) and cropped["alpha"].shape == (size, size)
    if size > 2:
        assert len(np.unique(cropped["alpha"])) > 1


def test_a_picture_that_cannot_be_used_is_named(data, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    path = next((folder / "train" / "alpha").iterdir())
    imaging.write_image(path, np.full_like(imaging.read_grey(path), 255))
    for workers in (0, 1):
        failed = [batch for batch in batches(folder, workers) if isinstance(batch, DataError)]
        assert failed and f"{path}: alpha is 255 everywhere" in str(failed[0])
    imaging.write_image(path, np.zeros((5, 5), np.uint8))
    failed = [batch for batch in batches(folder) if isinstance(batch, DataError)]
    assert f"{path}: 5x5, but" in str(failed[0]) and "make them the same size" in str(failed[0])
    path.unlink()
    with pytest.raises(DataError, match=f"{path.stem}: no alpha of that name in"):
        batches(folder)
