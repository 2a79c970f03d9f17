"""The shipped network: what it is told, and its fast form."""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from deepmat import imaging, synth
from deepmat.config import LiteConfig
from deepmat.data.compositing import COMPOSITORS
from deepmat.errors import CheckpointError, TooLarge
from deepmat.imaging import trimap
from deepmat.imaging.closed_form import coarse, correct
from deepmat.inference import predict as inference
from deepmat.models import build_model, for_prediction, load_model
from deepmat.models.lite import fast as lite_fast
from deepmat.models.lite import fusion
from deepmat.models.lite import network as lites
from deepmat.models.lite import overview as lite_far
from deepmat.models.lite.cues import (
    FIELDS,
    GUESSES,
    HINT_RANGE,
    NOISE,
    SEEN,
    _blurred_half,
    _halve,
    _squares,
    _tell_apart,
    even_cells,
    gather,
    look,
    see,
    split,
)
from deepmat.models.lite.fast import FastLite
from deepmat.models.lite.overview import hinted, overview, settle, shrink

TINY = LiteConfig(width=1 / 8)


def with_weights(config):
    """Weights of the size that training makes, also where it begins with zeros."""
    torch.manual_seed(0)
    built = build_model(config).eval()
    for name, parameter in built.named_parameters():
        if name.endswith("weight") and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.004)
    return built


@pytest.fixture(scope="module")
def model():
    return with_weights(TINY)


@pytest.fixture(scope="module")
def fusing():
    return with_weights(LiteConfig(width=1 / 8, fusion=True))


def ramp(height, width):
    """A red foreground that fades to the right into a blue background, and a trimap with all of the fading unknown."""
    alpha = np.clip(np.linspace(1.5, -0.5, width), 0, 1)[None].repeat(height, 0)
    image = alpha[..., None] * [200, 60, 40] + (1 - alpha[..., None]) * [20, 80, 220]
    trimap = np.where(alpha == 1, 255, np.where(alpha == 0, 0, 128)).astype(np.uint8)
    return np.rint(image).astype(np.uint8), trimap, alpha


NOTHING = torch.zeros(1, 2, 9, 1, 1)


def guessed(image, trimap):
    rgb, known, hint = split(image, trimap)
    return look(gather(rgb, known, hint), NOTHING)


def test_what_follows_from_plain_colours_is_right_before_any_training():
    image, trimap, alpha = ramp(100, 300)
    found = inference.predict(build_model(TINY).eval(), image, trimap)
    assert np.abs(found - alpha).max() < 0.04  # NOISE keeps guesses of like colours from running off


def test_known_colours_are_kept_where_they_are_and_go_on_where_they_are_not():
    image = torch.full((1, 3, 64, 64), 51.0)
    image[:, :, 32:] = 204
    trimap = torch.full((1, 1, 64, 64), 128.0)
    trimap[:, :, :8], trimap[:, :, 56:] = 255, 0
    rgb, known, hint = split(image, trimap)
    assert rgb.min() == pytest.approx(-0.3) and known.sum(1).max() == 1 and not hint.any()
    fields = look(gather(rgb, known, hint), NOTHING).unflatten(1, (GUESSES, FIELDS))
    for at, value in ((0, -0.3), (3, 0.3)):  # of foreground and background
        torch.testing.assert_close(
            fields[:, :, at : at + 3], torch.full((1, GUESSES, 3, 16, 16), value), rtol=0, atol=1e-4
        )
    share = fields[0, 0, -2]
    assert share[:2].min() == 1 and share[2:].max() == 0  # of known foreground in a cell


def test_hints_count_as_known_in_the_last_guess_alone():
    image, trimap = torch.full((1, 3, 64, 64), 51.0), torch.full((1, 1, 64, 64), 128.0 + HINT_RANGE)
    image[:, :, 32:], trimap[:, :, 32:] = 204, 128 - HINT_RANGE
    fields = guessed(image, trimap).unflatten(1, (GUESSES, FIELDS))
    assert not fields[:, :-1].any()
    torch.testing.assert_close(fields[0, -1, 0], torch.full((16, 16), -0.3), rtol=0, atol=1e-4)
    torch.testing.assert_close(fields[0, -1, 3], torch.full((16, 16), 0.3), rtol=0, atol=1e-4)
    assert fields[0, -1, -2, :8].min() > 0.999 and not fields[0, -1, -2, 8:].any()
    trimap[:] = 0  # what the trimap knows, no hint can change
    known = guessed(image, trimap).unflatten(1, (GUESSES, FIELDS))
    assert torch.equal(known[:, 0], known[:, -1])


