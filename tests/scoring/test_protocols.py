from pathlib import Path

import cv2
import numpy as np
import pytest

from deepmat.config import TestConfig
from deepmat.errors import ConfigError
from deepmat.scoring.metrics import METRICS
from deepmat.scoring.metrics.scores import gaussian_derivative
from deepmat.scoring.protocols import PROTOCOLS, choose, score


@pytest.fixture
def picture():
    """Prediction (float32), alpha, trimap of 96x80, with an alpha that is fractional where the trimap knows."""
    rng = np.random.default_rng(3)
    alpha = np.zeros((96, 80), np.uint8)
    cv2.circle(alpha, (40, 48), 24, 255, -1)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 3)
    trimap = np.full_like(alpha, 128)
    trimap[alpha == 0], trimap[alpha > 240] = 0, 255
    pred = np.clip(alpha / 250 + rng.normal(0, 0.1, alpha.shape), 0.02, 0.98).astype(np.float32)
    pred[trimap != 128] = trimap[trimap != 128] / 255
    return pred, alpha, trimap


@pytest.mark.parametrize("name", PROTOCOLS)
def test_contract_of_every_protocol(name, picture):
    pred, alpha, trimap = picture
    protocol = PROTOCOLS[name]
    assert set(score(protocol, pred, alpha, trimap)) == set(METRICS)
    true = np.where(trimap == 128, alpha, trimap)
    assert not any(score(protocol, true, true, trimap).values())
    assert not any(score(protocol, pred, alpha, np.zeros_like(trimap)).get(name, 0) for name in ("grad", "conn")) or (
        protocol.structure == "whole"
    )
    assert all(value > 0 for value in score(protocol, pred, alpha, trimap).values())
    assert score(protocol, pred, alpha, trimap, ["sad"]) == {
        "sad": pytest.approx(score(protocol, pred, alpha, trimap)["sad"])
    }
    TestConfig().model_copy(update=dict(protocol.geometry))
    TestConfig.model_validate({**TestConfig().model_dump(), **protocol.geometry})
    docs = Path(__file__).parents[2] / "docs" / "scores.md"
    assert f"`{name}`" in docs.read_text()


def test_the_reference_protocol_gives_the_old_tools_own_numbers(golden):
    arrays = golden("inference")
    for stage in (1, 3):
        for mode in ("whole_max1600", "crop_64x64"):
            expected = arrays[f"stage{stage}/{mode}/mse_sad"]
            pred = arrays[f"stage{stage}/{mode}"]
            scores = score(PROTOCOLS["reference"], pred, arrays["alpha"], arrays["trimap"], ["mse", "sad"])
            np.testing.assert_allclose([scores["mse"], 1000 * scores["sad"]], expected, rtol=1e-6)


def magnitude(alpha):
    gaussian, derivative = gaussian_derivative()
    kernel = np.outer(gaussian, derivative)
    sides = (cv2.filter2D(alpha, -1, each, borderType=cv2.BORDER_REPLICATE) for each in (kernel, kernel.T.copy()))
    return np.hypot(*sides)


