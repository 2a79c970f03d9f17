import hashlib
import io
import json
import os
import struct
import sys
import time
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import rule_state
from old_checkpoints import Hostile, Python2Pickler, python_2
from safetensors.torch import save_file

from deepmat.cli.options import plain
from deepmat.config import DIMConfig
from deepmat.models import build_model, fill_from, load_model
from deepmat.models.checkpoint import load_weights, save_state, save_weights
from deepmat.models.weights import UNSTATED

VGG = [f"conv{level}_{index}" for level, count in enumerate((2, 2, 3, 3, 3), 1) for index in range(1, count + 1)]
MMAGIC_VGG = [
    f"layer{level}.{index}" for level, last in enumerate((2, 2, 4, 4, 4), 1) for index in range(0, last + 1, 2)
]
MMAGIC = {
    ours: f"backbone.encoder.{theirs}" for ours, theirs in zip([*VGG, "conv6_1"], [*MMAGIC_VGG, "conv6"], strict=True)
}


WIDTH = 1 / 8


@pytest.fixture(scope="module")
def network():
    """network(conv6=1, skip=False) -> that network with the weights that follow from its names; each made once."""
    made = {}

    def make(**options):
        config = DIMConfig(width=WIDTH, **options)
        if str(config) not in made:
            made[str(config)] = build_model(config).eval()
            made[str(config)].load_state_dict(rule_state(made[str(config)], config.skip))
        return made[str(config)]

    return make


def as_mmagic(state):
    renamed = OrderedDict()
    for key, value in state.items():
        layer, kind = key.split(".")
        part = "refiner" if layer.startswith("refine") else "backbone.decoder"
        renamed[f"{MMAGIC.get(layer, f'{part}.{layer}')}.{kind}"] = value
    return renamed


def answer(model):
    generator = torch.Generator().manual_seed(0)
    image, trimap = (torch.randint(0, 256, (1, size, 64, 64), generator=generator) for size in (3, 1))
    with torch.no_grad():
        return model(image, trimap)


