"""The network that deepmat ships, wherever weights can be named and none are."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import deepmat as package
from deepmat import config as configs
from deepmat.config import DIMConfig
from deepmat.errors import CheckpointError
from deepmat.imaging import read_grey
from deepmat.models import SHIPPED, build_model, fill_from, find_weights, load_model
from deepmat.models.checkpoint import load_weights
from deepmat.models.weights import sha256
from deepmat.training.loop import run_plan
from deepmat.training.plan import prepare

LITE = SHIPPED["lite"]
OWN = "lite, deepmat's own (trained on procedural pictures and free photographs): lite"


@pytest.mark.parametrize("name", SHIPPED)
def test_the_file_is_small_and_says_what_it_is(name):
    weights = load_weights(SHIPPED[name])
    assert SHIPPED[name].stat().st_size <= 12e6
    assert weights.about["name"] == name and weights.about["model"]["arch"] == name
    assert all(isinstance(weights.about[key], str) and weights.about[key] for key in ("licence", "trained"))
    assert {value.dtype for value in weights.state.values()} <= {torch.float16}
    assert bool(weights.state) == (name == "lite")


def test_the_model_card_is_of_this_file():
    card = (Path(__file__).parents[2] / "docs/lite.md").read_text()
    assert sha256(LITE) in card and f"{LITE.stat().st_size / 1e6:.1f} MB" in card


def test_its_alpha_is_fused_with_that_of_closed_form_matting():
    weights = load_weights(LITE)
    assert weights.about["model"]["fusion"] and weights.state["fusion.head.weight"].abs().max() > 0
    assert load_model("lite").fusion is not None


def test_no_name_and_its_own_name_are_the_same_network_in_float32():
    model, again = load_model(), load_model("lite")
    assert not model.training and {value.dtype for value in model.state_dict().values()} == {torch.float32}
    for key, value in load_weights(LITE).state.items():
        assert torch.equal(model.state_dict()[key], value.float()) and torch.equal(again.state_dict()[key], value)


def test_a_file_of_that_name_goes_first_and_a_folder_does_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("lite").mkdir()
    assert find_weights("lite") == find_weights(Path("lite")) == find_weights() == LITE
    Path("lite").rmdir()
    Path("lite").touch()
    assert find_weights("lite") == Path("lite") and find_weights() == LITE


def test_what_has_no_weights_begins_no_training():
    with pytest.raises(CheckpointError, match="^closed-form: holds nothing to begin with"):
        fill_from(build_model(DIMConfig(width=1 / 16)), SHIPPED["closed-form"])


def test_python_needs_no_path():
    trimap = np.full((40, 50), 128, np.uint8)
    trimap[:10], trimap[30:] = 0, 255
    alpha = package.predict(package.load_model(), np.full((40, 50, 3), 90, np.uint8), trimap)
    assert alpha.shape == (40, 50) and alpha.dtype == np.float32 and not alpha[:10].any() and alpha[30:].all()


def test_predict_takes_it_and_says_so(deepmat, data, weights, monkeypatch):
    monkeypatch.setattr("deepmat.inference.opening.lacking_for_int8", lambda device: "")
    command = ["predict", data / "test/image", "-t", data / "test/trimap", "--device", "cpu", "-o"]
    first, second = deepmat(*command, "out"), deepmat(*command, "named", "-w", "lite")
    for result in (first, second):
        assert result.exit_code == 0 and result.stderr.startswith(OWN) and "int8" not in result.stderr
    made = sorted(path.relative_to("out") for path in Path("out/alpha").iterdir())
    assert len(made) == 2
    for path in made:
        assert np.array_equal(read_grey("out" / path), read_grey("named" / path))
    assert "(--precision int8 is faster)" in deepmat(*command, "other", "-w", weights).stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--precision", "int8"], "error: precision int8: lite"),
        (["--precision", "int8"], "has no such form; use bf16 or fp32"),
        (["--skip"], "error: lite: says itself how it was trained"),
        (["-w", "lit"], "error: lit: no such file"),
    ],
)
def test_what_it_does_not_have(deepmat, data, monkeypatch, options, message):
    monkeypatch.setattr("deepmat.runtime.devices.lacking_for_int8", lambda device: "")
    result = deepmat(
        "predict", data / "test/image", "-t", data / "test/trimap", "-o", "out", "--device", "cpu", *options
    )
    assert result.exit_code == 1 and message in result.stderr and OWN not in result.stderr


def test_eval_scores_it(deepmat, data):
    result = deepmat("eval", "--data", data, "--json", "-o", "out", "--save-alphas")
    assert result.exit_code == 0 and result.stderr.startswith(OWN)
    (run,) = json.loads(result.stdout)["runs"]
    assert (run["run"], run["weights"]) == ("deepmat's lite", "lite")
    compared = json.loads(deepmat("eval", "--data", data, "--json", "-w", "lite", "-p", "p=out/prediction").stdout)
    assert [each["run"] for each in compared["runs"]] == ["deepmat's lite", "p"]
    alone = deepmat("eval", "--data", data, "--json", "-p", "p=out/prediction")
    assert alone.exit_code == 0 and "lite" not in alone.output  # mattes by themselves need no network


def test_info_tells_its_licence(deepmat):
    lines = [line.split(maxsplit=1) for line in deepmat("info", "lite").stdout.splitlines()]
    assert ["name", "lite"] in lines and "licence" in [line[0] for line in lines]


def test_training_begins_with_it(source, data, tmp_path):
    recipe = configs.load(
        configs.recipe("finetune"),
        flags={"data": {"root": str(source)}, "test": {"root": str(data)}, "train": {"runs": str(tmp_path)}},
        overrides=["train.device=cpu", "train.workers=0", "data.cache=null", "train.iterations=1"],
    )
    records = run_plan(prepare(recipe))
    assert "begins with lite" in next(records)["notices"]
    assert next(record["path"] for record in records if record["event"] == "began") == "lite"
    records.close()


def test_a_run_of_another_network_is_told_what_agrees():
    with pytest.raises(
        CheckpointError, match=r"^lite: weights of lite, this run trains dim; --config finetune goes on"
    ):
        fill_from(build_model(DIMConfig()), find_weights("lite"))