def conn_in_double(pred, alpha, unknown, background):
    """Conn as ports to Python write it: floats in double precision, a labelling for each threshold."""
    last = np.full(pred.shape, -1.0)
    steps = np.arange(0, 1.1, 0.1)[:11]
    for before, step in zip(steps, steps[1:], strict=False):
        both = ((pred >= step) & (alpha >= step)).astype(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(both, connectivity=4)
        areas = stats[:, cv2.CC_STAT_AREA]
        first = 0 if background else 1
        source = labels == first + np.argmax(areas[first:]) if len(areas) > first else np.zeros_like(unknown)
        last[(last == -1) & ~source] = before
    last[last == -1] = 1
    phi = [1 - (each - last) * (each - last >= 0.15) for each in (pred, alpha)]
    return np.abs(phi[0] - phi[1])[unknown].sum() / 1000


def test_mmagic_in_its_own_words(picture):
    """8 bits rounded, all in double; errors over the whole picture, divided by the unknown pixels."""
    pred, alpha, trimap = picture
    p, a, unknown = np.rint(pred * 255.0).astype(np.uint8) / 255, alpha / 255, trimap == 128
    stretched = [(each - each.min()) / (each.max() - each.min()) for each in (p, a)]
    expected = {
        "sad": np.abs(p - a).sum() / 1000,
        "mse": ((p - a) ** 2).sum() / unknown.sum(),
        "grad": ((magnitude(stretched[0]) - magnitude(stretched[1])) ** 2)[unknown].sum() / 1000,
        "conn": conn_in_double(p, a, unknown, background=False),
    }
    assert score(PROTOCOLS["mmagic"], *picture, metrics=list(expected)) == pytest.approx(expected, rel=1e-9)


def test_the_shared_port_in_its_own_words(picture):
    """8 bits cut, all in double, the unknown region; Grad of alphas as they are, the background a component."""
    pred, alpha, trimap = picture
    p, a, unknown = (pred * np.float32(255)).astype(np.uint8) / 255, alpha / 255, trimap == 128
    expected = {
        "sad": np.abs(p - a)[unknown].sum() / 1000,
        "mse": ((p - a) ** 2)[unknown].mean(),
        "grad": ((magnitude(p) - magnitude(a)) ** 2)[unknown].sum() / 1000,
        "conn": conn_in_double(p, a, unknown, background=True),
    }
    assert score(PROTOCOLS["port"], *picture, metrics=list(expected)) == pytest.approx(expected, rel=1e-9)


def test_masked_protocols_set_what_the_trimap_knows(picture):
    """As MMagic and the reference do before they score; the others leave a matte as it is."""
    pred, alpha, trimap = picture
    wrong = np.where((trimap == 0) & (np.arange(80) < 5), np.float32(1), pred)
    for name, protocol in PROTOCOLS.items():
        same = score(protocol, wrong, alpha, trimap) == score(protocol, pred, alpha, trimap)
        assert same == (name in ("mmagic", "reference")) or name.startswith(("matlab", "port")), name
    assert wrong[0, 0] == 1  # the matte given stays


def test_what_has_no_unknown_pixels_has_no_score(picture):
    pred, alpha, _ = picture
    known = np.zeros_like(alpha)
    for name in ("matlab", "mmagic", "reference"):
        assert score(PROTOCOLS[name], pred, alpha, known) == {}
    assert score(PROTOCOLS["whole"], pred, alpha, known)["sad"] > 0
    assert score(PROTOCOLS["matlab"], pred, alpha, known, region="fine") == {}


def test_stretched_brings_both_alphas_to_their_range(picture):
    pred, alpha, trimap = picture
    full = score(PROTOCOLS["matlab-stretched"], np.rint(pred * 255).astype(np.uint8), alpha, trimap)
    half = score(PROTOCOLS["matlab-stretched"], np.rint(pred * 255).astype(np.uint8), alpha // 2, trimap)
    assert half["sad"] == pytest.approx(full["sad"], rel=0.05)
    assert score(PROTOCOLS["matlab"], pred, alpha // 2, trimap)["sad"] > 2 * full["sad"]


def test_an_alpha_of_one_value_is_not_stretched():
    alpha, trimap = np.full((8, 8), 255, np.uint8), np.full((8, 8), 128, np.uint8)
    pred = alpha.copy()
    pred[0, 0] = 254
    assert score(PROTOCOLS["matlab-stretched"], alpha, alpha, trimap)["sad"] == 0
    assert score(PROTOCOLS["matlab-stretched"], pred, alpha, trimap)["mse"] == pytest.approx(1 / 64)


def test_geometries_are_those_of_the_tools():
    assert PROTOCOLS["reference"].geometry == {"mode": "whole", "fit": "stretch", "max_size": 1600}
    assert PROTOCOLS["mmagic"].geometry["fit"] == "keep" and PROTOCOLS["mmagic"].geometry["max_size"] > 10_000


def test_a_matte_from_a_file_is_scored_as_it_is(picture):
    pred, alpha, trimap = picture
    saved = (pred * 255).astype(np.uint8)
    assert score(PROTOCOLS["matlab"], saved, alpha, trimap) == score(PROTOCOLS["matlab-cut"], saved, alpha, trimap)


def test_regions_take_the_place_of_the_protocols_own(picture):
    pred, alpha, trimap = picture
    scores = {region: score(PROTOCOLS["matlab"], pred, alpha, trimap, region=region) for region in ("unknown", "whole")}
    assert scores["unknown"] == score(PROTOCOLS["matlab"], pred, alpha, trimap)
    assert scores["whole"] == score(PROTOCOLS["whole"], pred, alpha, trimap)


def test_choose_names_what_there_is():
    assert list(choose(["matlab", "all"])) == list(PROTOCOLS)
    with pytest.raises(ConfigError, match="protocol 'mathlab': unknown, did you mean matlab"):
        choose(["mathlab"])