def same(model, other):
    ours, theirs = answer(model), answer(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize(
    ("conv6", "skip", "refine", "prefix", "flags"),
    [(1, False, False, "", []), (3, False, True, "module.", ["--no-skip"]), (3, True, False, "", [])],
)
def test_pytorch_deep_image_matting_is_imported(deepmat, network, conv6, skip, refine, prefix, flags):
    model = network(conv6=conv6, skip=skip, refine=refine)
    state = {prefix + key: value for key, value in model.state_dict().items()}
    torch.save({"epoch": 12, "state_dict": state, "best_sad": np.float64(54.42)}, "stage1.pth.tar")
    result = deepmat("import", "stage1.pth.tar", *flags)
    assert result.exit_code == 0 and f"conv6 {conv6}x{conv6}" in result.stderr and "Adobe" in result.stderr
    assert ("--no-skip: without" in result.stderr) == (skip is True)
    assert ("skip is assumed" in deepmat("info", "stage1.pth.tar").stdout) == (conv6 == 3)
    out = Path("weights/stage1.safetensors")
    assert "assumed" not in deepmat("info", out).stdout
    about = load_weights(out).about
    assert about["model"] == {"arch": "dim", "conv6": conv6, "skip": skip, "refine": refine, "width": WIDTH}
    assert about["source"] == {
        "file": "stage1.pth.tar",
        "format": f"pytorch-deep-image-matting, conv6 {conv6}x{conv6}" + ", with refinement" * refine,
        "sha256": hashlib.sha256(Path("stage1.pth.tar").read_bytes()).hexdigest(),
        "epoch": 12,
        "best_sad": 54.42,
    }
    assert about["licence"] == UNSTATED and "non-commercial" in UNSTATED
    assert same(load_model(out), model)


def test_checkpoints_of_python_2_are_imported(deepmat, network):
    def dump(obj, file, protocol):
        Python2Pickler(file, protocol).dump(obj)

    model = network(conv6=1, skip=False)
    file = io.BytesIO()
    pickler = types.SimpleNamespace(__name__="pickle", Pickler=Python2Pickler, dump=dump)
    saved = {"epoch": 12, "state_dict": dict(model.state_dict()), "best_sad": np.float64(72.9)}
    torch.save(saved, file, pickle_module=pickler, _use_new_zipfile_serialization=False)
    Path("old.tar").write_bytes(python_2(file.getvalue()))
    assert deepmat("import", "old.tar", "-o", "new.safetensors", "--licence", "mine").exit_code == 0
    about = load_weights(Path("new.safetensors")).about
    assert about["source"]["best_sad"] == 72.9 and about["licence"] == "mine"
    assert same(load_model("new.safetensors"), model)


@pytest.fixture
def history(monkeypatch):
    """A history of losses, pickled as MMEngine's is: arrays, and functions that are looked up by getattr."""
    module = types.ModuleType("mmengine.logging.history_buffer")
    HistoryBuffer = type("HistoryBuffer", (), {"__module__": module.__name__, "mean": lambda self: 0})
    HistoryBuffer.mean.__module__, HistoryBuffer.mean.__qualname__ = module.__name__, "HistoryBuffer.mean"
    module.HistoryBuffer = HistoryBuffer
    for name in ("mmengine", "mmengine.logging", module.__name__):
        monkeypatch.setitem(sys.modules, name, module)
    buffer = HistoryBuffer()
    buffer.__dict__.update(log=np.arange(3.0), methods={"mean": HistoryBuffer.mean})
    return buffer


@pytest.mark.parametrize(
    ("stage", "name", "meta"),
    [
        (1, "trained.pth", {"experiment_name": "dim_stage1-v16_1xb1-1000k_comp1k"}),
        (2, "dim_stage2_v16_pln_1x1_1000k_comp1k_SAD-52.3_20200607_171909-d83c4775.pth", {}),
        (3, "iter_40000.pth", {"experiment_name": "dim_stage3-v16-pln_1xb1-1000k_comp1k"}),
        ("2 or 3", "renamed.pth", {}),
    ],
)
def test_mmagic_is_imported(deepmat, network, history, stage, name, meta):
    model = network(conv6=1, skip=False, refine=stage != 1)
    meta = {"epoch": 0, "iter": 40000, "cfg": "model = dict()\n" * 99, **meta}
    hub = {"message_hub": {"log_scalars": OrderedDict({"train/loss": history})}} if stage == 3 else {}
    torch.save({"meta": meta, "state_dict": as_mmagic(model.state_dict()), "optimizer": {"state": {}}, **hub}, name)
    assert same(load_model(name), model)  # predict, eval and --pretrain take it as it is
    assert fill_from(build_model(DIMConfig(conv6=1, skip=False, width=WIDTH)), Path(name)) == []
    result = deepmat("import", name, "-o", "out.safetensors")
    assert result.exit_code == 0 and f"{name}: MMagic DIM stage {stage}" in result.stderr
    about = load_weights(Path("out.safetensors")).about
    assert about["model"] == {"arch": "dim", "conv6": 1, "skip": False, "refine": stage != 1, "width": WIDTH}
    assert about["source"]["format"] == f"MMagic DIM stage {stage}" and about["source"]["iter"] == 40000
    assert about["source"]["sha256"] == hashlib.sha256(Path(name).read_bytes()).hexdigest()
    assert same(load_model("out.safetensors"), model)
    assert deepmat("import", "out.safetensors").exit_code == 1  # is deepmat's own by now


PART = {"conv6_1.weight": torch.zeros(512, 512, 1, 1), "deconv1.weight": torch.zeros(1, 64, 5, 5)}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (PART, "has no conv1_1.weight, conv1_1.bias, conv1_2.weight and 37 more, which its model needs"),
        (as_mmagic(PART), "has no backbone.encoder.layer1.0.weight, backbone.encoder.layer1.0.bias, "),
        ({**PART, **{f"bn{i}": torch.zeros(1) for i in range(5)}}, "has bn0, bn1, bn2 and 2 more, which this model"),
        ({**as_mmagic(PART), "backbone.encoder.bn.bias": torch.zeros(1)}, "has backbone.encoder.bn.bias, which this"),
        (
            {**PART, "deconv1.weight": torch.zeros(1, 64, 3, 3)},
            "deconv1.weight is [1, 64, 3, 3], this model's is [1, 64",
        ),
        (as_mmagic({**PART, "conv5_3.bias": torch.zeros(9)}), "backbone.encoder.layer5.4.bias is [9], this model's is"),
        ({**PART, "conv6_1.weight": torch.zeros(())}, "conv6_1.weight is [], this model's is [512, 512, 3, 3]"),
        (
            {**PART, "deconv1.bias": torch.zeros(1, dtype=torch.int64)},
            "deconv1.bias holds no plain floats (torch.int64)",
        ),
        ({**PART, "deconv1.bias": torch.zeros(1, device="meta")}, "deconv1.bias holds no plain floats"),
        ({"layer.weight": torch.zeros(1)}, "not a model that deepmat knows (its keys: layer.weight)"),
        ({"\x1b[2J": torch.zeros(1)}, "not a model that deepmat knows (its keys: \\x1b[2J)"),
        ({**PART, **as_mmagic(PART)}, "has backbone.encoder.conv6.weight, backbone.decoder.deconv1.weight, which this"),
        ({**as_mmagic(PART), "deconv1.weight": torch.zeros(1)}, "not a model that deepmat knows"),
    ],
)
def test_what_does_not_fit_is_named(deepmat, state, message):
    torch.save({"state_dict": state}, "w.pth")
    result = deepmat("import", "w.pth", "-o", "out.safetensors")
    assert result.exit_code == 1 and f"w.pth: {message}" in result.stderr
    assert not Path("out.safetensors").exists()
    looked = deepmat("info", "w.pth", "--json")  # readable all the same
    assert looked.exit_code == 0 and plain(json.loads(looked.stdout)["problem"]).startswith(message)


