import os
import shutil
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmat import imaging
from deepmat.config import AugmentConfig, DataConfig
from deepmat.data import cache as caches
from deepmat.data import compositing
from deepmat.data.layouts import Foreground, find_foregrounds
from deepmat.data.origins import find_origins
from deepmat.data.samples import STEPS, TrainingSet, enlarged
from deepmat.errors import DataError
from deepmat.imaging.closed_form import coarse
from deepmat.training.batches import batch_order, training_batches

AUGMENT = {"crop": {"sizes": [64, 96, 160]}, "resize": {"size": [64, 96]}}
MODERN = {
    **AUGMENT,
    **{name: {"probability": 0.5} for name in ("affine", "combine", "jitter", "blur", "noise", "jpeg")},
    "distance_trimap": {"width": [1, 9]},
    "background": {"fit": "window"},
}


@pytest.fixture
def origin(source, data, tmp_path):
    """origin("pairs", per_foreground=2) -> the config of each way to have training data."""
    composites = tmp_path / "composites"
    plan = compositing.plan_adobe(source, "train", source / "bg_train", 2)
    list(compositing.build_composites(plan, composites))

    def config(kind, augment=AUGMENT, cache=tmp_path / "cache", **changes):
        of_kind = {
            "pairs": {"root": source, "per_foreground": 2},
            "folders": {"root": data},
            "composites": {"root": composites},
            "procedural": {"synth": 4},
            "mixed": {"root": composites, "synth": 3},
        }[kind]
        return DataConfig(**{**of_kind, "augment": augment, "cache": cache, **changes})

    return config


ORIGINS = ("pairs", "folders", "composites", "procedural", "mixed")


def fill(config):
    origins, _ = find_origins(config)
    if config.cache:
        pictures = [picture for origin in origins for picture in (*origin.foregrounds, *origin.backgrounds)]
        plan = caches.plan_cache(pictures, config.cache)
        assert not [record for record in caches.build_cache(plan, config.cache, 2) if "error" in record]
    return origins


def batches(config, workers=0, start=0, stop=6, seed=3):
    origins = fill(config)
    return list(training_batches(origins, config, batch_size=3, seed=seed, start=start, stop=stop, workers=workers))


KINDS = {"image": 3, "composite": 3, "fg": 3, "bg": 3, "alpha": 1, "trimap": 1}


def same(first, second):
    return first["name"] == second["name"] and all(np.array_equal(first[key], second[key]) for key in KINDS)


@pytest.mark.parametrize("kind", ORIGINS)
def test_samples_of_every_origin_follow_the_contract(origin, kind):
    for batch in batches(origin(kind)):
        count = len(batch["name"])
        for key, channels in KINDS.items():
            assert batch[key].shape == (count, channels, 64, 96) and batch[key].numpy().dtype == np.uint8
        alpha, levels = batch["alpha"].numpy(), batch["trimap"].numpy()
        assert set(np.unique(levels)) <= {0, 128, 255} and (levels == 128).any(axis=(1, 2, 3)).all()
        assert (alpha[levels == 0] == 0).all() and (alpha[levels == 255] == 255).all()
        blended = (alpha / 255) * batch["fg"].numpy() + (1 - alpha / 255) * batch["bg"].numpy()
        # Ready composites are resized by themselves, so they come close only.
        apart = 0.51 if kind in ("pairs", "procedural") else 3
        assert np.abs(blended - batch["composite"].numpy()).mean() < apart


@pytest.mark.parametrize("kind", ["pairs", pytest.param("mixed", marks=pytest.mark.slow)])
def test_any_number_of_workers_and_any_start_give_the_same_batches(origin, kind):
    config = origin(kind, augment=MODERN)
    straight = batches(config, stop=12)
    # Some batches are dropped at once, and their memory is used again; others are kept.
    shared, kept = training_batches(fill(config), config, batch_size=3, seed=3, start=0, stop=12, workers=2), {}
    for step, batch in enumerate(shared):
        assert same(straight[step], batch)
        if step % 3 == 0:
            kept[step] = batch
        del batch
    assert len(kept) == 4 and all(same(straight[step], batch) for step, batch in kept.items())
    straight = straight[:6]
    assert all(map(same, straight[2:], batches(config, start=2)))
    assert not any(map(same, straight, batches(config, seed=4)))


