"""A network is a file of models/ and a line in MODELS: a toy goes through everything that predicts."""

import json
import os
import signal
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image
from toy import Toy, ToyOptions

import deepmat as api
from deepmat import imaging
from deepmat.config import TestConfig
from deepmat.errors import CheckpointError, ConfigError, DataError, DeepmatWarning, TooLarge
from deepmat.inference import modes
from deepmat.inference import predict as predicting
from deepmat.inference.predict import predict, predict_seen
from deepmat.models import MODELS, build_model, for_prediction, load_model
from deepmat.models.checkpoint import save_weights


@pytest.fixture
def weights(monkeypatch, tmp_path):
    """A weights file of the toy, which is registered by one line."""
    monkeypatch.setitem(MODELS, "toy", Toy)
    save_weights(tmp_path / "toy.safetensors", build_model(ToyOptions()).state_dict(), ToyOptions().model_dump())
    return tmp_path / "toy.safetensors"


def scene(height, width, seed=0):
    """A picture, a trimap with all three levels, and the alpha of the toy."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    trimap = rng.choice(np.array([0, 128, 255], np.uint8), (height, width))
    return image, trimap, np.where(trimap == 128, image[..., 0], trimap) / np.float32(255)


@pytest.mark.parametrize("double", [None, 0, 4096])
@pytest.mark.parametrize("mode", modes.MODES)
@pytest.mark.parametrize("shape", [(1, 1), (5, 70), (96, 64)])
def test_every_mode_answers_at_the_size_of_the_picture_and_keeps_what_is_known(weights, mode, shape, double):
    image, trimap, expected = scene(*shape)
    settings = TestConfig(mode=mode, tile=64, overlap=32, size=[32, 32], max_size=64, double=double)
    alpha, seen = predict_seen(load_model(weights), image, trimap, **modes.mode_options(settings))
    assert alpha.shape == shape and alpha.dtype == np.float32 and ((alpha >= 0) & (alpha <= 1)).all()
    assert (alpha[trimap == 0] == 0).all() and (alpha[trimap == 255] == 1).all()
    if mode in ("auto", "tile") or (mode == "whole" and max(shape) <= 64):
        np.testing.assert_allclose(alpha, expected, atol=1e-6)
    assert seen.mode == ("none" if not (trimap == 128).any() else mode if mode != "auto" else "whole")


def test_small_pictures_are_enlarged_as_the_network_asks(weights, monkeypatch):
    model = load_model(weights)
    shown = []
    monkeypatch.setattr(
        model, "forward", lambda image, trimap: shown.append(trimap.shape) or Toy.forward(model, image, trimap)
    )
    image, trimap, expected = scene(64, 64)
    for enlarge_up_to, side in ((0, 64), (63, 64), (64, 128)):
        monkeypatch.setattr(model, "enlarge_up_to", enlarge_up_to)
        for mode in ("auto", "whole"):
            np.testing.assert_allclose(predict(model, image, trimap, mode=mode), expected, atol=1e-6)
            assert shown.pop() == (1, 1, side, side)
    predict(model, image, trimap, mode="resize", size=(32, 32))
    assert shown.pop() == (1, 1, 64, 64)
    monkeypatch.setattr(model, "forward", lambda *_: (_ for _ in ()).throw(RuntimeError("not enough memory")))
    with pytest.raises(TooLarge, match=r"seen at twice its size \(not by --set test.double=0\): 128x128 pixels"):
        predict(model, image, trimap, mode="whole")


def test_large_pictures_are_seen_smaller_by_mode_auto_alone(weights, monkeypatch):
    model = load_model(weights)
    shown = []
    monkeypatch.setattr(
        model, "forward", lambda image, trimap: shown.append(trimap.shape[2:]) or Toy.forward(model, image, trimap)
    )
    image, trimap, expected = scene(96, 160)
    trimap[0], trimap[:, 0], trimap[-1], trimap[:, -1] = 128, 128, 128, 128  # or auto would leave out what is known
    expected = np.where(trimap == 128, image[..., 0], trimap) / np.float32(255)
    for pixels, side, said in ((96 * 160 + 1, (96, 160), "whole"), (96 * 160, (64, 96), "whole, 1/2")):
        monkeypatch.setattr(model, "shrink_from", pixels)
        alpha, seen = predict_seen(model, image, trimap)
        assert shown.pop() == side and seen.mode == said
        assert alpha.shape == trimap.shape and alpha.dtype == np.float32
        assert (alpha[trimap == 0] == 0).all() and (alpha[trimap == 255] == 1).all()
        assert np.abs(alpha - expected).mean() < 0.02
    monkeypatch.setattr(model, "shrink_from", 96 * 160 * 4 // 9)
    predict(model, image, trimap)
    assert shown.pop() == (32, 64)
    for mode in ("whole", "tile"):
        np.testing.assert_allclose(predict(model, image, trimap, mode=mode), expected, atol=1e-6)


def test_a_wide_trimap_is_narrowed_by_a_first_look_at_half_the_size(weights, monkeypatch):
    """The red channel is the toy's alpha: 0, a soft edge, 255."""
    model, shown = load_model(weights), []
    edge = np.clip(np.arange(320) * 16 - 2432, 0, 255).astype(np.uint8)
    image = np.repeat(np.tile(edge, (96, 1))[..., None], 3, 2)
    trimap = np.full((96, 320), 128, np.uint8)
    trimap[:, :80], trimap[:, -80:] = 0, 255
    monkeypatch.setattr(
        model, "forward", lambda image, trimap: shown.append(trimap[0, 0]) or Toy.forward(model, image, trimap)
    )

    def look(small, levels, alpha):
        assert small.shape[:2] == levels.shape == alpha.shape in ((48, 160), (24, 80))
        return alpha

    def see(**options):
        shown.clear()
        alpha, seen = predict_seen(model, image, trimap, **options)
        np.testing.assert_allclose(alpha, image[..., 0] / np.float32(255), atol=1e-6)
        return seen.mode, [int((levels == 128).any(0).sum()) for levels in shown]

    assert see() == ("whole", [160])
    monkeypatch.setattr(model, "first_look", look)
    mode, (before, first, second) = see()
    assert mode == "whole, narrowed" and (before, first) == (40, 80) and 16 <= second < 24
    assert see(narrow=False) == ("whole", [160]) and see(mode="whole") == ("whole", [160])
    assert see(mode="whole", narrow=True)[0] == "whole, narrowed"
    trimap[:, :150], trimap[:, -150:] = 0, 255
    assert see()[0] == "whole" and see(loose=True)[0] == "whole, narrowed"
    for scribble in (np.s_[40:43, 10:300], np.s_[:, :0]):  # too thin for the copies, or none: one side alone is known
        trimap[trimap == 255] = 128
        trimap[scribble][image[scribble][..., 0] == 255] = 255
        assert see() == ("whole", [170])