def broken_files():
    """Hostile and broken files: name -> bytes, and what is said of them."""

    def header(text, length=None):
        return struct.pack("<Q", length or len(text)) + text

    def pickled(saved, **options):
        file = io.BytesIO()
        torch.save(saved, file, **options)
        return file.getvalue()

    bomb = io.BytesIO()
    inside = zipfile.ZipFile(io.BytesIO(pickled({"state_dict": {"conv6_1.weight": torch.zeros(10**6)}})))
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as out:
        for member in inside.infolist():
            out.writestr(member.filename, inside.read(member))
    claim = json.dumps({"a": {"dtype": "F32", "shape": [50000, 50000], "data_offsets": [0, 10**10]}}).encode()
    old = pickled({"state_dict": {"a": torch.zeros(7777)}}, _use_new_zipfile_serialization=False)
    ten_gb = b"\x8a\x08" + struct.pack("<Q", 25 * 10**8)
    whole = pickled({"state_dict": PART})
    return {
        "h.safetensors": (header(b"{}", 10 * 2**30), "truncated or not a safetensors file"),
        "c.safetensors": (header(claim), "truncated or not a safetensors file"),
        "d.safetensors": (header(b'{"__metadata__":{"deepmat":"[1]"}}'), "truncated or not a safetensors file"),
        "bomb.pth": (bomb.getvalue(), "is compressed"),
        "old.pth": (old.replace(b"M" + struct.pack("<H", 7777), ten_gb), "truncated or not a file of weights"),
        "cut.pth": (whole[: len(whole) // 2], "truncated or not a file of weights"),
        "hostile.pth": (
            pickled({"state_dict": PART, "best_sad": Hostile()}),
            "holds objects besides weights, which could run code; not read",
        ),
        "list.pth": (pickled([PART]), "holds a list instead of named weights"),
        "none.pth": (pickled({"state_dict": {}, "optimizer": PART}), "holds no state_dict of named weights"),
    }


BROKEN = broken_files()


@pytest.mark.parametrize("name", BROKEN)
def test_hostile_and_broken_files_are_refused_at_once(deepmat, name):
    data, message = BROKEN[name]
    Path(name).write_bytes(data)
    begin = time.perf_counter()
    for command in (["info", name], ["import", name, "-o", "out.safetensors"]):
        result = deepmat(*command)
        assert result.exit_code == 1 and f"{name}: {message}" in result.stderr and result.stdout == ""
    assert time.perf_counter() - begin < 5
    assert os.listdir() == [name]


class Reduced:
    """Pickled as a call of any function, and a state."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


def test_what_numpy_and_mmengine_name_is_stood_in_for(deepmat):
    """A getattr in the file is none, and a dtype of a shorter state, in which numpy falls over, is a number's kind."""
    dtype = Reduced(np.dtype, ("f8", False, True), (3, "<", None, None, -1, -1, 0))
    score = Reduced(np.float64(0).__reduce__()[0], (dtype, struct.pack("<d", 54.42)))
    reach = Reduced(getattr, ({}, "no such attribute"))
    torch.save({"state_dict": PART, "message_hub": reach, "best_sad": score}, "w.pth")
    assert load_weights(Path("w.pth")).beside == {"best_sad": 54.42}


def test_missing_files_and_wrong_places_are_told(deepmat, network, monkeypatch):
    model = network(conv6=1, skip=False)
    save_file(model.state_dict(), "theirs.safetensors", metadata={"format": "pt", "license": "CC0"})
    before = Path("theirs.safetensors").read_bytes()
    Path("folder").mkdir()
    Path("file").write_text("")
    for arguments, message in (
        (["none.pth"], "none.pth: no such file"),
        (["folder"], "folder: is a folder"),
        (["theirs.safetensors", "-o", "theirs.safetensors"], "would overwrite the file that is read"),
        (["theirs.safetensors", "-o", "out.pth"], "give a name that ends in .safetensors"),
        (["theirs.safetensors", "-o", "file/out.safetensors"], "file/out.safetensors: cannot be written"),
    ):
        result = deepmat("import", *arguments)
        assert result.exit_code == 1 and message in result.stderr
    assert deepmat("import", "theirs.safetensors").exit_code == 0
    out = Path("weights/theirs.safetensors")
    assert load_weights(out).about["licence"] == "CC0"
    again = deepmat("import", out)
    assert again.exit_code == 1 and "is in deepmat's format already; use it directly" in again.stderr
    kept = out.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("deepmat.runtime.files.os.replace", full)
    again = deepmat("import", "theirs.safetensors", "--licence", "another")
    assert again.exit_code == 1 and f"{out}: exists already; choose another name with -o" in again.stderr
    result = deepmat("import", "theirs.safetensors", "-o", "weights/other.safetensors")
    assert result.exit_code == 1 and "cannot be written (No space left on device)" in result.stderr
    assert out.read_bytes() == kept and os.listdir("weights") == [out.name]
    assert Path("theirs.safetensors").read_bytes() == before


def test_numbers_that_are_not_finite_are_refused(deepmat, network):
    state = dict(network(conv6=1, skip=False).state_dict())
    state["deconv1.bias"] = torch.full((1,), float("nan"))
    torch.save({"state_dict": state}, "nan.pth")
    result = deepmat("import", "nan.pth")
    assert result.exit_code == 1 and "nan.pth: deconv1.bias has numbers that are not finite" in result.stderr


def test_info_says_what_is_in_each_kind(deepmat, network):
    model = network(conv6=1, skip=False, refine=True)
    state, config = model.state_dict(), model.config.model_dump()
    save_weights(Path("best.safetensors"), state, config, run="stage3", step=7, sad=54.25)
    save_state(
        Path("last.pt"), {"state_dict": state, "model": config, "step": 7, "config": "a: 1\n" * 90, "best_sad": np.inf}
    )
    torch.save({"epoch": 3, "state_dict": as_mmagic(state)}, "mmagic.pth")
    save_weights(
        Path("vgg.safetensors"), {key: value for key, value in state.items() if key < "conv6"}, None, source="x"
    )
    torch.save(
        {"model": {"head.weight": torch.zeros(3, 4, dtype=torch.float16)}, "epoch": 9, "\x1b[2J": "\a"}, "other.pth"
    )
    parts = {"encoder": 234_800, "decoder": 175_689, "refinement": 1_537}
    records = {}
    for name, form in (
        ("best.safetensors", "deepmat weights"),
        ("last.pt", "state of a deepmat run"),
        ("mmagic.pth", "MMagic DIM stage 2 or 3"),
    ):
        record = records[name] = json.loads(deepmat("info", name, "--json").stdout)
        assert record["format"] == form and record["model"] == config and record["parts"] == parts
        assert record["problem"] is None and record["dtypes"] == {"float32": 50}
        assert record["bytes"] == Path(name).stat().st_size
        assert record["sha256"] == hashlib.sha256(Path(name).read_bytes()).hexdigest()
    assert records["best.safetensors"]["about"] == {"run": "stage3", "step": 7, "sad": 54.25}
    assert records["last.pt"]["about"] == {"step": 7, "config": "a: 1\n" * 90, "best_sad": None}
    assert records["mmagic.pth"]["shapes"]["backbone.encoder.conv6.weight"] == [64, 64, 1, 1]

    shown = {name: deepmat("info", name) for name in ("best.safetensors", "last.pt", "vgg.safetensors", "other.pth")}
    assert all(result.exit_code == 0 for result in shown.values())
    lines = {name: [line.split(maxsplit=1) for line in result.stdout.splitlines()] for name, result in shown.items()}
    for line in (["sad", "54.25"], ["run", "stage3"], ["refinement", "1,537"]):
        assert line in lines["best.safetensors"]
    assert ["network", "dim (conv6 1, skip False, refine True, width 0.125)"] in lines["best.safetensors"]
    assert ["config", "90 lines (--json shows them)"] in lines["last.pt"]
    assert ["format", "deepmat encoder"] in lines["vgg.safetensors"] and ["source", "x"] in lines["vgg.safetensors"]
    for line in (["format", "unknown"], ["head.weight", "[3, 4]"], ["tensors", "1 float16"], ["epoch", "9"]):
        assert line in lines["other.pth"]
    assert "\x1b" not in shown["other.pth"].stdout and "\a" not in shown["other.pth"].stdout
