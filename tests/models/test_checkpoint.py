import io
import json
import os
import stat
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from old_checkpoints import Hostile, Python2Pickler, python_2

from deepmat.config import DIMConfig
from deepmat.errors import CheckpointError, ConfigError
from deepmat.models import build_model, fill_from, load_model
from deepmat.models.checkpoint import load_state, load_weights, save_state, save_weights
from deepmat.models.dim.vgg import VGG_LAYERS, convert_vgg, encoder_of, untrained_vgg
from deepmat.models.weights import import_weights, info

WIDTH = 1 / 8


@pytest.fixture(scope="module")
def dim():
    return {
        conv6: build_model(DIMConfig(conv6=conv6, skip=False, refine=conv6 == 3, width=WIDTH)).state_dict()
        for conv6 in (1, 3)
    }


@pytest.fixture(scope="module")
def vgg():
    return untrained_vgg()


def test_loading_in_threads_leaves_the_warnings_of_the_program(tmp_path):
    save_state(tmp_path / "a.pth", {"step": 1})
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(load_state, [tmp_path / "a.pth"] * 200))) == 200
    assert warnings.filters == before


def test_weights_carry_their_model(tmp_path, dim):
    path = tmp_path / "w.safetensors"
    saved = DIMConfig(conv6=1, skip=False, width=WIDTH)
    save_weights(path, dim[1], saved.model_dump(), step=3)
    weights = load_weights(path)
    assert weights.about == {"model": saved.model_dump(), "step": 3}
    assert all(torch.equal(weights.state[key], value) for key, value in dim[1].items())
    assert load_model(path).skip is False
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("conv6", [1, 3])
def test_published_checkpoints_are_recognised(tmp_path, dim, prefix, conv6):
    path = tmp_path / "published.pth"
    state = {prefix + key: value for key, value in dim[conv6].items()}
    torch.save({"epoch": 12, "state_dict": state, "best_sad": np.float64(54.4)}, path)
    assert load_model(path).config == DIMConfig(conv6=conv6, skip=conv6 == 3, refine=conv6 == 3, width=WIDTH)
    assert torch.equal(load_model(path).state_dict()["deconv1.weight"], dim[conv6]["deconv1.weight"])
    assert load_model(path, assume={"skip": False}).skip is False
    with pytest.raises(ConfigError, match="assume: 5 is no mapping of options"):
        load_model(path, assume=5)


@pytest.mark.parametrize("best_sad", [54.4, np.float64(54.4)])
def test_checkpoints_of_python_2_are_read(tmp_path, dim, best_sad):
    class Module:
        Pickler, __name__ = Python2Pickler, "pickle"

        @staticmethod
        def dump(obj, file, protocol):
            Python2Pickler(file, protocol).dump(obj)

    file = io.BytesIO()
    saved = {"epoch": 12, "state_dict": dict(dim[1]), "best_sad": best_sad}
    torch.save(saved, file, pickle_module=Module, _use_new_zipfile_serialization=False)
    path = tmp_path / "old.tar"
    path.write_bytes(python_2(file.getvalue()))
    assert b"X\x0a\x00\x00\x00state_dict" not in path.read_bytes()
    state = load_weights(path).state
    assert all(torch.equal(state[key], value) for key, value in dim[1].items())


def test_code_in_a_pickle_never_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "best_sad": Hostile()}, "hostile.pth")
    with pytest.raises(
        CheckpointError, match="hostile.pth: holds objects besides weights, which could run code; not read"
    ):
        load_weights(tmp_path / "hostile.pth")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w.tar"])
