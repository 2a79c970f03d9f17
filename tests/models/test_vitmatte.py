"""ViTMatte of transformers: the same alpha, every mode, weights of folders and of the hub."""

import hashlib
import json

import numpy as np
import pytest
import torch
from fake_hub import TINY, edit_json, save_vitmatte, use_hub

import deepmat
from deepmat.config import LiteConfig, VitMatteConfig
from deepmat.errors import CheckpointError, ConfigError
from deepmat.inference.opening import open_network
from deepmat.models import build_model, fill_from, find_weights, for_prediction, label_of, load_model, vitmatte
from deepmat.models.checkpoint import save_weights
from deepmat.models.weights import info

pytest.importorskip("transformers")
MODEL = "someone/vitmatte-tiny"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder of transformers, its model and its processor, which is not the usual one."""
    folder = tmp_path_factory.mktemp("saved") / "tiny"
    model, processor = save_vitmatte(folder, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.4])
    return folder, model, processor


@pytest.fixture
def hub(monkeypatch, tmp_path, saved):
    made = use_hub(monkeypatch, tmp_path)
    made.models[MODEL] = saved[0]
    yield made
    made.close()


def scene(height, width):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return image, rng.choice(np.array([0, 128, 255], np.uint8), (height, width))


@pytest.mark.parametrize("shape", [(33, 95), (64, 96), (7, 40), (131, 70)])
@pytest.mark.parametrize("at_once", [1 << 23, 1])
def test_alpha_equals_that_of_transformers(saved, shape, at_once, monkeypatch):
    monkeypatch.setattr(vitmatte, "SCORES_AT_ONCE", at_once)
    folder, theirs, processor = saved
    image, trimap = scene(*shape)
    with torch.no_grad():
        expected = theirs(**processor(images=image, trimaps=trimap, return_tensors="pt")).alphas[0, 0].numpy()
    expected = expected[: shape[0], : shape[1]]
    model = load_model(folder)
    for mode in ("whole", "auto"):
        alpha = deepmat.predict(model, image, trimap, mode=mode)
        np.testing.assert_allclose(alpha[trimap == 128], expected[trimap == 128], atol=1e-5)
    assert expected.std() > 0.04  # so that a wrong network shows


@pytest.mark.parametrize("options", [{"mode": "tile", "tile": 64, "overlap": 32}, {"mode": "crop", "size": (32, 64)}])
def test_it_sees_parts(saved, options):
    image, trimap = scene(100, 130)
    alpha = deepmat.predict(load_model(saved[0]), image, trimap, **options)
    assert alpha.shape == (100, 130) and np.isfinite(alpha).all() and alpha[trimap == 128].std() > 0.05


def test_bf16_is_near(saved):
    image, trimap = scene(90, 131)
    expected = deepmat.predict(load_model(saved[0]), image, trimap)
    network = for_prediction(load_model(saved[0]), "bf16")
    alpha = deepmat.predict(network, image, trimap)
    off = np.abs(alpha - expected)[trimap == 128]
    assert network.dtype == torch.bfloat16 and alpha.dtype == np.float32
    assert 1e-6 < off.mean() < 0.005 and off.max() < 0.05, (off.mean(), off.max())


def test_deepmats_own_file_of_it_gives_the_same(saved, tmp_path):
    model = load_model(saved[0])
    save_weights(tmp_path / "w.safetensors", model.state_dict(), model.config.model_dump())
    image, trimap = scene(40, 70)
    again = load_model(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(deepmat.predict(again, image, trimap), deepmat.predict(model, image, trimap))
    assert again.config == model.config and again.config.mean == [0.4, 0.5, 0.6]


def test_the_published_networks_need_no_options():
    for size in ("small", "base"):
        section = vitmatte.section(vitmatte.published(size), {"size_divisibility": 32})
        assert VitMatteConfig.model_validate(section).model_dump() == {"arch": "vitmatte", "size": size}
    with torch.device("meta"):
        parameters = sum(each.numel() for each in build_model(VitMatteConfig()).parameters())
    assert round(parameters / 1e5) == 258  # "25.8M" of the paper


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"backbone_config": {"windw_size": 1}}, "windw_size: unknown key of ViTMatte, did you mean window_size"),
        ({"convstream_hidden_sizes": [1]}, "transformers cannot make it"),
        ({"hidden_size": "x"}, "hidden_size"),
    ],
)
def test_a_wrong_network_is_explained(network, message):
    with pytest.raises(ConfigError, match=message):
        build_model(VitMatteConfig(network=network))


def test_info_and_predict_name_the_licence(saved):
    told = info(saved[0])
    assert (
        told["format"] == "transformers" and told["problem"] is None and told["model"]["network"]["hidden_size"] == 16
    )
    assert told["about"]["licence"] == "apache-2.0" and "non-commercial" in told["about"]["trained on"]
    about = open_network(saved[0], device="cpu").about
    assert "licence apache-2.0, trained on Composition-1k, Adobe's data set" in about


def test_a_model_of_the_hub_is_fetched_once(hub, monkeypatch):
    path = find_weights(MODEL)
    assert label_of(path) == MODEL and load_model(MODEL).config.mean == [0.4, 0.5, 0.6]
    asked = hub.fetched()
    assert sorted(asked) == ["README.md", "config.json", "model.safetensors", "preprocessor_config.json"]
    hub.close()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert find_weights(MODEL) == path


def test_what_the_hub_does_not_give_is_explained_in_one_line(hub, monkeypatch, tmp_path, saved):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/config.json").write_text(json.dumps({"model_type": "bert"}))
    (tmp_path / "none").mkdir()
    (tmp_path / "dino").mkdir()
    (tmp_path / "dino/config.json").write_text(json.dumps({"model_type": "vit"}))
    (tmp_path / "dino/model.safetensors").write_bytes(b"large")
    folders = {f"a/{name}": tmp_path / name for name in ("other", "none", "dino")}
    hub.models.update({**folders, "a/gated": saved[0]})
    hub.gated.add("a/gated")

    def fails(name, message):
        with pytest.raises(CheckpointError, match=message) as caught:
            load_model(name)
        assert "\n" not in str(caught.value) and str(caught.value).startswith(f"{name}: ")

    fails("a/unknown", f"no such file or folder, and {hub.address} shows no such model; check the spelling")
    fails("a/gated", f"is gated; accept its terms on {hub.address}/a/gated, then log in")
    fails("a/other", "config.json is of a model of type bert; deepmat runs vitmatte models")
    fails("a/dino", "holds an encoder only; `deepmat train --config vitmatte --pretrain a/dino` makes a whole network")
    fails("a/none", "has no config.json, so it is no model of transformers")
    fails("runs/none.safetensors", "no such file; check the path$")
    fails(
        "none", r"no such file; check the path, or name .* one of lite, closed-form, or a model of the hub \(USER/NAME"
    )
    assert "model.safetensors" not in hub.fetched()
    monkeypatch.setenv("DEEPMAT_OFFLINE", "1")
    fails(MODEL, "and fetching is off; unset DEEPMAT_OFFLINE")
    monkeypatch.delenv("DEEPMAT_OFFLINE")
    monkeypatch.setenv("HF_TOKEN", "hf_granted")
    assert load_model("a/gated")
    hub.close()
    fails(MODEL, "cannot be reached; check the network")


def test_a_download_that_breaks_off_goes_on(hub, monkeypatch, tmp_path):
    """In the same command, and in the next one."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 500)
    hub.cut["model.safetensors"] = 1000
    with pytest.raises(CheckpointError, match=f"^{MODEL}: the download broke off .*; run the command again$"):
        load_model(MODEL)
    (part,) = (tmp_path / "cache").rglob("*.incomplete")
    assert part.stat().st_size == 1000
    monkeypatch.setattr("time.sleep", lambda seconds: hub.cut.clear())
    hub.cut["model.safetensors"] = 2000
    hub.requests.clear()
    assert load_model(MODEL)
    gets = [asked for method, path, asked in hub.requests if "model.safetensors" in path and method == "GET"]
    assert gets == ["bytes=1000-", "bytes=2000-"]
    assert not list((tmp_path / "cache").rglob("*.incomplete"))