def test_an_epoch_has_every_sample_and_the_next_another_order(origin):
    config = origin("folders")
    straight = batches(config)
    # 4 pictures in batches of 3: an epoch is two batches, filled up by its first two.
    names = [straight[i]["name"] + straight[i + 1]["name"] for i in (0, 2, 4)]
    assert [each[4:] for each in names] == [each[:2] for each in names]
    assert {tuple(sorted(each[:4])) for each in names} == {tuple(sorted(set(names[0])))} and len(set(names[0])) == 4
    assert not same(straight[0], straight[2])


@given(
    st.integers(1, 40), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(0, 20), st.integers(0, 9)
)
def test_processes_share_the_samples_of_a_step(count, batch, accumulate, processes, start, more):
    """Together they take what a single one takes, each its own part of it, from any step on."""

    def order(batch, accumulate, part, start=0):
        return list(batch_order(count, batch, accumulate, part, 5, start, start + more))

    whole = order(batch * accumulate * processes, 1, (0, 1), start)
    parts = [order(batch, accumulate, (mine, processes), start) for mine in range(processes)]
    for step, samples in enumerate(whole):
        own = [part[step * accumulate : (step + 1) * accumulate] for part in parts]
        assert [sample for batches in own for batch in batches for sample in batch] == samples
    assert list(batch_order(count, batch, accumulate, (0, 1), 5, 0, start + more))[start * accumulate :] == order(
        batch, accumulate, (0, 1), start
    )


def test_some_steps_are_on_larger_samples(origin):
    """From any step on; what is in pixels grows with them, so that none is only blown up."""
    config = origin("mixed", large={"every": 3, "times": 2})
    straight = batches(config)
    assert [batch["alpha"].shape[2:] for batch in straight] == [(64, 96), (64, 96), (128, 192)] * 2
    assert all(map(same, straight[2:], batches(config, start=2)))
    options = enlarged(AugmentConfig(distance_trimap={"width": [3, 5]}, crop={"sizes": [32, 40]}), 2)
    assert (options["distance_trimap"]["width"], options["crop"]["sizes"]) == ([6, 10], [64, 80])
    assert options["trimap"] == AugmentConfig().trimap.model_dump()


def test_some_samples_are_doubled(origin):
    """Made at half their size, so that what is in pixels is as fine in them as in others; the rest as ever."""
    straight, doubled = (batches(origin("mixed", doubled=share)) for share in (0.0, 1.0))
    assert all(batch["alpha"].shape[2:] == (64, 96) for batch in straight + doubled)

    def is_doubled(batch):
        kinds = [kind for kind in batch if kind != "name"]
        fine = [batch[kind].numpy()[..., ::2, ::2].repeat(2, 2).repeat(2, 3) for kind in kinds]
        return all(np.array_equal(batch[kind], each) for kind, each in zip(kinds, fine, strict=True))

    assert all(map(is_doubled, doubled)) and not any(map(is_doubled, straight))
    options = enlarged(AugmentConfig(distance_trimap={"width": [3, 5]}, crop={"sizes": [320, 481]}), 0.5)
    assert (options["distance_trimap"]["width"], options["crop"]["sizes"]) == ([1, 2], [160, 240])
    shortest = enlarged(AugmentConfig(distance_trimap={"width": [1, 30]}, blots={"radius": [1, 20]}), 0.5)
    assert (shortest["distance_trimap"]["width"], shortest["blots"]["radius"]) == ([1, 15], [1, 10])


@pytest.mark.parametrize("augment", [AUGMENT, MODERN])
def test_samples_are_the_same_with_any_cache_and_without(origin, augment):
    plain = batches(origin("pairs", augment=augment, cache=None))
    assert all(map(same, plain, batches(origin("pairs", augment=augment))))
    # Backgrounds come from PNGs, which have no smaller decoding, so that even these agree.
    assert all(map(same, plain, batches(origin("pairs", augment=augment, cache_backgrounds=True))))


def test_pairs_are_drawn_anew_in_every_epoch(origin):
    config = origin("pairs", per_foreground=8, cache=None)
    samples = TrainingSet(find_origins(config)[0], config, 0)
    assert len(samples) == 4 * 8
    names = {samples[epoch, 0, 1]["name"] for epoch in range(20)}
    assert {name.split(" over ")[0] for name in names} == {samples[0, 7, 1]["name"].split(" over ")[0]}
    assert len(names) == 3  # one foreground over each of the three backgrounds
    assert samples[0, 0, 1]["name"].split(" over ")[0] != samples[0, 8, 1]["name"].split(" over ")[0]


