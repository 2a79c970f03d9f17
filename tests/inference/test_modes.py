"""Modes put every pixel back, whatever the network; a toy network shows what they ask of it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import Toy

from deepmat.config import TestConfig
from deepmat.errors import DataError, TooLarge
from deepmat.inference import modes


class Watched(Toy):
    """Keeps what forward() is shown; memory suffices for so many pixels at once."""

    def __init__(self, most=10**9):
        super().__init__()
        self.most, self.shown = most, []

    def forward(self, image, trimap):
        if trimap.numel() > self.most:
            raise RuntimeError("not enough memory")
        assert image.shape[2:] == trimap.shape[2:] and not any(side % 32 for side in trimap.shape[2:])
        self.shown.append((image[0].permute(1, 2, 0).numpy(), trimap[0, 0].numpy()))
        return super().forward(image, trimap)


class Answers(Toy):
    """Gives one answer after the other, each over a whole window."""

    def __init__(self, *answers):
        super().__init__()
        self.answers = iter(answers)

    def forward(self, image, trimap):
        return {"alpha": torch.full(trimap.shape, next(self.answers))}


def noise(height, width, seed=0):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return image, np.full((height, width), 128, np.uint8), image[..., 0] / np.float32(255)


@settings(max_examples=60)
@given(
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    sides=st.sampled_from([(32, 0), (64, 0), (64, 32), (96, 32)]),
    enlarge=st.booleans(),
    seed=st.integers(0, 9),
)
def test_whole_and_tile_put_every_pixel_back(height, width, sides, enlarge, seed):
    image, trimap, expected = noise(height, width, seed)
    alpha, seen = modes.whole(Watched(), image, trimap, enlarge)
    np.testing.assert_allclose(alpha, expected, atol=1e-6)
    assert seen == ("whole", [])
    tiled, seen = modes.tile(Watched(), image, trimap, tile=sides[0], overlap=sides[1])
    np.testing.assert_allclose(tiled, expected, atol=1e-6)
    assert seen == ("tile", [])


def test_tiles_blend_without_a_seam():
    image, trimap, _ = noise(32, 96)
    alpha, _ = modes.tile(Answers(0.0, 1.0), image, trimap, tile=64, overlap=32)
    assert alpha[0, 31] == 0 and alpha[0, 64] == 1
    assert np.abs(np.diff(alpha[0])).max() < 1.01 / 33


@pytest.mark.parametrize("mode", ["tile", "crop"])
def test_windows_with_nothing_unknown_are_left_out(mode):
    image, trimap = np.full((64, 192, 3), 255, np.uint8), np.zeros((64, 192), np.uint8)
    trimap[40, 100] = 128
    network = Watched()
    options = {"tile": {"tile": 64, "overlap": 0}, "crop": {"size": (64, 64)}}[mode]
    alpha, _ = modes.MODES[mode](network, image, trimap, **options)
    assert len(network.shown) == 1 and alpha[40, 100] == 1


def test_crop_stretches_the_windows_at_the_edges():
    image, trimap, _ = noise(40, 100)
    network = Watched()
    modes.crop(network, image, trimap, size=(32, 64))
    assert [levels.shape for _, levels in network.shown] == [(32, 64)] * 4
    np.testing.assert_array_equal(network.shown[0][0], image[:32, :64])


def test_shrinking_keeps_the_aspect_ratio_and_every_unknown_pixel_unknown():
    image, trimap = np.zeros((300, 700, 3), np.uint8), np.zeros((300, 700), np.uint8)
    trimap[:, 350:] = 255
    trimap[150, 10] = 128  # one lone pixel
    network = Watched()
    modes.whole(network, image, trimap, max_size=320)
    ((_, levels),) = network.shown
    assert levels.shape == (160, 320)  # 137 x 320, mirrored up to multiples of 32
    assert (levels[66:71, 3:7] == 128).any() and set(np.unique(levels)) == {0, 128, 255}
    assert (levels[0, :158] == 0).all() and (levels[0, 162:] == 255).all()


def test_a_large_picture_comes_back_from_its_small_copy_in_place():
    ramp = np.linspace(0, 255, 700)[None] * np.linspace(0.2, 1, 300)[:, None]
    image = np.repeat(ramp.astype(np.uint8)[..., None], 3, axis=2)
    alpha, _ = modes.whole(Watched(), image, np.full((300, 700), 128, np.uint8), max_size=320)
    assert np.abs(alpha - ramp / 255)[8:-8, 8:-8].max() < 0.02


@pytest.mark.parametrize(("fit", "shape"), [("keep", (64, 96)), ("stretch", (32, 64))])
def test_a_small_picture_is_never_enlarged_by_itself(fit, shape):
    network = Watched()
    modes.whole(network, *noise(40, 70)[:2], fit=fit)
    assert [levels.shape for _, levels in network.shown] == [shape]


def test_padding_mirrors_the_picture():
    image = np.arange(40 * 33 * 3, dtype=np.uint32).reshape(40, 33, 3).astype(np.uint8)
    network = Watched()
    modes.whole(network, image, np.full((40, 33), 128, np.uint8))
    ((shown, _),) = network.shown
    np.testing.assert_array_equal(shown[:40, 33:63], image[:, 31:1:-1])
    np.testing.assert_array_equal(shown[40:, :33], image[38:14:-1])


@pytest.mark.parametrize(
    ("fits", "most", "mode", "notices"),
    [
        (10**7, 10**7, "whole", 0),
        (1100**2, 1100**2, "tile 1024", 0),
        (0, 512**2, "tile 512", 0),  # it tries at least
        (10**7, 600**2, "tile 512", 3),
    ],
)
def test_auto_takes_what_the_memory_allows(monkeypatch, fits, most, mode, notices):
    image, trimap, expected = noise(1300, 1700)
    monkeypatch.setattr(modes, "pixels_that_fit", lambda predictor, memory, picture: fits)
    alpha, seen = modes.auto(Watched(most), image, trimap)
    np.testing.assert_allclose(alpha, expected, atol=1e-6)
    assert seen.mode == mode and len(seen.notices) == notices
    assert all("memory ran out" in notice for notice in seen.notices)


def test_auto_says_when_nothing_fits():
    with pytest.raises(TooLarge, match="512x512 pixels at once are too many for the memory") as caught:
        modes.auto(Watched(100), *noise(600, 600)[:2])
    assert isinstance(caught.value, DataError)


def test_auto_looks_only_around_the_unknown_region():
    image, trimap, expected = noise(1000, 900)
    trimap[:] = 0
    trimap[500:510, 300:320] = 128
    network = Watched()
    alpha, _ = modes.auto(network, image, trimap)
    np.testing.assert_array_equal(alpha[500:510, 300:320], expected[500:510, 300:320])
    ((_, levels),) = network.shown
    assert levels.shape == (160, 160)  # rows 416 to 573, columns 224 to 383: 64 pixels around, begun at multiples of 32


def test_memory_given_or_free_decides_how_much_fits(monkeypatch):
    toy = Toy()  # 100 bytes a pixel
    assert modes.pixels_that_fit(toy, 4, 100_000_000) * 100 == pytest.approx(4e9 - 0.9e9 - 2e9, rel=1e-6)
    assert modes.pixels_that_fit(toy, 0.5, 10**6) == 0
    monkeypatch.setattr(modes, "free_memory", lambda device: 4_600_000_000)
    assert modes.pixels_that_fit(toy, None, 0) == 23_000_000
    assert modes.pixels_that_fit(toy, None, 1_000_000) == 22_800_000


def test_a_mode_gets_the_settings_that_it_takes():
    settings = TestConfig(mode="tile", tile=64, overlap=32)
    assert modes.mode_options(settings) == {"mode": "tile", "tile": 64, "overlap": 32}
    assert modes.mode_options(TestConfig(mode="auto", double=7, correct=False)) == {
        "mode": "auto",
        "overlap": 256,
        "memory": None,
        "double": 7,
        "correct": False,
    }