def test_a_small_copy_knows_only_what_all_of_a_cell_knows():
    image, trimap = (
        torch.arange(300 * 10).view(1, 1, 300, 10) % 256,
        torch.full((1, 1, 300, 10), 128, dtype=torch.uint8),
    )
    trimap[:, :, :101], trimap[:, :, 250:] = 255, 0
    small, levels = shrink(image.to(torch.uint8), trimap, 4)
    assert small.shape == levels.shape == (1, 1, 75, 3)
    assert levels[0, 0, :, 0].tolist() == [255] * 25 + [128] * 38 + [0] * 12
    torch.testing.assert_close(small[0, 0, 70, 2], image[0, 0, 280:284, 8:].float().mean())


def test_hints_are_what_the_network_makes_of_a_small_copy():
    """An echo, in place of a network, that tells what it is shown."""
    shown = []

    def echo(image, trimap):
        shown.append((image, trimap))
        return image[:, :1] / 255

    image, trimap = torch.zeros(1, 3, 370, 630), torch.full((1, 1, 370, 630), 128, dtype=torch.uint8)
    image[:, :, :, 320:], trimap[:, :, :50], trimap[:, :, 330:] = 255, 255, 0
    beyond, (times, alpha) = overview(echo, image, trimap)
    ((small, levels),) = shown
    assert (
        small.shape == (1, 3, 96, 160) and alpha.shape == (1, 1, 93, 158) and levels.unique().tolist() == [0, 128, 255]
    )
    with_hints = hinted(trimap, times, alpha)
    assert (with_hints[:, :, :50] == 255).all() and not with_hints[:, :, 330:].any()
    unknown = with_hints[:, :, 50:330]
    assert (unknown[..., :310] == 128 - HINT_RANGE).all() and (unknown[..., 330:] == 128 + HINT_RANGE).all()
    assert beyond.shape == NOTHING.shape
    assert overview(echo, image[..., :256, :256], trimap[..., :256, :256])[1] is None and len(shown) == 1


@pytest.mark.filterwarnings("ignore:trimap. all pixels are unknown")
@pytest.mark.parametrize("form", [None, "fp32"])
@pytest.mark.parametrize(("mode", "options"), [("auto", {}), ("tile", {"tile": 256, "overlap": 64}), ("whole", {})])
def test_every_mode_hints(monkeypatch, form, mode, options):
    """The last layer takes the last guess alone, whose colours nothing but the small copy can tell."""
    rng = np.random.default_rng(0)
    image = rng.integers(100, 130, (384, 640, 3), dtype=np.uint8)
    image[:, 320:] += 30
    built = build_model(TINY).eval()
    built.head.bias.data[:] = 0
    built.head.bias.data[-1] = 1
    network = for_prediction(built, form) if form else built
    plain = network.forward

    def told(image, trimap, beyond=None):
        if trimap.shape[2:] == (96, 160):
            return {"alpha": (image.float().mean(1, keepdim=True) > 127).float()}
        return plain(image, trimap, beyond)

    monkeypatch.setattr(network, "forward", told)
    levels = np.full((384, 640), 128, np.uint8)
    found = inference.predict(network, image, levels, mode=mode, double=0, **options)
    assert found[:, :300].mean() < 0.2 and found[:, 340:].mean() > 0.8


