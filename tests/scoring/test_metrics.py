import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepmat.scoring.metrics import METRICS, REGIONS, conn, grad, mad, mean, mse, sad, scores

EVERYWHERE = np.ones((8, 8), bool)


@pytest.fixture(params=["compiled", "plain"])
def kernels(request, monkeypatch):
    """With the compiled loops and without."""
    if request.param == "compiled":
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(scores, "_kernels", lambda: None)


@pytest.mark.parametrize("case", range(3))
def test_all_four_equal_the_reference(kernels, golden, case):
    arrays = golden("metrics")
    pred, alpha, trimap = (arrays[f"{case}/{kind}"] for kind in ("pred", "alpha", "trimap"))
    scores = [METRICS[name](pred, alpha, trimap == 128) for name in ("sad", "mse", "grad", "conn")]
    expected = arrays[f"{case}/sad_mse_grad_conn"]
    np.testing.assert_allclose(scores[:2], expected[:2], rtol=1e-9)
    np.testing.assert_allclose(scores[2:], expected[2:], rtol=1e-6)


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_contract_of_every_metric(name, seed):
    rng = np.random.default_rng(seed)
    pred, alpha = rng.integers(0, 256, (2, 24, 31), dtype=np.uint8)
    unknown = rng.random((24, 31)) < 0.5
    metric = METRICS[name]
    assert metric(alpha, alpha, unknown) == 0
    assert metric(pred, alpha, unknown) > 0
    assert metric(pred, alpha, np.zeros_like(unknown)) == 0
    if name not in ("mse", "mad"):  # a sum over the region: its parts add up
        parts = metric(pred, alpha, unknown) + metric(pred, alpha, ~unknown)
        assert parts == pytest.approx(metric(pred, alpha, np.ones_like(unknown)))


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6), height=st.integers(1, 24), width=st.integers(1, 24), levels=st.sampled_from([2, 4, 256])
)
def test_compiled_loops_equal_the_plain_ones(seed, height, width, levels):
    kernels = pytest.importorskip("deepmat.scoring.metrics.kernels")
    rng = np.random.default_rng(seed)
    pred, alpha = (rng.integers(0, levels, (2, height, width)) * (255 // (levels - 1))).astype(np.uint8)
    region = rng.random((height, width)) < rng.random()
    passed = scores.thresholds_passed("single")[np.minimum(pred, alpha)]
    last = scores._last_in_source(passed, background=False)
    np.testing.assert_array_equal(kernels.last_in_source(passed), last)
    compiled = grad(pred, alpha, region), conn(pred, alpha, region)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "_kernels", lambda: None)
        plain = grad(pred, alpha, region), conn(pred, alpha, region)
    np.testing.assert_allclose(compiled, plain, rtol=1e-11, atol=1e-15)
    if width > 1:  # not only for arrays that lie in a row
        columns = [each[:, ::2] for each in (pred, alpha, region)]
        assert grad(*columns) == pytest.approx(grad(*(each.copy() for each in columns)), rel=1e-12)
        assert conn(*columns) == conn(*(each.copy() for each in columns))


def test_floats_score_as_the_levels_they_stand_for():
    rng = np.random.default_rng(0)
    pred, alpha = rng.integers(0, 256, (2, 24, 31), dtype=np.uint8)
    region = rng.random((24, 31)) < 0.5
    for metric in (sad, mad, mse, grad):
        assert metric(pred / 255, alpha, region) == pytest.approx(metric(pred, alpha, region), rel=1e-12)


def test_sad_and_mse_by_hand():
    pred, alpha = np.zeros((8, 8), np.uint8), np.full((8, 8), 51, np.uint8)
    assert mad(pred, alpha, EVERYWHERE) == pytest.approx(0.2)
    assert mse(pred, alpha, EVERYWHERE, over=EVERYWHERE & (np.arange(8) < 4)) == pytest.approx(0.08)
    assert sad(pred, alpha, EVERYWHERE) == pytest.approx(64 * 0.2 / 1000)
    assert mse(pred, alpha, EVERYWHERE) == pytest.approx(0.04)


def test_grad_stretches_each_alpha_by_itself():
    ramp = np.tile(np.arange(0, 80, 10, dtype=np.uint8), (8, 1))
    assert grad(ramp, 3 * ramp + 7, EVERYWHERE) == pytest.approx(0, abs=1e-15)
    assert grad(np.full((8, 8), 9, np.uint8), ramp, EVERYWHERE) > 0  # a flat alpha does not divide by zero


def test_conn_by_hand(kernels):
    """Two bright columns joined at 0.6: the second leaves the source at 0.7, while the truth keeps both."""
    alpha = np.full((3, 3), 255, np.uint8)
    pred = alpha.copy()
    pred[:, 1], pred[0, 2] = 153, 0
    # At 0.6 (153/255, equal in single precision) the middle column still joins; above, only the left column is source.
    # Truth: the middle has l = 0.6, phi = 1 - 0.4; the right l = 0.6 too; the corner pixel l = 0.
    # Prediction: the middle 0.6 - 0.6 = 0, phi 1; the right 1 - 0.6, phi 0.6; the corner 0 - 0, phi 1, truth phi 0.
    expected = 3 * 0.4 + 0 + 1
    assert conn(pred, alpha, np.ones((3, 3), bool)) == pytest.approx(expected / 1000)


def test_conn_of_equal_components_takes_the_first_column_by_column(kernels):
    """As MATLAB counts: the lower left one here. Row by row it would be the other, and the score 0.5 / 1000."""
    alpha = np.zeros((3, 3), np.uint8)
    alpha[0, 2], alpha[2, 0] = 255, 255
    pred = alpha.copy()
    pred[0, 2] = 128
    # l is 0 at the upper right: phi is 1 - 1 of the truth and 1 - 128 / 255 of the prediction.
    assert conn(pred, alpha, np.ones((3, 3), bool)) == pytest.approx(127 / 255 / 1000)


def test_conn_compares_as_wide_as_it_is_told():
    """153 / 255 reaches 0.6 in single precision; in double it does not reach numpy.arange's 0.6."""
    single, double = (scores.thresholds_passed(width) for width in ("single", "double"))
    assert np.flatnonzero(single != double).tolist() == [153] and (single[153], double[153]) == (6, 5)
    assert single.tolist() == [10 * level // 255 for level in range(256)]


def test_conn_can_take_the_background_for_the_source_as_some_ports_do():
    dot = np.zeros((8, 8), np.uint8)
    dot[4, 4] = 255
    pred = np.where(dot, np.uint8(200), dot)
    assert conn(pred, dot, EVERYWHERE) == pytest.approx(0.3 / 1000)  # l is 0.7: phi is 1 and 1 - 0.3
    # The background, 63 pixels, is larger than the dot, which is out from the first threshold on.
    assert conn(pred, dot, EVERYWHERE, background=True) == pytest.approx(55 / 255 / 1000)


def test_fine_parts_are_strands_and_gaps_not_edges():
    alpha = np.zeros((200, 200), np.uint8)
    alpha[:, 60:140] = 255  # a body, whose edges are no fine parts
    alpha[20:180, 20:22] = 255  # a strand
    alpha[100:102, 80:120] = 0  # a gap
    trimap = np.full((200, 200), 128, np.uint8)
    trimap[150:] = 0
    found = REGIONS["fine"](alpha, trimap)
    assert found[20:150, 20:22].all() and found[100:102, 80:120].all()
    assert not found[150:].any() and not found[:90, 55:145].any()
    assert REGIONS["unknown"](alpha, trimap).sum() == 150 * 200 and REGIONS["whole"](alpha, trimap).all()


def test_fine_parts_go_by_the_size_of_the_picture():
    """A strand of 9 pixels is fine at 4000 (a disc of 25) and none at 400 (a disc of 5)."""
    for side, found in ((4000, True), (400, False)):
        alpha = np.zeros((60, side), np.uint8)
        alpha[20:29] = 255
        assert REGIONS["fine"](alpha, np.full_like(alpha, 128))[24, side // 2] == found


def test_conn_never_takes_the_background_for_the_source(kernels):
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