def test_without_backgrounds_they_are_drawn_and_told(source, tmp_path):
    shutil.copytree(source / "Training_set" / "Other", tmp_path / "own")
    config = DataConfig(root=tmp_path / "own", augment=AUGMENT, cache=None)
    origins, notices = find_origins(config)
    assert "no backgrounds beside it" in notices[0]
    samples = TrainingSet(origins, config, 0)
    assert samples[0, 0, 1]["bg"].std() > 5 and not np.array_equal(samples[0, 0, 1]["bg"], samples[0, 1, 1]["bg"])


def test_a_changed_source_gets_a_new_cache_file_and_the_old_one_goes(source, tmp_path):
    folder, cache = tmp_path / "own", tmp_path / "cache"
    shutil.copytree(source / "Training_set" / "Other", folder)
    name = sorted(path.stem for path in (folder / "fg").iterdir())[0]
    picture = Foreground(name, folder / "fg" / f"{name}.png", folder / "alpha" / f"{name}.png")
    plan = caches.plan_cache([picture], cache)
    records = list(caches.build_cache(plan, cache, 1))
    assert records == [{"done": 1, "of": 1}] and not caches.plan_cache([picture], cache).jobs
    rgba, points = caches.open_picture(picture, cache)
    fg, alpha = imaging.read_image(picture.fg), imaging.read_grey(picture.alpha)
    np.testing.assert_array_equal(rgba, np.dstack((fg, alpha)))
    assert ((alpha.ravel()[points] > 0) & (alpha.ravel()[points] < 255)).all()
    files = sorted(cache.iterdir())
    assert plan.bytes == max(path.stat().st_size for path in files)  # as was told before
    imaging.write_image(picture.fg, 255 - fg)
    os.utime(picture.fg, ns=(time.time_ns(), time.time_ns() + 10**9))
    again = caches.plan_cache([picture], cache)
    assert len(again.jobs) == 1
    list(caches.build_cache(again, cache, 1))
    assert len(list(cache.iterdir())) == 2 and not set(files) & set(cache.iterdir())
    np.testing.assert_array_equal(caches.open_picture(picture, cache)[0][..., :3], 255 - fg)
    assert not caches.plan_cache([picture], cache).jobs
    for damaged in sorted(cache.iterdir()):
        whole = damaged.read_bytes()
        damaged.write_bytes(whole[:100])  # as if it were not there
        caches._mapped.cache_clear()
        np.testing.assert_array_equal(caches.open_picture(picture, cache)[0][..., :3], 255 - fg)
        assert len(caches.plan_cache([picture], cache).jobs) == 1
        damaged.write_bytes(whole)


def test_a_source_of_the_same_size_written_later_is_another(source, tmp_path):
    shutil.copytree(source / "Training_set" / "Other", tmp_path / "own")
    picture = find_foregrounds(tmp_path / "own")[0][0]
    before = caches._place(caches.job_of(picture), tmp_path)
    os.utime(picture.alpha, ns=(0, 10**9))
    assert caches._place(caches.job_of(picture), tmp_path) != before


def test_a_cache_that_does_not_fit_is_refused_before_it_is_begun(source, tmp_path, monkeypatch):
    config = DataConfig(root=source, cache=tmp_path / "deep" / "cache")
    origins, _ = find_origins(config)
    monkeypatch.setattr(caches.shutil, "disk_usage", lambda place: type("Usage", (), {"free": 10}))
    with pytest.raises(DataError, match="GB are free; --set data.cache=DIR puts them elsewhere, data.cache=null"):
        caches.plan_cache(origins[0].foregrounds, config.cache)
    assert not config.cache.exists()


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])  # a process starts in seconds
def test_a_picture_that_cannot_be_used_is_named(data, tmp_path, workers):
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    config = DataConfig(root=folder, augment=AUGMENT)
    path = next((folder / "train" / "alpha").iterdir())
    imaging.write_image(path, np.full_like(imaging.read_grey(path), 255))
    failed = [batch for batch in batches(config, workers) if isinstance(batch, DataError)]
    assert failed and f"{path}: alpha is 255 everywhere" in str(failed[0])
    imaging.write_image(path, np.zeros((5, 5), np.uint8))
    failed = [batch for batch in batches(config) if isinstance(batch, DataError)]
    assert f"{path}: 5x5, but" in str(failed[0]) and "make them the same size" in str(failed[0])
    path.unlink()
    with pytest.raises(DataError, match=f"{path.stem}: no alpha of that name in"):
        batches(config)


