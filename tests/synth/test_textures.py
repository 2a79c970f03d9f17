import cv2
import numpy as np
import pytest

from deepmat.synth import scenes
from deepmat.synth.backgrounds import DRAWN, PLACES
from deepmat.synth.colours import any_colour
from deepmat.synth.textures import TEXTURES, natural, surface


def draw(texture, seed, height=160, width=160):
    rng = np.random.default_rng(seed)
    return texture(rng, height, width, any_colour(rng))


def slope(picture):
    """The slope of the logarithm of the radial power spectrum over that of the frequency."""
    grey, side = picture.mean(axis=2), len(picture)
    window = np.hanning(side) * np.hanning(side)[:, None]
    power = np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2
    radius = np.hypot(*np.meshgrid(*[np.fft.fftfreq(side, 1 / side)] * 2)).astype(int).ravel()
    mean = np.bincount(radius, power.ravel()) / np.bincount(radius)
    seen = np.arange(4, side // 3)
    return np.polyfit(np.log(seen), np.log(mean[seen]), 1)[0]


@pytest.mark.parametrize("name", TEXTURES)
def test_a_texture_fills_any_picture_and_a_seed_fixes_it_whatever_the_number_of_threads(name):
    for height, width in ((32, 32), (33, 300), (160, 96)):
        pictures = [draw(TEXTURES[name], seed, height, width) for seed in range(3)]
        assert all((p.shape, p.dtype) == ((height, width, 3), np.float32) for p in pictures)
        assert all(np.isfinite(p).all() and p.min() > -0.1 and 0.003 < p.std() < 0.5 for p in pictures)
        assert len({p.tobytes() for p in pictures}) == 3
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        assert pictures[2].tobytes() == draw(TEXTURES[name], 2, height, width).tobytes()
    finally:
        cv2.setNumThreads(threads)


def test_natural_pictures_have_the_spectra_and_contrasts_of_photographs():
    pictures = [draw(natural, seed) for seed in range(30)]
    assert all(p.min() >= 0 and p.max() <= 1 for p in pictures)
    assert -3.2 < np.mean([slope(p) for p in pictures]) < -1.2  # photographs: about -2
    contrasts = [p.mean(axis=2).std() for p in pictures]
    assert min(contrasts) < 0.06 and 0.08 < np.median(contrasts) < 0.2 and max(contrasts) < 0.35
    lightness = np.mean([p.mean(axis=2).std() ** 2 for p in pictures])
    hue = np.mean([(p - p.mean(axis=2, keepdims=True)).std(axis=(0, 1)).max() ** 2 for p in pictures])
    assert hue < 0.3 * lightness  # colours differ in lightness above all


def test_a_surface_is_a_relief_around_one_of_any_body():
    for seed, mean in enumerate([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.9, 0.0, 0.2], [0.3, 0.4, 0.5]] * 4):
        relief = surface(np.random.default_rng(seed), 80, 120, np.array(mean))
        assert (relief.shape, relief.dtype) == ((80, 120, 3), np.float32)
        assert 0.9 < relief.mean() < 1.1 and 0.01 < relief.std() < 0.4 and relief.min() > 0.2 and relief.max() < 2


def test_one_background_in_three_is_natural():
    assert set(DRAWN) == set(PLACES)
    assert 0.3 < DRAWN.count("natural") / len(DRAWN) < 0.36


def test_a_third_of_the_things_in_training_scenes_have_such_surfaces(monkeypatch):
    drawn, worn = [], []
    for name, texture in (("natural", natural), ("surface", surface)):
        monkeypatch.setattr(scenes, name, lambda *given, make=texture, name=name: drawn.append(name) or make(*given))
    for seed in range(60):
        before = len(drawn)
        fg, _, _ = scenes.scene(np.random.default_rng(seed), 64, 64)
        worn.append(len(drawn) > before)
        assert fg.std() > 0
    assert 0.24 < np.mean(worn) < 0.48 and {*drawn} == {"natural", "surface"}