def test_far_from_what_is_known_a_large_picture_is_on_average_its_copy():
    trimap = torch.full((1, 1, 90, 1121), 128, dtype=torch.uint8)
    trimap[..., :61] = 255
    alpha = 0.2 + 0.1 * (torch.arange(1121) % 2).expand(1, 1, 90, 1121)
    copy = torch.full((1, 1, 23, 281), 0.65)
    found = settle(alpha.clone(), trimap, 4, copy)
    assert torch.equal(found[..., :98], alpha[..., :98])  # what is known, and near to it
    torch.testing.assert_close(found[..., 200:] - alpha[..., 200:], torch.full((1, 1, 90, 921), 0.4), atol=5e-3, rtol=0)
    assert (found.diff(dim=3).abs() < 0.12).all()  # no edge where it begins
    assert (settle(alpha.clone(), trimap, 4, 1 + copy) <= 1).all()
    small = alpha[..., :1024].clone()
    assert torch.equal(settle(small.clone(), trimap[..., :1024], 4, copy[..., :256]), small)


@pytest.mark.parametrize("form", [None, "fp32"])
@pytest.mark.parametrize(("mode", "options"), [("auto", {}), ("tile", {"tile": 256, "overlap": 64}), ("whole", {})])
def test_every_mode_settles_large_pictures(monkeypatch, form, mode, options):
    """The network says 0.2 everywhere, but of the small copy."""
    built = build_model(TINY).eval()
    built.head.bias.data[:] = torch.tensor([0.2] * 4 + [0.0] * 7)
    network = for_prediction(built, form) if form else built
    plain = network.forward

    def told(image, trimap, beyond=None):
        if trimap.shape[2:] == (32, 288):
            return {"alpha": torch.full_like(trimap, 0.9, dtype=torch.float32)}
        return plain(image, trimap, beyond)

    monkeypatch.setattr(network, "forward", told)
    levels = np.full((96, 1120), 128, np.uint8)
    levels[:, :61] = 255
    found = inference.predict(
        network, np.full((96, 1120, 3), 99, np.uint8), levels, mode=mode, correct=False, **options
    )
    np.testing.assert_allclose(found[:, 61:98], 0.2, atol=1e-3)
    np.testing.assert_allclose(found[:, 200:], 0.9, atol=1e-3)


@pytest.mark.filterwarnings("ignore:trimap. all pixels are unknown")
@pytest.mark.parametrize("form", [None, "fp32"])
@pytest.mark.parametrize(("mode", "options"), [("auto", {}), ("tile", {"tile": 64, "overlap": 32}), ("whole", {})])
def test_every_mode_doubles_small_pictures_once(monkeypatch, model, form, mode, options):
    """Four pixels for each, and of what the network makes of them the mean."""
    image, levels, _ = ramp(64, 96)
    levels[:] = 128  # or auto would leave out what is known
    image = image + np.random.default_rng(0).integers(0, 30, image.shape, dtype=np.uint8)
    network = for_prediction(model, form) if form else model
    large = [np.kron(each, np.ones((2, 2, 1)[: each.ndim], np.uint8)) for each in (image, levels)]
    alpha = inference.predict(network, *large, mode=mode, double=0, correct=False, **options)
    found = inference.predict(network, image, levels, mode=mode, correct=False, **options)
    assert alpha.std() > 0.01
    np.testing.assert_allclose(found, alpha.reshape(64, 2, 96, 2).mean((1, 3)), atol=1e-4)
    monkeypatch.setattr(network, "enlarge_up_to", 95)
    assert np.array_equal(
        inference.predict(network, image, levels, mode=mode, correct=False, **options),
        inference.predict(network, image, levels, mode=mode, double=95, correct=False, **options),
    )
    assert not np.allclose(
        inference.predict(network, image, levels, mode=mode, correct=False, **options), found, atol=1e-3
    )


@pytest.mark.parametrize("form", [None, "fp32", "bf16"])
def test_closed_form_matting_corrects_its_alpha_once(model, form):
    image, levels, _ = ramp(64, 300)
    image = image + np.random.default_rng(0).integers(0, 9, image.shape, dtype=np.uint8)
    network = for_prediction(model, form) if form else model
    uncorrected = inference.predict(network, image, levels, correct=False, narrow=False)
    expected = correct(image, levels, uncorrected)
    assert np.abs(expected - uncorrected).max() > 0.01
    rough = np.select([levels == 0, levels == 255], [9, 250], 100).astype(np.uint8)
    for guide in (levels, rough):
        np.testing.assert_allclose(inference.predict_seen(network, image, guide, narrow=False)[0], expected, atol=1e-6)