def test_the_planner_counts_with_its_bytes_a_pixel(weights, monkeypatch):
    model = load_model(weights)
    monkeypatch.setattr(modes, "TILES", (0, 96, 32))
    image, trimap, expected = scene(120, 200)
    trimap[0], trimap[:, 0], trimap[-1], trimap[:, -1] = 128, 128, 128, 128
    expected = np.where(trimap == 128, image[..., 0], trimap) / np.float32(255)
    needed = {"whole": 128 * 224, "tile 96": 96 * 96, "tile 32": 32 * 32}
    for mode, pixels in needed.items():
        gigabytes = (modes.PROCESS_BYTES + modes.PICTURE_BYTES * trimap.size + model.bytes_a_pixel * (pixels + 1)) / 1e9
        alpha, seen = predict_seen(model, image, trimap, memory=gigabytes, overlap=32)
        assert seen.mode == mode
        np.testing.assert_allclose(alpha, expected, atol=1e-6)


def test_predict_and_eval_take_it(weights, deepmat, tmp_path):
    image, trimap, expected = scene(60, 80)
    for kind, pixels in (("image", image), ("trimap", trimap), ("alpha", imaging.to_uint8(expected))):
        imaging.write_image(tmp_path / "set" / kind / "a.png", pixels)
    done = deepmat("predict", "set/image", "-t", "set/trimap", "-o", "out", "-w", weights)
    assert done.exit_code == 0 and "toy (gain 1.0)" in done.stderr
    np.testing.assert_array_equal(imaging.read_grey(tmp_path / "out/alpha/a.png"), imaging.to_uint8(expected))
    scored = deepmat("eval", "--data", "set", "-w", weights, "--mode", "tile", "--json")
    assert scored.exit_code == 0 and json.loads(scored.stdout)["pictures"][0]["sad"] == 0