def test_truncated_and_foreign_files_are_refused(tmp_path, dim, name):
    path = tmp_path / name
    if name.endswith("safetensors"):
        save_weights(path, dim[1], DIMConfig(conv6=1, width=WIDTH).model_dump())
    else:
        torch.save({"state_dict": dim[1]}, path, _use_new_zipfile_serialization=name.endswith("pth"))
    whole = path.read_bytes()
    for length in (0, 5, 1000, len(whole) // 2, len(whole) - 1000):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=name):
            load_weights(path)
    path.write_text("<html>404: not found</html>" * 100)
    with pytest.raises(CheckpointError, match=name):
        load_weights(path)
    with pytest.raises(CheckpointError, match="no such file"):
        load_weights(tmp_path / "none.pth")


def test_a_file_damaged_anywhere_never_escapes(tmp_path, dim):
    """Whatever a flipped byte makes of the pickle or the header, it is weights or a CheckpointError."""
    small = {"conv1_1.bias": torch.zeros(4)}
    torch.save({"state_dict": small}, tmp_path / "new.pth")
    torch.save({"state_dict": small}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_weights(tmp_path / "s.safetensors", small, None)
    rng = np.random.default_rng(0)
    refused = 0
    for name in ("new.pth", "old.pth", "s.safetensors"):
        whole = (tmp_path / name).read_bytes()
        for _ in range(150):
            damaged = bytearray(whole)
            damaged[rng.integers(len(whole))] = rng.integers(256)
            (tmp_path / name).write_bytes(damaged)
            try:
                load_weights(tmp_path / name)
            except CheckpointError:
                refused += 1
    assert refused > 50


def test_a_config_of_another_version_is_refused(tmp_path, dim):
    save_weights(tmp_path / "w.safetensors", dim[1], {"arch": "dim", "wings": 2})
    with pytest.raises(CheckpointError, match="of a model that this version of deepmat does not have"):
        load_model(tmp_path / "w.safetensors")
    save_state(tmp_path / "w.pt", {"state_dict": dim[1], "model": {"foo": 1}})
    with pytest.raises(CheckpointError, match="of a model that this version"):
        load_model(tmp_path / "w.pt")


def test_weights_of_another_network_are_refused(tmp_path, vgg):
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="not a model that deepmat knows .*layer.weight"):
        load_model(tmp_path / "other.pth")
    torch.save({"state_dict": [1, 2]}, tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="no state_dict of named weights"):
        load_model(tmp_path / "list.pth")
    save_weights(tmp_path / "vgg.safetensors", encoder_of(vgg), None)
    with pytest.raises(CheckpointError, match="holds an encoder only"):
        load_model(tmp_path / "vgg.safetensors")


def test_vgg_becomes_the_encoder(tmp_path, vgg):
    torch.save(vgg, tmp_path / "vgg16.pth")
    state = encoder_of(tmp_path / "vgg16.pth")
    assert len(state) == 26
    for index, layer in VGG_LAYERS.items():
        channels = 3 if layer == "conv1_1" else state[f"{layer}.weight"].shape[1]
        assert torch.equal(state[f"{layer}.weight"][:, :channels], vgg[f"features.{index}.weight"])
        assert torch.equal(state[f"{layer}.bias"], vgg[f"features.{index}.bias"])
    assert not state["conv1_1.weight"][:, 3].any() and state["conv1_1.weight"].shape[1] == 4
    save_weights(tmp_path / "encoder.safetensors", state, None)
    model = build_model(DIMConfig())
    fresh = fill_from(model, tmp_path / "encoder.safetensors")
    assert {key.split(".")[0] for key in fresh} == {
        "conv6_1",
        "deconv6_1",
        "deconv1",
        *(f"deconv{i}_1" for i in range(1, 6)),
    }
    assert torch.equal(model.conv5_3.weight, vgg["features.28.weight"])


def test_files_that_are_not_vgg16_are_refused(tmp_path, vgg):
    torch.save({"fc.weight": torch.zeros(2)}, tmp_path / "resnet.pth")
    with pytest.raises(CheckpointError, match="resnet.pth: has no features.0.weight; expected .*vgg16-397923af.pth"):
        encoder_of(tmp_path / "resnet.pth")
    with pytest.raises(CheckpointError, match="other sizes than VGG16's"):
        encoder_of({**vgg, "features.28.weight": torch.zeros(512, 256, 3, 3)})


def test_converting_vgg_replaces_nothing_but_its_own_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_weights(Path("model.safetensors"), {"x": torch.zeros(1)}, DIMConfig().model_dump())
    Path("photo.png").write_bytes(b"a picture")
    Path("photo.safetensors").write_bytes(b"a picture")
    for out in (".", "photo.png", "weights.pth", "photo.safetensors", "model.safetensors"):
        with pytest.raises(
            ConfigError, match=f"^{out}: (weights are written as safetensors|exists, and is no encoder)"
        ):
            convert_vgg(out, untrained=True)
    assert Path("photo.png").read_bytes() == b"a picture"
    save_weights(Path("own.safetensors"), {"x": torch.zeros(1)}, None)
    with pytest.raises(CheckpointError, match="none.pth: no such file"):  # so it would have been replaced
        convert_vgg("own.safetensors", weights="none.pth")


def test_commands_and_functions_do_the_same(deepmat, vgg, tmp_path):
    torch.save(vgg, "vgg16-397923af.pth")
    made = deepmat("convert-vgg", "--weights", "vgg16-397923af.pth", "-o", "a.safetensors")
    assert made.exit_code == 0 and "VGG16 (vgg16-397923af.pth)" in made.stderr
    record = convert_vgg("b.safetensors", weights="vgg16-397923af.pth")
    assert record == {"path": "b.safetensors", "source": "vgg16-397923af.pth"}
    assert Path("a.safetensors").read_bytes() == Path("b.safetensors").read_bytes()
    with pytest.raises(ConfigError, match="give one of them"):
        convert_vgg("c.safetensors", weights="vgg16-397923af.pth", untrained=True)
    shown = json.loads(deepmat("info", "a.safetensors", "--json").stdout)
    assert shown == info("a.safetensors") and shown["format"] == "deepmat encoder"


def test_import_and_its_function_do_the_same(deepmat, dim):
    torch.save({"state_dict": dim[1]}, "theirs.pth.tar")
    assert deepmat("import", "theirs.pth.tar").exit_code == 0
    record = import_weights("theirs.pth.tar", "copy.safetensors")
    assert Path("weights/theirs.safetensors").read_bytes() == Path("copy.safetensors").read_bytes()
    assert record["path"] == "copy.safetensors" and record["source"] == info("copy.safetensors")["about"]["source"]
