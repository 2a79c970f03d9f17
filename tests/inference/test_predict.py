import numpy as np
import pytest
import torch
from conftest import TinyModel, rule_state
from dim_scene import VARIANTS, scene
from hypothesis import given, settings
from hypothesis import strategies as st

from deepmat.config import DIMConfig, TestConfig
from deepmat.errors import CheckpointError, ConfigError, DataError
from deepmat.inference import predict as inference
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
    alpha = inference.predict(model, image, trimap, **LEGACY[name])
    # Other kernels round otherwise, and where two values nearly tie, pooling may choose the other.
    np.testing.assert_allclose(alpha, arrays[f"stage{stage}/{name}"], rtol=0, atol=1e-3 if fast else 1e-4)
    assert np.abs(alpha - arrays[f"stage{stage}/{name}"]).mean() < 1e-6
    error = (alpha - arrays["alpha"] / 255)[trimap == 128]
    scores = [np.mean(error**2), np.abs(error).sum()]
    np.testing.assert_allclose(scores, arrays[f"stage{stage}/{name}/mse_sad"], rtol=1e-5 if fast else 1e-6)


def first_channel(image, trimap):
    """A network that sees one pixel at a time: its answer must come back at the right place."""
    assert image.shape[:2] == trimap.shape and not any(side % 32 for side in trimap.shape)
    return image[..., 0].astype(np.float32) / 255


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    sides=st.sampled_from([(32, 0), (64, 0), (64, 32), (96, 32)]),
    seed=st.integers(0, 9),
)
def test_whole_and_tile_put_every_pixel_back(height, width, sides, seed):
    tile, overlap = sides
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    trimap = np.full((height, width), 128, np.uint8)
    expected = image[..., 0].astype(np.float32) / 255
    np.testing.assert_array_equal(inference.whole(image, trimap, first_channel), expected)
    tiled = inference.tile(image, trimap, first_channel, tile=tile, overlap=overlap)
    np.testing.assert_allclose(tiled, expected, atol=1e-6)


def test_tiles_blend_without_a_seam():
    answers = iter([0.0, 1.0])
    image, trimap = np.zeros((32, 96, 3), np.uint8), np.full((32, 96), 128, np.uint8)
    alpha = inference.tile(image, trimap, lambda i, t: np.full(t.shape, next(answers), np.float32), tile=64, overlap=32)
    assert alpha[0, 31] == 0 and alpha[0, 64] == 1
    assert np.abs(np.diff(alpha[0])).max() < 1.01 / 33


@pytest.mark.parametrize("mode", ["tile", "crop"])
def test_windows_with_nothing_unknown_are_left_out(mode):
    image, trimap = np.zeros((64, 192, 3), np.uint8), np.zeros((64, 192), np.uint8)
    trimap[40, 100] = 128
    seen = []

    def forward(image, trimap):
        seen.append(trimap)
        return np.ones(trimap.shape, np.float32)

    options = {"tile": {"tile": 64, "overlap": 0}, "crop": {"size": (64, 64)}}[mode]
    alpha = inference.MODES[mode](image, trimap, forward, **options)
    assert len(seen) == 1 and alpha[40, 100] == 1


def test_shrinking_keeps_the_aspect_ratio_and_every_unknown_pixel_unknown():
    image, trimap = np.zeros((300, 700, 3), np.uint8), np.zeros((300, 700), np.uint8)
    trimap[:, 350:] = 255
    trimap[150, 10] = 128  # one lone pixel
    seen = []
    inference.whole(image, trimap, lambda i, t: seen.append(t) or np.zeros(t.shape, np.float32), max_size=320)
    assert seen[0].shape == (160, 320)  # 137 x 320, mirrored up to multiples of 32
    assert (seen[0][66:71, 3:7] == 128).any() and set(np.unique(seen[0])) == {0, 128, 255}
    assert (seen[0][0, :158] == 0).all() and (seen[0][0, 162:] == 255).all()


@pytest.mark.parametrize("mode", inference.MODES)
@pytest.mark.parametrize("shape", [(1, 1), (5, 70), (33, 47)])
def test_every_mode_answers_at_the_size_of_the_picture_and_keeps_what_is_known(mode, shape):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    trimap = rng.choice(np.array([0, 128, 255], np.uint8), shape)
    options = inference.mode_options(TestConfig(mode=mode, tile=64, overlap=32, size=[32, 32], max_size=32))
    alpha = inference.predict(TinyModel(), image, trimap, **options)
    assert alpha.shape == shape and alpha.dtype == np.float32
    assert (alpha[trimap == 0] == 0).all() and (alpha[trimap == 255] == 1).all()
    assert ((alpha >= 0) & (alpha <= 1)).all()


def test_a_large_picture_comes_back_from_its_small_copy_in_place():
    ramp = np.linspace(0, 255, 700)[None] * np.linspace(0.2, 1, 300)[:, None]
    image = np.repeat(ramp.astype(np.uint8)[..., None], 3, axis=2)
    alpha = inference.whole(image, np.full((300, 700), 128, np.uint8), first_channel, max_size=320)
    assert np.abs(alpha - ramp / 255)[8:-8, 8:-8].max() < 0.02


@pytest.mark.parametrize("fit", ["keep", "stretch"])
def test_a_small_picture_is_never_enlarged(fit):
    seen = []
    image, trimap = np.zeros((40, 70, 3), np.uint8), np.full((40, 70), 128, np.uint8)
    inference.whole(image, trimap, lambda i, t: seen.append(t.shape) or np.zeros(t.shape, np.float32), fit=fit)
    assert seen == [(64, 96) if fit == "keep" else (32, 64)]