def test_python_takes_it(weights):
    image, trimap, expected = scene(40, 50)
    model = api.load_model(weights)
    np.testing.assert_allclose(api.predict(model, image, trimap), expected, atol=1e-6)
    assert api.for_prediction(model, "fp32") is model
    with pytest.raises(ConfigError, match="precision bf16: toy .* has no such form; use fp32"):
        for_prediction(model, "bf16")
    with pytest.raises(CheckpointError, match="says itself how it was trained"):
        api.load_model(weights, assume={"gain": 2.0})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": None}, "mode: .* \\(got None\\)"),
        ({"mode": "tile", "tile": 0}, "tile: .* \\(got 0\\)"),
        ({"mode": "whole", "fit": "x"}, "fit: .* \\(got 'x'\\)"),
        ({"double": "a"}, "double: .* \\(got 'a'\\)"),
        ({"nothing": 1}, "^nothing: unknown option; known: mode, double, .*tile"),
        ({"mode": "crop", "tile": 64, "overlap": 32}, "tile: mode crop does not use it; leave it out"),
    ],
    ids=str,
)
def test_wrong_options_of_predict_are_named(weights, options, message):
    image, trimap, _ = scene(40, 50)
    with pytest.raises(ConfigError, match=message):
        predict(load_model(weights), image, trimap, **options)


@pytest.mark.parametrize("model", [None, "lite", Toy, torch.nn.Identity()], ids=str)
def test_what_is_no_network_is_named(model):
    with pytest.raises(ConfigError, match=r"is no network that predicts; deepmat.load_model\(path\) gives one$"):
        predict(model, np.zeros((8, 8, 3), np.uint8), np.full((8, 8), 128, np.uint8))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="GNU's OpenMP")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_process_forked_after_a_prediction_predicts(weights):
    image, trimap, _ = scene(400, 500)  # large enough for several threads
    model, threads = load_model(weights), torch.get_num_threads()
    torch.set_num_threads(2)
    expected = predict(model, image, trimap)
    torch.ones(1 << 20).sin()
    child = os.fork()
    if not child:
        same = False
        try:
            same = np.array_equal(predict(model, image, trimap), expected)
            torch.ones(1 << 20).sin()
        finally:
            os._exit(not same)
    torch.set_num_threads(threads)
    end, status = time.monotonic() + 20, None
    while status is None and time.monotonic() < end:
        ended, code = os.waitpid(child, os.WNOHANG)
        status = code if ended else None
        time.sleep(0.01)
    if status is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert status == 0


def test_weights_that_give_nan_are_an_error(weights):
    with pytest.raises(CheckpointError, match="not a finite number; its weights are broken"):
        predict(Toy(float("nan")), np.zeros((8, 8, 3), np.uint8), np.full((8, 8), 128, np.uint8))


def test_a_trimap_with_nothing_unknown_is_the_answer():
    trimap = np.array([[0, 255], [255, 0]], np.uint8)
    for source in (trimap, Image.fromarray(trimap)):
        with pytest.warns(DeepmatWarning, match="trimap: no pixel is unknown, so the trimap is the alpha"):
            alpha = predict(None, np.zeros((2, 2, 3), np.uint8), source)
    np.testing.assert_array_equal(alpha, trimap / 255)


def test_pictures_come_in_every_form(weights, tmp_path):
    image, trimap, expected = scene(40, 50)
    imaging.write_image(tmp_path / "image.png", image)
    imaging.write_image(tmp_path / "trimap.png", trimap)
    model, mirrored = load_model(weights), np.ascontiguousarray(image[:, ::-1])[:, ::-1]
    image.flags.writeable = False
    opaque = np.dstack((image, np.full((40, 50), 255, np.uint8)))
    images = {
        "path": tmp_path / "image.png",
        "text": str(tmp_path / "image.png"),
        "bytes": (tmp_path / "image.png").read_bytes(),
        "PIL": Image.fromarray(image),
        "read-only": image,
        "negative strides": mirrored,
        "RGBA": opaque,
        "floats": image / 255.0,
        "float32": (image / 255.0).astype(np.float32),
        "uint16": image.astype(np.uint16) * 257,
    }
    for form, source in images.items():
        found = predict(model, source, trimap)
        np.testing.assert_allclose(found, expected, atol=1e-6, err_msg=form)
    for form, source in {
        "path": tmp_path / "trimap.png",
        "bytes": (tmp_path / "trimap.png").read_bytes(),
        "PIL": Image.fromarray(trimap),
        "RGB": np.dstack([trimap] * 3),
        "floats": np.where(trimap == 128, 0.5, trimap / 255),
        "transposed": np.ascontiguousarray(trimap.T).T,
    }.items():
        np.testing.assert_allclose(predict(model, image, source), expected, atol=1e-6, err_msg=form)
    grey = image[..., 0]
    np.testing.assert_allclose(predict(model, grey, trimap), expected, atol=1e-6)
    with pytest.warns(DeepmatWarning, match="no pixel is unknown"):
        known = predict(None, image, trimap == 255)
    np.testing.assert_array_equal(known, trimap == 255)