@pytest.mark.parametrize("form", [None, "fp32"])
def test_parts_see_what_the_whole_sees(model, form):
    image, levels, _ = ramp(256, 512)
    image = image + np.random.default_rng(0).integers(0, 30, image.shape, dtype=np.uint8)
    network = for_prediction(model, form) if form else model
    whole, parts = (
        inference.predict(network, image, levels, mode=mode, double=0, narrow=False) for mode in ("whole", "auto")
    )
    assert 0 < np.abs(whole - parts).mean() < 0.002  # hints in 8 bits


def test_without_memory_for_a_view_of_the_whole_its_parts_are_seen(monkeypatch, model):
    image, levels, _ = ramp(64, 300)
    plain = model.forward

    def poor(image, trimap, beyond=None):
        if trimap.shape[3] < 128:
            raise RuntimeError("not enough memory")
        return plain(image, trimap, torch.zeros(1, 2, 9, 1, 1) if beyond is None else beyond)

    monkeypatch.setattr(model, "forward", poor)
    found, seen = inference.predict_seen(model, image, levels, double=0, narrow=False)
    assert found.std() > 0.1 and len(seen.notices) == 1 and "view of the whole" in seen.notices[0]


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_means_are_those_of_avg_pool2d(half_rows, half_columns, seed):
    x = torch.rand((2, 3, 2 * half_rows, 2 * half_columns), generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(_halve(x), F.avg_pool2d(x, 2))
    odd = torch.rand((1, 2, half_rows + 1, half_columns + 1), generator=torch.Generator().manual_seed(seed))
    blurred = F.avg_pool2d(odd, 3, stride=1, padding=1, count_include_pad=False)
    expected = F.avg_pool2d(blurred, 2, ceil_mode=True, count_include_pad=False)
    torch.testing.assert_close(_blurred_half(odd), expected)


def test_the_picture_not_what_the_network_gets_decides_on_doubling(monkeypatch, model):
    """A larger one, shrunk by the mode, is not doubled; one of 100 pixels, padded to 128, is."""
    seen, plain = [], model.forward
    monkeypatch.setattr(model, "forward", lambda image, trimap: seen.append(trimap.shape[3]) or plain(image, trimap))
    for width, options in ((160, {"max_size": 96}), (100, {})):
        image, levels, _ = ramp(64, width)
        inference.predict(model, image, levels, mode="whole", double=100, **options)
    assert seen == [96, 224]


def test_too_large_at_twice_its_size_says_so(monkeypatch, model):
    monkeypatch.setattr(model, "forward", lambda *_: torch.empty(1 << 60))
    with pytest.raises(TooLarge, match=r"twice its size.*double=0.*192x128"):
        inference.predict(model, *ramp(64, 96)[:2], mode="whole")


@pytest.mark.parametrize("mode", ["auto", "tile", "whole"])
def test_broken_weights_are_an_error_though_hints_cannot_say_so(mode):
    image, levels, _ = ramp(64, 300)
    built = build_model(TINY).eval()
    built.head.bias.data[:] = torch.nan
    with pytest.raises(CheckpointError, match="not a finite number"):
        inference.predict(built, image, levels, mode=mode)


def test_every_weight_learns_under_autocast(monkeypatch):
    """The copy's pass, which has no gradient, leaves nothing behind for the pass that has one."""
    monkeypatch.setattr(lite_far, "AT_ONCE", 32)
    torch.manual_seed(0)
    built = build_model(TINY).train()
    torch.nn.init.normal_(built.head.weight, std=0.01)
    image, trimap = 255 * torch.rand(1, 3, 64, 64), torch.full((1, 1, 64, 64), 128.0)
    with torch.autocast("cpu", torch.bfloat16):
        alpha = built(image, trimap)["alpha"]
    alpha.sum().backward()
    assert not [name for name, weight in built.named_parameters() if weight.grad is None or not weight.grad.any()]


def test_some_samples_are_trained_without_hints(monkeypatch):
    seen = []
    monkeypatch.setattr(lites, "split", lambda image, trimap: seen.append(trimap) or split(image, trimap))
    built = build_model(TINY)
    image, trimap = torch.rand(64, 3, 32, 32) * 255, torch.full((64, 1, 32, 32), 128 + HINT_RANGE)
    beyond = torch.zeros(64, 2, 9, 1, 1)
    torch.manual_seed(0)
    built.train()(image, trimap, beyond)
    share = (seen[-1] == 128).float().mean((1, 2, 3))
    assert set(share.tolist()) == {0, 1} and 0.1 < share.mean() < 0.4
    built.eval()(image, trimap, beyond)
    assert torch.equal(seen[-1], trimap)


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
    rgb, known, hint = split(image, torch.full((1, 1, 32, 64), 128.0))
    seen, alphas = see(rgb, known, hint, torch.zeros(1, GUESSES * FIELDS, 16, 32))
    assert seen.shape == (1, SEEN, 16, 32) and seen.isfinite().all() and alphas.shape == (1, GUESSES, 4, 16, 32)
    torch.testing.assert_close(seen[0, 1 * 4 + 2, 3, 5], rgb[0, 1, 7, 10])  # row 1, column 0 of the cell, green


@pytest.mark.parametrize("size", [(32, 32), (320, 96), (96, 480)])
def test_the_fast_network_answers_as_the_plain_one(model, size):
    image, trimap, _ = ramp(*size)
    image = image + np.random.default_rng(0).integers(0, 30, image.shape, dtype=np.uint8)
    tensors = torch.from_numpy(image).permute(2, 0, 1)[None], torch.from_numpy(trimap)[None, None]
    fast = for_prediction(model)
    assert isinstance(fast, FastLite)
    with torch.inference_mode():
        expected, found = model(*tensors)["alpha"], fast(*tensors)["alpha"]
    assert expected.std() > 0.1 and found.dtype == torch.float32
    assert (found - expected)[tensors[1] == 128].abs().max() < 1e-4
    with torch.inference_mode():
        assert (fast(*tensors, everywhere=True)["alpha"] - expected).abs().max() < 1e-4


@pytest.mark.parametrize("border", [0, 5, 27])
def test_cells_of_like_pixels_are_computed_once_and_answer_the_same(monkeypatch, model, border):
    side = 160 - border
    image, trimap, _ = ramp(side, side)
    image = image + np.random.default_rng(0).integers(0, 30, image.shape, dtype=np.uint8)
    doubled = (each.repeat(2, 0).repeat(2, 1) for each in (image, trimap))
    image, trimap = (cv2.copyMakeBorder(each, *(0, 2 * border) * 2, cv2.BORDER_REFLECT_101) for each in doubled)
    tensors = torch.from_numpy(image).permute(2, 0, 1)[None], torch.from_numpy(trimap)[None, None]
    assert even_cells(*tensors) == (side, side)
    shown = []
    monkeypatch.setattr(lite_fast, "see", lambda *given, even: shown.append(even) or see(*given, even=even))
    with torch.inference_mode():
        expected, found = model(*tensors)["alpha"], for_prediction(model)(*tensors)["alpha"]
    assert True in shown and (False in shown[1:]) == bool(border)  # the first is the smaller copy
    assert expected.std() > 0.1 and (found - expected)[tensors[1] == 128].abs().max() < 1e-4


def test_few_cells_of_a_photo_are_even():
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 3, 64, 64), dtype=np.uint8))
    trimap = torch.full((1, 1, 64, 64), 128, dtype=torch.uint8)
    assert even_cells(image, trimap) == (0, 0)
    image[:] = 7
    assert even_cells(image, trimap) == (32, 32)
    trimap[..., 9, 3] = 255  # one pixel of a cell is known
    assert even_cells(image, trimap) == (4, 1)