def test_pictures_of_formats_that_cannot_be_read_are_named_before_training(source, data, tmp_path):
    imaging.write_image(tmp_path / "a.png", np.zeros((9, 9, 3), np.uint8))
    (tmp_path / "b.jxl").write_bytes(b"\xff\x0a\xfa\x7f")
    with pytest.raises(DataError, match="b.jxl: JPEG XL, which cannot be read here; convert it to PNG or TIFF"):
        find_origins(DataConfig(root=source, bg=tmp_path))
    for kind in ("image", "alpha", "fg", "bg"):
        shutil.copytree(data / "train" / kind, tmp_path / kind)
    path = next((tmp_path / "image").iterdir())
    path.with_suffix(".exr").write_bytes(b"v/1\x01")
    path.unlink()
    with pytest.raises(DataError, match=f"{path.stem}.exr: OpenEXR, which cannot be read here"):
        find_origins(DataConfig(root=tmp_path))


def test_a_composite_whose_source_changed_is_refused(origin):
    config = origin("composites", cache=None)
    origins, _ = find_origins(config)
    entry = dict(origins[0].entries[0])
    entry["sources"] = {**entry["sources"], "bg": [1, 2, "0"]}
    origins[0].entries[0] = entry
    failed = TrainingSet(origins, config, 0)[0, 0, 1]
    assert f"{entry['bg']} is missing or has changed since; run the same `deepmat composite` again" in str(failed)
    (config.root / "train" / entry["image"]).unlink()
    with pytest.raises(DataError, match="no such file; run the same `deepmat composite` again"):
        find_origins(config)


def test_no_data_says_how_to_get_some(tmp_path):
    with pytest.raises(DataError, match="no training data: give some with --data DIR"):
        find_origins(DataConfig())
    with pytest.raises(DataError, match="holds no pictures"):
        find_origins(DataConfig(root=tmp_path))


def test_photographs_are_backgrounds_and_textures_of_procedural_samples(tmp_path):
    """A photo of one colour that nothing else has, seen in most samples, as a background and as a texture."""
    imaging.write_image(tmp_path / "photos" / "a.png", np.full((80, 90, 3), (255, 0, 255), np.uint8))
    config = DataConfig(synth=24, photos=tmp_path / "photos", augment={"resize": {"size": [64, 64]}}, cache=None)
    samples = TrainingSet(find_origins(config)[0], config, 0)
    plain = TrainingSet(find_origins(config.model_copy(update={"photos": None}))[0], config, 0)

    def share(sample, kind):
        return (np.abs(sample[kind].astype(int) - [255, 0, 255]).max(2) < 120).mean()

    seen = {kind: sum(share(samples[0, index, 1], kind) > 0.5 for index in range(24)) for kind in ("bg", "fg")}
    assert seen["bg"] >= 5 and not any(share(plain[0, index, 1], "bg") > 0.5 for index in range(24))
    assert np.array_equal(samples[0, 3, 1]["image"], samples[0, 3, 1]["image"])


def test_a_sample_can_hold_the_alpha_of_closed_form_matting():
    config = DataConfig(synth=4, augment={"resize": {"size": [64, 64]}, "noise": {"sigma": [3, 3]}}, doubled=0.5)
    origins = find_origins(config)[0]
    samples = [TrainingSet(origins, config, 5, matte=True)[0, index, 1] for index in range(4)]
    doubled = [np.array_equal(sample["image"][::2, ::2], sample["image"][1::2, 1::2]) for sample in samples]
    assert set(doubled) == {True, False}
    for sample, twice in zip(samples, doubled, strict=True):
        step = 1 + twice
        expected = coarse(sample["image"][::step, ::step], sample["trimap"][::step, ::step], steps=STEPS)
        assert np.array_equal(sample["matte"][::step, ::step], imaging.to_uint8(expected))
    (batch,) = training_batches(origins, config, batch_size=4, seed=5, start=0, stop=1, workers=0, matte=True)
    assert batch["matte"].shape == (4, 1, 64, 64)
    assert "matte" not in TrainingSet(origins, config, 5)[0, 0, 1]