def test_what_was_left_of_another_file_is_not_used(hub, tmp_path):
    content = (hub.models[MODEL] / "model.safetensors").read_bytes()
    blobs = tmp_path / "cache" / f"models--{MODEL.replace('/', '--')}" / "blobs"
    blobs.mkdir(parents=True)
    part = blobs / f"{hashlib.sha256(content).hexdigest()}.deepmat.incomplete"
    part.write_bytes(b"x" * 1000)
    with pytest.raises(CheckpointError, match="its SHA-256 is not the hub's.*; run the command again$"):
        load_model(MODEL)
    assert not part.exists() and load_model(MODEL)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda folder: (folder / "config.json").write_text("{"), "config.json: truncated or no JSON file"),
        (lambda folder: edit_json(folder / "config.json", model_type="birefnet"), "is of a model of type birefnet"),
        (lambda folder: (folder / "model.safetensors").unlink(), "has config.json, but neither model.safetensors nor"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"short"), "truncated or not a safetensors file"),
        (lambda folder: edit_json(folder / "config.json", fusion_hidden_sizes=[12, 8, 6, 5]), "this model's is"),
        (lambda folder: edit_json(folder / "preprocessor_config.json", rescale_factor=1), "rescale_factor is 1"),
        (lambda folder: (folder / "config.json").unlink(), "is a folder; name a file of it"),
    ],
)
def test_a_broken_folder_is_explained(tmp_path, broken, message):
    save_vitmatte(tmp_path / "m")
    broken(tmp_path / "m")
    with pytest.raises(CheckpointError, match=message) as caught:
        load_model(tmp_path / "m")
    assert "\n" not in str(caught.value)


def test_training_goes_on_from_it(saved, tmp_path):
    ours = VitMatteConfig(network=TINY, mean=[0.4, 0.5, 0.6], std=[0.2, 0.3, 0.4])
    assert fill_from(build_model(ours), find_weights(saved[0])) == []
    with pytest.raises(CheckpointError, match="this run trains lite; --config vitmatte goes on with them"):
        fill_from(build_model(LiteConfig(width=1 / 8)), find_weights(saved[0]))
    with pytest.raises(CheckpointError, match="made with model.mean=.* this run has"):
        fill_from(build_model(VitMatteConfig(network=TINY)), find_weights(saved[0]))


def test_recompute_gives_the_same_gradient():
    torch.manual_seed(0)
    model = build_model(VitMatteConfig(network=TINY)).train()
    image, trimap = torch.randint(0, 256, (2, 3, 64, 64)), torch.full((2, 1, 64, 64), 128)
    found = []
    for model.recompute in (False, True):
        model.zero_grad()
        model(image, trimap)["alpha"].sum().backward()
        found.append([each.grad.clone() for each in model.parameters() if each.grad is not None])
    for plain, frugal in zip(*found, strict=True):
        torch.testing.assert_close(plain, frugal)