@pytest.mark.parametrize("form", [None, "fp32"])
def test_pictures_of_six_megapixels_are_seen_at_half_their_size(monkeypatch, model, form):
    network = for_prediction(model, form) if form else model
    shown = []
    monkeypatch.setattr(network, "begin", lambda image, trimap: shown.append(trimap.shape) or 1 / 0)
    for height, width in ((2000, 2999), (2000, 3000), (3000, 4500)):
        trimap = np.full((height, width), 128, np.uint8)
        with pytest.raises(ZeroDivisionError):
            inference.predict_seen(network, np.zeros((height, width, 3), np.uint8), trimap)
    assert shown == [(2000, 2999), (1000, 1500), (1000, 1500)]


@pytest.mark.parametrize("options", [{"mode": "resize", "size": (96, 96)}, {"max_size": 96, "fit": "stretch"}], ids=str)
def test_what_is_known_is_left_out_but_where_a_mode_may_have_lost_what_is_not(model, options):
    image, levels, _ = ramp(96, 480)
    tensors = torch.from_numpy(image).permute(2, 0, 1)[None], torch.from_numpy(levels)[None, None]
    fast = for_prediction(model)
    with torch.inference_mode():
        ends = fast(*tensors)["alpha"][0, 0]
    # far from what is unknown nothing was computed: these weights would not say exactly that
    assert (ends[:, :64] == levels[0, 0] / 255).all() and (ends[:, -64:] == levels[0, -1] / 255).all()
    thin = np.zeros((960, 960), np.uint8)
    thin[:, 26:28] = trimap.UNKNOWN  # between the samples of the shrunk trimap
    picture = np.random.default_rng(0).integers(0, 256, (960, 960, 3), dtype=np.uint8)
    plain, quick = (
        inference.predict(each, picture, thin, **{"mode": "whole", "correct": False, **options})
        for each in (model, fast)
    )
    assert plain.max() > 0.01
    np.testing.assert_allclose(quick, plain, atol=1e-4)


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
@pytest.mark.parametrize("width", [250, 900])
def test_a_tile_that_knows_nothing_of_one_side_goes_by_the_whole_picture(form, width):
    image, levels, alpha = ramp(64, width)
    built = build_model(TINY).eval()
    network = for_prediction(built, form) if form else built
    found = inference.predict(network, image, levels, mode="tile", tile=64, overlap=32)
    assert np.abs(found - alpha).max() < 0.05


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_its_alpha_is_fused_with_that_of_closed_form_matting(fusing, share, monkeypatch):
    """At the picture's own size; then the whole is corrected."""
    image, levels, _ = ramp(64, 300)
    image = image + np.random.default_rng(0).integers(0, 9, image.shape, dtype=np.uint8)
    monkeypatch.setattr(fusion, "FAR", 1e6)
    fusing.fusion.head.weight.data[:] = 0
    fusing.fusion.head.bias.data[:] = np.log(share / (1 - share)) if 0 < share < 1 else 200 * share - 100
    alone = inference.predict(fusing, image, levels, correct=False, narrow=False)
    matte = coarse(image, levels, steps=fusion.STEPS)
    assert np.abs(alone - matte)[levels == 128].mean() > 0.05
    for network in (fusing, for_prediction(fusing), for_prediction(fusing, "bf16")):
        found = fusion.fuse(network.net.fusion if network is not fusing else fusing.fusion, image, levels, alone)
        change, wanted = (cv2.blur(each - alone, (9, 9))[8:-8, 104:196] for each in (found, matte))
        assert np.abs(wanted).max() > 0.1
        np.testing.assert_allclose(change, share * wanted, atol=0.02)
        assert np.array_equal(found[levels != 128], alone[levels != 128])
        np.testing.assert_allclose(network.correction(image, levels, alone), correct(image, levels, found), atol=1e-6)
    whole = inference.predict(fusing, image, levels, narrow=False)
    np.testing.assert_allclose(whole, correct(image, levels, found), atol=1e-3)