@pytest.mark.parametrize(
    ("image", "trimap", "message"),
    [
        (np.zeros((0, 5, 3), np.uint8), np.zeros((0, 5), np.uint8), "image: "),
        (np.zeros((3, 4, 5), np.uint8), np.zeros((4, 5), np.uint8), "image: "),
        (np.full((4, 5, 3), np.nan), np.zeros((4, 5), np.uint8), "image: "),
        (np.zeros((4, 5, 3), np.uint8), [[0]], "trimap: list"),
        (np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4), np.uint8), "trimap: 4x5, but its picture is 5x4"),
        ("nothing.png", np.zeros((4, 5), np.uint8), "nothing.png: no such file"),
        (b"no picture", np.zeros((4, 5), np.uint8), "image: not a picture"),
        (torch.zeros(4, 5, 3), np.zeros((4, 5), np.uint8), "image: torch.Tensor"),
    ],
)
def test_what_is_no_picture_is_explained_in_one_line(image, trimap, message):
    with pytest.raises(DataError) as caught:
        predict(None, image, trimap)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_wrong_calls_are_explained():
    image, trimap = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8)
    with pytest.raises(DataError, match="4"):
        predict(None, image, trimap)
    with pytest.raises(DataError, match="levels are 0 to 2, like labels"):
        predict(None, image, np.full((4, 4), 2, np.uint8))
    with pytest.raises(ConfigError, match="did you mean whole"):
        predict(None, image, trimap[:, :4], mode="hole")


def test_trimaps_of_rough_masks_are_narrowed_however_narrow_they_are(weights, monkeypatch, deepmat, tmp_path):
    """Not those of hard masks, and of a width that is asked for, which are as narrow."""
    side = np.hypot(*(np.mgrid[:240, :240] - 119.5))
    image = np.repeat(np.clip(300 - 3 * (side - 40), 0, 255).astype(np.uint8)[..., None], 3, 2)  # falls from 55 to 140
    shape = np.clip((98 - side) / 20 + 0.5, 0, 1)
    tails = np.random.default_rng(0).integers(0, 5, shape.shape)
    soft = np.clip(252 * shape, tails, 254 - tails)  # never quite 255, as networks leave it
    for name, mask in (("soft", np.rint(soft)), ("hard", 255 * (shape > 0.5))):
        imaging.write_image(tmp_path / "photos" / f"{name}.png", image)
        imaging.write_image(tmp_path / "masks" / f"{name}.png", mask.astype(np.uint8))
    monkeypatch.setattr(predicting, "is_wide", lambda trimap, alpha: False)
    monkeypatch.setattr(Toy, "first_look", staticmethod(lambda image, trimap, alpha: alpha))
    for out, command, expected in (
        ("first", ("predict",), {"soft": True, "hard": False}),
        ("second", ("predict", "--width", "9"), {"soft": False, "hard": False}),
        ("third", ("cut",), {"soft": True, "hard": True}),
    ):
        done = deepmat(*command, "photos", "--masks", "masks", "-o", out, "-w", weights)
        assert done.exit_code == 0, done.output
        records = [json.loads(line) for line in (tmp_path / out / "log.jsonl").read_text().splitlines()]
        assert {each["name"]: "narrowed" in each["mode"] for each in records} == expected
    asked: list[bool] = []
    monkeypatch.setattr(predicting, "narrowed", lambda trimap, alpha: asked.append(True) or trimap)
    api.cut(image, mask=tmp_path / "masks/hard.png", weights=weights)
    assert asked == [True]


@pytest.mark.parametrize(
    ("name", "near"), [("max_sze", "max_size"), ("tiel", "tile"), ("mde", "mode"), ("doubl", "double")]
)
def test_a_misspelt_option_is_refused_with_the_nearest(name, near):
    with pytest.raises(ConfigError, match=rf"^{name}: unknown option, did you mean {near}\?$"):
        predict(None, np.zeros((2, 2, 3), np.uint8), np.full((2, 2), 128, np.uint8), **{name: 1})
