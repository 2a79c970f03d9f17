import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import rule_state
from dim_scene import VARIANTS, scene
from hypothesis import given, settings
from hypothesis import strategies as st

from deepmat.config import DIMConfig
from deepmat.errors import CheckpointError, DeviceError
from deepmat.models import build_model, for_prediction
from deepmat.models.dim import int8 as dim_int8
from deepmat.runtime import devices

CPU = torch.device("cpu")
lacking = devices.lacking_for_int8(CPU)
needs_int8 = pytest.mark.skipif(bool(lacking), reason=f"int8: {lacking}")


def plain(**options):
    model = build_model(DIMConfig(**options)).eval()
    model.load_state_dict(rule_state(model, skip=options.get("skip", True)))
    return model.requires_grad_(False)


@pytest.fixture(scope="module", autouse=True)
def small_scenes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dim_int8, "SIDE", 96)
        yield


@pytest.fixture(scope="module")
def pair():
    model = plain(refine=True)
    return model, for_prediction(model, "int8")


@needs_int8
@pytest.mark.parametrize(
    ("options", "even"), [*((options, False) for options in VARIANTS), (VARIANTS[0], True)], ids=str
)
def test_int8_is_near(options, even):
    """Random weights are the hardest: each maximum that rounding moves moves a number. Even bf16 is off by 0.04."""
    model = plain(**options)
    image, trimap = scene(320, 192)
    if even:
        image = F.interpolate(image[..., :5, :3].float(), (320, 192), mode="bilinear").round().to(torch.uint8)
    with torch.inference_mode():
        expected, found = (net(image, trimap)["alpha"] for net in (model, for_prediction(model, "int8")))
    unknown = trimap == 128
    assert found.dtype == torch.float32 and (found[unknown] - expected[unknown]).abs().mean() < 0.12
    assert torch.corrcoef(torch.stack((found[unknown], expected[unknown])))[0, 1] > 0.6
    assert (found[..., 220:240, 170:] == 1).all()


@needs_int8
@pytest.mark.parametrize("name", ["conv1_1", "conv1_2", "deconv3_1", "deconv6_1", "refine_conv1"])
def test_a_convolution_rounds_and_nothing_else(pair, name, monkeypatch):
    model, fast = pair
    monkeypatch.setattr(fast, "gains", {name: 1.0} | dict.fromkeys(dim_int8.SKIPPED.values(), 3.0))
    layer = model.get_submodule(name)
    torch.manual_seed(0)
    number = torch.randint(0, 256, (1, layer.in_channels, 16, 24), dtype=torch.uint8).contiguous(
        memory_format=torch.channels_last
    )
    if name in dim_int8.FIRST:
        truth = torch.cat(((number[:, :3] / 255 - model.mean) / model.std, number[:, 3:] / 255), dim=1)
    else:
        truth = number * fast.units[name].view(1, -1, 1, 1)
    expected = layer(truth).relu()
    unit = fast.units[dim_int8.READER[name]].view(1, -1, 1, 1)
    with torch.inference_mode():
        found = fast._convolve(name, number) * unit * fast.gains[dim_int8.READER[name]]
    # What 255 steps cannot show is cut off. At the borders, what lies outside must be the colour that stands for 0.
    cut = expected.minimum(255 * unit * fast.gains[dim_int8.READER[name]])
    assert (cut < expected).float().mean() < 0.05
    assert (found - cut).abs().mean() < 0.03 * cut.mean()
    assert (found - cut)[..., 0].abs().mean() < 0.03 * cut[..., 0].mean()


@needs_int8
@settings(max_examples=30)
@given(seed=st.integers(0, 999), top=st.sampled_from([1, 3, 255]))
def test_unpooling_takes_the_first_of_the_largest_and_saturates(pair, seed, top):
    fast = copy.copy(pair[1])
    fast.units, fast.gains = ({"conv2_1": one, "deconv1_1": one} for one in (torch.ones(64), 1.0))
    rng = np.random.default_rng(seed)
    features = torch.from_numpy(rng.integers(0, top + 1, (1, 64, 6, 8), dtype=np.uint8))
    x = torch.from_numpy(rng.integers(0, 256, (1, 64, 3, 4), dtype=np.uint8))
    _, indices = F.max_pool2d(features.float(), 2, return_indices=True)
    expected = (F.max_unpool2d(x.float(), indices, [2, 2]) + features).clamp(max=255)
    torch.testing.assert_close(fast._unpool(1, x, features).float(), expected, rtol=0, atol=0)


@needs_int8
def test_a_sum_has_room_for_its_features_and_alpha_is_seen_in_full(pair, monkeypatch):
    fast = pair[1]
    monkeypatch.setattr(fast, "gains", {"deconv2_1": 0.5, "conv2_1": 3.0})
    fast._convolve("deconv2_1", torch.zeros(1, 128, 4, 4, dtype=torch.uint8))
    assert fast.gains["deconv1_1"] == 3.0
    seen = fast._see_again(torch.zeros(1, 3, 2, 2, dtype=torch.uint8), torch.full((1, 1, 2, 2), 0.999))
    assert seen.dtype == torch.uint8 and (seen[:, 3] == 255).all()


@needs_int8
def test_a_picture_does_not_change_the_next(pair):
    _, fast = pair
    image, trimap = scene(320, 192)
    with torch.inference_mode():
        first = fast(image, trimap)["alpha"]
        fast(image // 8, trimap)
        torch.testing.assert_close(fast(image, trimap)["alpha"], first, rtol=0, atol=0)


@needs_int8
def test_numbers_far_from_those_of_the_scenes_find_their_gain(pair, monkeypatch):
    """As if the scenes had been four times too dull: the deep layers' gains grow, and the answer stays."""
    model, fast = pair
    image, trimap = scene(320, 192)
    true = dim_int8._peaks
    deep = ("conv4", "conv5", "conv6", "deconv")
    monkeypatch.setattr(
        dim_int8, "_peaks", lambda net: {k: v / 4 if k.startswith(deep) else v for k, v in true(net).items()}
    )
    other = for_prediction(model, "int8")
    with torch.inference_mode():
        expected, found = fast(image, trimap)["alpha"], other(image, trimap)["alpha"]
    assert (found - expected)[trimap == 128].abs().mean() < 0.1
    assert other.gains["deconv4_1"] > 2 * fast.gains["deconv4_1"]


@needs_int8
def test_broken_weights_are_named():
    model = plain()
    model.conv3_1.bias[0] = float("nan")
    with pytest.raises(CheckpointError, match="not finite; its weights are broken"):
        for_prediction(model, "int8")


def test_int8_is_refused_where_it_cannot_run(monkeypatch):
    with pytest.raises(DeviceError, match="int8 on cuda: int8 is for CPUs; use auto, bf16 or fp32"):
        devices.pick_precision("int8", torch.device("cuda"))
    with monkeypatch.context() as patch:
        patch.setattr(torch.ops, "onednn", object())
        with pytest.raises(DeviceError, match="torch .* has no oneDNN convolution"):
            devices.pick_precision("int8", CPU)
    monkeypatch.setattr(torch.ops, "onednn", type("", (), {"qconv_pointwise": 1, "qconv_prepack": 1}))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_vnni": False}, raising=False)
    with pytest.raises(DeviceError, match="VNNI"):
        devices.pick_precision("int8", CPU)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_vnni": True}, raising=False)
    assert devices.pick_precision("int8", CPU) == "int8"