def test_far_from_either_known_side_closed_form_matting_counts_for_little(fusing, monkeypatch):
    image, levels, _ = ramp(64, 300)
    fusing.fusion.head.weight.data[:] = 0
    fusing.fusion.head.bias.data[:] = 100
    alone = np.where(levels == 128, np.float32(0.35), levels / np.float32(255))
    changes = {}
    for far in (1e6, 0.4, 0.1):
        monkeypatch.setattr(fusion, "FAR", far)
        changes[far] = np.abs(fusion.fuse(fusing.fusion, image, levels, alone) - alone)[32]
    first, last = np.flatnonzero(levels[32] == 128)[[0, -1]]
    places = np.array([first + 5, (3 * first + last) // 4, last - 5])
    away = np.maximum(places - first, last - places) / 300  # from the foreground, from the background
    assert (changes[1e6][places] > 0.05).all()
    np.testing.assert_allclose(changes[0.4][places] / changes[1e6][places], np.exp(-((away / 0.4) ** 2)), atol=0.02)
    assert changes[0.1].max() < 0.01


@pytest.mark.parametrize("known", [0, 1])
def test_where_next_to_nothing_is_known_nothing_is_fused(fusing, known):
    image, levels, _ = ramp(64, 96)
    levels[:] = 128
    levels[:known, :known] = 255  # lost in the copy
    alone = np.where(levels == 128, np.float32(0.3), np.float32(1))
    assert fusion.fuse(fusing.fusion, image, levels, alone) is alone


def test_training_fuses_as_prediction_does(fusing, monkeypatch):
    image, levels, _ = ramp(64, 320)
    monkeypatch.setattr(fusion, "FAR", 1e6)
    alone = inference.predict(fusing, image, levels, correct=False)
    fusing.fusion.head.weight.data.normal_(std=3, generator=torch.Generator().manual_seed(0))
    small, known = (cv2.resize(each, (160, 32), interpolation=cv2.INTER_AREA) for each in (image, levels))
    matte = fusion.closed_form(small, known, steps=fusion.STEPS).repeat(2, 0).repeat(2, 1)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    maps = [torch.from_numpy(each)[None, None].float() for each in (levels, alone, matte)]
    with torch.no_grad():
        found = fusion.fused(fusing.fusion, pixels, *maps)[0, 0].clamp(0, 1).numpy()
    expected = fusion.fuse(fusing.fusion, image, levels, alone)
    assert np.abs(expected - alone).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_of_a_large_picture_the_fusion_sees_a_smaller_copy(fusing, monkeypatch):
    image, levels, _ = ramp(64, 300)
    sizes, plain = [], fusion.closed_form
    monkeypatch.setattr(fusion, "MOST", np.count_nonzero(levels == 128) / 4 - 1)
    monkeypatch.setattr(fusion, "closed_form", lambda *pair, **steps: sizes.append(pair[1].shape) or plain(*pair))
    fusion.fuse(fusing.fusion, image, levels, levels / np.float32(255))
    assert sizes == [(16, 75)]


def test_strips_make_no_difference(model, monkeypatch):
    image, levels, _ = ramp(96, 320)
    found = []
    for rows in (2, 6, 16, 256):
        monkeypatch.setitem(lite_fast.STRIPS, "cpu", rows)
        found.append(inference.predict(for_prediction(model), image.transpose(1, 0, 2), levels.T, double=0))
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


@pytest.mark.skipif(sys.platform != "linux", reason="counts kilobytes as Linux does")
def test_a_picture_of_1600_pixels_takes_less_than_a_gigabyte(tmp_path):
    image, levels, _ = ramp(1088, 1600)
    imaging.write_image(tmp_path / "photo.png", image)
    imaging.write_image(tmp_path / "trimap.png", levels)
    # A process begins with the peak of the one that starts it, here of all tests before; so a small one stands between.
    launch = """if True:
        import resource, subprocess, sys
        subprocess.run([sys.executable, "-m", "deepmat", *sys.argv[1:]], check=True, timeout=120)
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    """
    options = ["--trimap", "trimap.png", "-o", "out", "--device", "cpu", "--precision", "fp32"]
    result = subprocess.run(
        [sys.executable, "-c", launch, "predict", "photo.png", *options],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout.splitlines()[-1]) * 1024 < 1e9