def test_padding_mirrors_the_picture():
    seen = []
    image = np.arange(40 * 33 * 3, dtype=np.uint32).reshape(40, 33, 3).astype(np.uint8)
    inference.whole(image, np.full((40, 33), 128, np.uint8), lambda i, t: seen.append(i) or first_channel(i, t))
    np.testing.assert_array_equal(seen[0][:40, 33:63], image[:, 31:1:-1])
    np.testing.assert_array_equal(seen[0][40:, :33], image[38:14:-1])


def test_weights_that_give_nan_are_an_error():
    model = TinyModel()
    torch.nn.init.constant_(model.head.bias, float("nan"))
    with pytest.raises(CheckpointError, match="not a finite number; its weights are broken"):
        inference.predict(model, np.zeros((8, 8, 3), np.uint8), np.full((8, 8), 128, np.uint8))


def test_a_trimap_with_nothing_unknown_is_the_answer():
    trimap = np.array([[0, 255], [255, 0]], np.uint8)
    alpha = inference.predict(None, np.zeros((2, 2, 3), np.uint8), trimap)
    np.testing.assert_array_equal(alpha, trimap / 255)


def test_wrong_calls_are_explained():
    image, trimap = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8)
    with pytest.raises(DataError, match=r"image uint8 \(4, 4, 3\) and trimap uint8 \(4, 5\)"):
        inference.predict(None, image, trimap)
    with pytest.raises(DataError, match="trimap float64 .*expected uint8"):
        inference.predict(None, image, np.zeros((4, 4)))
    with pytest.raises(DataError, match="levels are 0 to 2, as of labels"):
        inference.predict(None, image, np.full((4, 4), 2, np.uint8))
    trimap = trimap[:, :4]
    with pytest.raises(ConfigError, match="did you mean whole"):
        inference.predict(None, image, trimap, mode="hole")


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
        inference.predict(model, image, trimap, **{"mode": "whole", **options})
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


class Fake(inference.Network):
    """first_channel() as a network for which the memory suffices for so many pixels."""

    def __init__(self, promised, true=None):
        self.promised, self.true, self.about, self.seen = promised, true or promised, {"notices": []}, []

    def __call__(self, image, trimap):
        if trimap.size > self.true:
            raise inference.TooLarge("no memory")
        self.seen.append(trimap.shape)
        return first_channel(image, trimap)

    def fits(self, memory, picture):
        return self.promised


@pytest.mark.parametrize(
    ("promised", "true", "mode", "notices"),
    [
        (10**7, 10**7, "whole", 0),
        (1100**2, 1100**2, "tile 1024", 0),
        (0, 512**2, "tile 512", 0),  # it tries at least
        (10**7, 600**2, "tile 512", 3),
    ],
)
def test_auto_takes_what_the_memory_allows(promised, true, mode, notices):
    image = np.random.default_rng(0).integers(0, 256, (1300, 1700, 3), dtype=np.uint8)
    trimap = np.full((1300, 1700), 128, np.uint8)
    network = Fake(promised, true)
    alpha = inference.auto(image, trimap, network)
    np.testing.assert_allclose(alpha, image[..., 0] / np.float32(255), atol=1e-6)
    assert network.about["mode"] == mode and len(network.about["notices"]) == notices
    assert all("memory ran out" in notice for notice in network.about["notices"])


def test_auto_says_when_nothing_fits():
    image, trimap = np.zeros((600, 600, 3), np.uint8), np.full((600, 600), 128, np.uint8)
    with pytest.raises(DataError, match="no memory"):
        inference.auto(image, trimap, Fake(10**7, 100))


def test_auto_looks_only_around_the_unknown_region():
    image = np.random.default_rng(0).integers(0, 256, (1000, 900, 3), dtype=np.uint8)
    trimap = np.zeros((1000, 900), np.uint8)
    trimap[500:510, 300:320] = 128
    network = Fake(10**7)
    alpha = inference.auto(image, trimap, network)
    np.testing.assert_array_equal(alpha[500:510, 300:320], image[500:510, 300:320, 0] / np.float32(255))
    assert network.seen == [(480, 480)]  # rows 256 to 733, columns 64 to 543


def test_what_auto_leaves_out_has_no_influence(models):
    """The margin is the receptive radius, and windows begin where the whole picture's pooling does."""
    model = for_prediction(models[3])
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (640, 96, 3), dtype=np.uint8)
    trimap = np.zeros((640, 96), np.uint8)
    trimap[10:20, 40:60] = 128
    alphas = [inference.predict(model, image, trimap, mode=mode) for mode in ("auto", "whole")]
    np.testing.assert_allclose(alphas[0], alphas[1], atol=1e-5)
    image[10 + 100 :] = 0
    near = inference.predict(model, image, trimap)
    assert np.abs(near - alphas[0]).max() > 1e-5


def test_memory_given_or_free_decides_how_much_fits(models, monkeypatch):
    network = inference.Network(for_prediction(models[1], "bf16"))
    assert network.fits(4, 100_000_000) * 460 == pytest.approx(4e9 - 0.9e9 - 2e9, rel=1e-6)
    assert network.fits(0.5, 10**6) == 0
    monkeypatch.setattr(inference, "free_memory", lambda device: 4_600_000_000)
    assert network.fits(None, 0) == 5_000_000
    assert inference.Network(models[1]).fits(None, 0) == 1_150_000
