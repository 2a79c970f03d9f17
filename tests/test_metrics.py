import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepmat.metrics import METRICS, conn, grad, mean, mse, sad

EVERYWHERE = np.ones((8, 8), bool)


@pytest.mark.parametrize("case", range(3))
def test_all_four_equal_the_reference(golden, case):
    arrays = golden("metrics")
    pred, alpha, trimap = (arrays[f"{case}/{kind}"] for kind in ("pred", "alpha", "trimap"))
    scores = [metric(pred, alpha, trimap == 128) for metric in METRICS.values()]
    expected = arrays[f"{case}/sad_mse_grad_conn"]
    np.testing.assert_allclose(scores[:2], expected[:2], rtol=1e-9)
    np.testing.assert_allclose(scores[2:], expected[2:], rtol=1e-6)


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_contract_of_every_metric(name, seed):
    rng = np.random.default_rng(seed)
    pred, alpha = rng.integers(0, 256, (2, 24, 31), dtype=np.uint8)
    unknown = rng.random((24, 31)) < 0.5
    metric = METRICS[name]
    assert metric(alpha, alpha, unknown) == 0
    assert metric(pred, alpha, unknown) > 0
    assert metric(pred, alpha, np.zeros_like(unknown)) == 0
    if name != "mse":  # a sum over the region: its parts add up
        parts = metric(pred, alpha, unknown) + metric(pred, alpha, ~unknown)
        assert parts == pytest.approx(metric(pred, alpha, np.ones_like(unknown)))


def test_sad_and_mse_by_hand():
    pred, alpha = np.zeros((8, 8), np.uint8), np.full((8, 8), 51, np.uint8)
    assert sad(pred, alpha, EVERYWHERE) == pytest.approx(64 * 0.2 / 1000)
    assert mse(pred, alpha, EVERYWHERE) == pytest.approx(0.04)


def test_grad_stretches_each_alpha_by_itself():
    ramp = np.tile(np.arange(0, 80, 10, dtype=np.uint8), (8, 1))
    assert grad(ramp, 3 * ramp + 7, EVERYWHERE) == pytest.approx(0, abs=1e-15)
    assert grad(np.full((8, 8), 9, np.uint8), ramp, EVERYWHERE) > 0  # a flat alpha does not divide by zero


def test_conn_by_hand():
    """Two bright columns joined at 0.6: the second leaves the source at 0.7, while the truth keeps both."""
    alpha = np.full((3, 3), 255, np.uint8)
    pred = alpha.copy()
    pred[:, 1], pred[0, 2] = 153, 0
    # At 0.6 (153/255, equal in single precision) the middle column still joins; above, only the left column is source.
    # Truth: the middle has l = 0.6, phi = 1 - 0.4; the right l = 0.6 too; the corner pixel l = 0.
    # Prediction: the middle 0.6 - 0.6 = 0, phi 1; the right 1 - 0.6, phi 0.6; the corner 0 - 0, phi 1, truth phi 0.
    expected = 3 * 0.4 + 0 + 1
    assert conn(pred, alpha, np.ones((3, 3), bool)) == pytest.approx(expected / 1000)


def test_conn_never_takes_the_background_for_the_source():
    nothing = np.zeros((8, 8), np.uint8)
    dot = nothing.copy()
    dot[4, 4] = 255
    # The background, 63 pixels, is larger than the only component.
    assert conn(dot, dot, EVERYWHERE) == 0
    assert conn(nothing, dot, EVERYWHERE) == pytest.approx(1 / 1000)


def test_mean_leaves_out_what_failed():
    records = [{"sad": 1.0}, {"error": "broken"}, {"sad": 2.0}]
    assert mean(records, ["sad"]) == {"sad": 1.5}
    assert math.isnan(mean([], ["sad"])["sad"])
