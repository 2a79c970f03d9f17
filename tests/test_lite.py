"""The shipped network: what it is told, and its fast form."""

import numpy as np
import pytest
import torch

from deepmat import inference, synth, trimap
from deepmat.compositing import COMPOSITORS
from deepmat.config import LiteConfig
from deepmat.models import build_model, for_prediction, lite_fast, load_model
from deepmat.models.lite import FIELDS, NOISE, _squares, _tell_apart, look, look_again, see, split
from deepmat.models.lite_fast import FastLite


@pytest.fixture(scope="module")
def model():
    """Weights of the size that training makes, also where it begins with zeros."""
    torch.manual_seed(0)
    built = build_model(LiteConfig()).eval()
    for name, parameter in built.named_parameters():
        if name.endswith("weight") and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.003)
    return built


def ramp(height, width):
    """A red foreground that fades to the right into a blue background, and a trimap with all of the fading unknown."""
    alpha = np.clip(np.linspace(1.5, -0.5, width), 0, 1)[None].repeat(height, 0)
    image = alpha[..., None] * [200, 60, 40] + (1 - alpha[..., None]) * [20, 80, 220]
    trimap = np.where(alpha == 1, 255, np.where(alpha == 0, 0, 128)).astype(np.uint8)
    return np.rint(image).astype(np.uint8), trimap, alpha


def test_what_follows_from_plain_colours_is_right_before_any_training():
    image, trimap, alpha = ramp(100, 300)
    found = inference.predict(build_model(LiteConfig()).eval(), image, trimap)
    assert np.abs(found - alpha).max() < 0.04  # NOISE keeps guesses of like colours from running off


def test_known_colours_are_kept_where_they_are_and_go_on_where_they_are_not():
    image = torch.full((1, 3, 64, 64), 51.0)
    image[:, :, 32:] = 204
    trimap = torch.full((1, 1, 64, 64), 128.0)
    trimap[:, :, :8], trimap[:, :, 56:] = 255, 0
    rgb, known = split(image, trimap)
    assert rgb.min() == pytest.approx(-0.3) and known.sum(1).max() == 1
    fields = look(rgb, known).unflatten(1, (3, FIELDS))
    for at, value in ((0, -0.3), (3, 0.3)):  # of foreground and background
        torch.testing.assert_close(fields[:, :, at : at + 3], torch.full((1, 3, 3, 16, 16), value), rtol=0, atol=1e-4)
    share = fields[0, 0, -2]
    assert share[:2].min() == 1 and share[2:].max() == 0  # of known foreground in a cell


def test_the_second_look_takes_what_was_found_for_known():
    image, trimap = torch.full((1, 3, 64, 64), 51.0), torch.full((1, 1, 64, 64), 128.0)
    image[:, :, 32:] = 204
    found = torch.ones(1, 1, 8, 8)
    found[:, :, 4:] = 0
    fields = look_again(*split(image, trimap), found)
    assert fields.shape == (1, FIELDS, 8, 8)
    torch.testing.assert_close(fields[:, 0], torch.full((1, 8, 8), -0.3), rtol=0, atol=1e-4)
    torch.testing.assert_close(fields[:, 3], torch.full((1, 8, 8), 0.3), rtol=0, atol=1e-4)
    trimap[:] = 0  # what the trimap knows, nothing found can change
    assert look_again(*split(image, trimap), found)[0, -2:].mean((1, 2)).tolist() == [0, 1]


@pytest.mark.parametrize("fast", [False, True])
def test_what_is_found_at_first_decides_the_second_look(fast):
    """All unknown, and the last layer takes the second look's alpha alone."""
    image, levels = np.full((64, 64, 3), 60, np.uint8), np.full((64, 64), 128, np.uint8)
    built = build_model(LiteConfig()).eval()
    built.head.bias.data[:] = 0
    built.head.bias.data[-1] = 1
    means = []
    for found in (0, 1):
        built.first.bias.data.fill_(found)
        means.append(inference.predict(for_prediction(built) if fast else built, image, levels).mean())
    assert means[0] < 0.2 and means[1] > 0.8


