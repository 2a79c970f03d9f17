"""Deep Image Matting against the reference implementation, and its fast form against the plain one."""

import numpy as np
import pytest
import torch
from conftest import rule_state
from dim_scene import VARIANTS, scene

from deepmat.config import DIMConfig
from deepmat.inference.predict import predict
from deepmat.models import build_model, for_prediction
from deepmat.models.dim.fast import FastDIM

LEGACY = {
    "whole_max1600": {"mode": "whole", "max_size": 1600, "fit": "stretch"},
    "whole_max96": {"mode": "whole", "max_size": 96, "fit": "stretch"},
    "crop_64x64": {"mode": "crop", "size": (64, 64)},
    "resize_64x64": {"mode": "resize", "size": (64, 64)},
}


@pytest.fixture(scope="module")
def models():
    built = {stage: build_model(DIMConfig(refine=stage == 3)).eval() for stage in (1, 3)}
    for model in built.values():
        model.load_state_dict(rule_state(model, skip=True))
    return built


@pytest.mark.parametrize("stage", [1, 3])
@pytest.mark.parametrize("name", LEGACY)
@pytest.mark.parametrize("fast", [False, True])
def test_legacy_geometry_equals_the_reference(golden, models, stage, name, fast):
    arrays = golden("inference")
    image, trimap = arrays["image_bgr"][..., ::-1], arrays["trimap"]
    model = for_prediction(models[stage]) if fast else models[stage]
    alpha = predict(model, image, trimap, **LEGACY[name])
    # Other kernels round otherwise, and where two values nearly tie, pooling may choose the other.
    np.testing.assert_allclose(alpha, arrays[f"stage{stage}/{name}"], rtol=0, atol=1e-3 if fast else 1e-4)
    assert np.abs(alpha - arrays[f"stage{stage}/{name}"]).mean() < 1e-6
    error = (alpha - arrays["alpha"] / 255)[trimap == 128]
    scores = [np.mean(error**2), np.abs(error).sum()]
    np.testing.assert_allclose(scores, arrays[f"stage{stage}/{name}/mse_sad"], rtol=1e-5 if fast else 1e-6)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_the_fast_network_answers_as_the_plain_one(options):
    model = build_model(DIMConfig(**options)).eval()
    model.load_state_dict(rule_state(model, skip=options.get("skip", True)))
    image, trimap = scene(320, 192)
    fast = for_prediction(model)
    assert isinstance(fast, FastDIM)
    with torch.inference_mode():
        expected, found = model(image, trimap)["alpha"], fast(image, trimap)["alpha"]
    unknown = trimap == 128
    torch.testing.assert_close(found[unknown], expected[unknown], rtol=0, atol=1e-5)
    assert expected[unknown].std() > 0.05  # something to get wrong
    assert (found[..., 220:240, 170:] == 1).all()  # far from anything unknown, nothing was computed


@pytest.mark.parametrize("options", [{"mode": "resize", "size": (64, 64)}, {"max_size": 64, "fit": "stretch"}], ids=str)
def test_what_an_old_mode_loses_of_the_trimap_is_computed_all_the_same(models, options):
    image = np.random.default_rng(0).integers(0, 256, (640, 640, 3), dtype=np.uint8)
    trimap = np.zeros((640, 640), np.uint8)
    trimap[:, 26:28] = 128  # between the samples of the shrunk trimap
    alphas = [
        predict(model, image, trimap, **{"mode": "whole", **options})
        for model in (models[1], for_prediction(models[1]))
    ]
    np.testing.assert_allclose(alphas[1], alphas[0], atol=1e-4)
    assert alphas[0].max() > 0.05


def test_bf16_is_near(models):
    image, trimap = scene(320, 192)
    with torch.inference_mode():
        expected = models[1](image, trimap)["alpha"]
        found = for_prediction(models[1], "bf16")(image, trimap)["alpha"]
    difference = (found - expected)[trimap == 128].abs()
    assert found.dtype == torch.float32 and difference.mean() < 0.03


def test_what_auto_leaves_out_has_no_influence(models):
    """The margin is the receptive radius, and windows begin where the whole picture's pooling does."""
    model = for_prediction(models[3])
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (640, 96, 3), dtype=np.uint8)
    trimap = np.zeros((640, 96), np.uint8)
    trimap[10:20, 40:60] = 128
    alphas = [predict(model, image, trimap, mode=mode) for mode in ("auto", "whole")]
    np.testing.assert_allclose(alphas[0], alphas[1], atol=1e-5)
    image[10 + 100 :] = 0
    near = predict(model, image, trimap)
    assert np.abs(near - alphas[0]).max() > 1e-5