def test_the_direction_that_tells_two_colours_apart_solves_its_equation():
    generator = torch.Generator().manual_seed(0)
    colours = 0.3 * torch.randn(4, 3, 5, 5, generator=generator)
    covariance = _squares(colours).mean((2, 3), keepdim=True) - _squares(colours.mean((2, 3), keepdim=True))
    difference = torch.randn(4, 3, 1, 1, generator=generator)
    rr, gg, bb, rg, rb, gb = covariance[..., 0, 0].unbind(1)
    matrix = torch.stack([rr, rg, rb, rg, gg, gb, rb, gb, bb], 1).view(4, 3, 3) + NOISE * torch.eye(3)
    expected = torch.linalg.solve(matrix, difference[..., 0, 0])
    torch.testing.assert_close(_tell_apart(difference, covariance)[..., 0, 0], expected, rtol=1e-3, atol=1e-3)


def test_a_cell_holds_its_own_four_pixels():
    image = torch.randint(0, 256, (1, 3, 32, 64), generator=torch.Generator().manual_seed(0)).float()
    rgb, known = split(image, torch.full((1, 1, 32, 64), 128.0))
    seen, alphas = see(rgb, known, torch.zeros(1, 3 * FIELDS, 16, 32))
    assert seen.shape == (1, 110, 16, 32) and seen.isfinite().all() and alphas.shape == (1, 3, 4, 16, 32)
    torch.testing.assert_close(seen[0, 1 * 4 + 2, 3, 5], rgb[0, 1, 7, 10])  # row 1, column 0 of the cell, green


@pytest.mark.parametrize("size", [(32, 32), (160, 96), (96, 224)])
def test_the_fast_network_answers_as_the_plain_one(model, size):
    image, trimap, _ = ramp(*size)
    image = image + np.random.default_rng(0).integers(0, 30, image.shape, dtype=np.uint8)
    tensors = torch.from_numpy(image).permute(2, 0, 1)[None], torch.from_numpy(trimap)[None, None]
    fast = for_prediction(model)
    assert isinstance(fast, FastLite)
    with torch.inference_mode():
        expected, found = model(*tensors)["alpha"], fast(*tensors)["alpha"]
    assert expected.std() > 0.1 and found.dtype == torch.float32
    assert (found - expected).abs().max() < 1e-4


@pytest.mark.parametrize("kind", ["hair", "thing", "leaves"])
def test_bf16_is_near_and_the_shipped_weights_are_good(kind):
    """Not what they score on a test set: what no broken file or network could reach."""
    rng = np.random.default_rng(3)
    fg, alpha = synth.foreground(rng, 192, 192, kind)
    bg = synth.background(rng, 192, 192)
    image, levels = COMPOSITORS["cv2"].blend(fg, alpha, bg), trimap.by_distance(alpha, 6, 6)
    plain, fast = (inference.predict(for_prediction(load_model(), form), image, levels) for form in ("fp32", "bf16"))
    unknown = levels == trimap.UNKNOWN
    guessed = np.abs(0.5 - alpha / 255)[unknown].mean()
    assert np.abs(plain - alpha / 255)[unknown].mean() < 0.4 * guessed
    assert np.abs(fast - plain)[unknown].mean() < 0.002


@pytest.mark.parametrize("form", [None, "fp32"])
def test_a_tile_that_knows_nothing_of_one_side_goes_by_the_whole_picture(form):
    image, levels, alpha = ramp(64, 900)
    built = build_model(LiteConfig()).eval()
    network = for_prediction(built, form) if form else built
    found = inference.predict(network, image, levels, mode="tile", tile=128, overlap=32)
    assert np.abs(found - alpha).max() < 0.05


def test_strips_make_no_difference(model, monkeypatch):
    image, levels, _ = ramp(192, 96)
    found = []
    for rows in (2, 6, 16, 256):
        monkeypatch.setitem(lite_fast.STRIPS, "cpu", rows)
        found.append(inference.predict(for_prediction(model), image.transpose(1, 0, 2), levels.T))
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=1e-4)


def test_a_pixel_beyond_the_range_is_not_lost(model):
    """Alpha is held to 0 ... 1, its gradient is not."""
    image, trimap = torch.zeros(1, 3, 32, 32), torch.full((1, 1, 32, 32), 128.0)
    model.head.bias.data[:4] -= 5
    alpha = model(image, trimap)["alpha"]
    model.head.bias.data[:4] += 5
    assert alpha.max() == 0
    model.zero_grad()
    alpha.sum().backward()
    assert model.head.bias.grad[:4].min() > 0
    model.zero_grad()
