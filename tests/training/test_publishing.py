"""Weights are pushed with a card that says what they are, and are used by their name afterwards."""

import json
import sys

import pytest
import torch
import yaml
from fake_hub import CARD, use_hub

import deepmat as package
from deepmat.config import Config, DIMConfig
from deepmat.config.loading import dump
from deepmat.errors import CheckpointError, ConfigError, DataError
from deepmat.models import build_model, find_weights, folders, label_of
from deepmat.models.checkpoint import save_weights
from deepmat.models.weights import info, sha256

TINY = DIMConfig(width=1 / 16)
MODEL = "me/tiny"
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")  # of huggingface_hub's own request


@pytest.fixture
def hub(monkeypatch, tmp_path):
    made = use_hub(monkeypatch, tmp_path)
    yield made
    made.close()


def make_run(runs, name, pretrain=None, **about):
    """A run's folder as training leaves it. Returns the folder."""
    folder = runs / name
    train = {"name": name, "runs": str(runs), "pretrain": pretrain}
    config = Config(model=TINY.model_dump(), data={"root": "/home/secret/photos"}, train=train)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(dump(config))
    scores = [{"event": "start", "step": 0}, {"event": "test", "step": 7, "sad": 1.5, "mse": 0.02, "pictures": 12}]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, scores)))
    torch.manual_seed(0)
    about = {"run": name, "step": 7, "sad": 1.5, "mse": 0.02, **about}
    save_weights(folder / "best.safetensors", build_model(TINY).state_dict(), TINY.model_dump(), **about)
    return folder


def metadata(card):
    return yaml.safe_load(card.split("---\n")[1])


def test_pushed_weights_are_used_by_their_name(hub, tmp_path, monkeypatch, deepmat):
    monkeypatch.setenv("HF_TOKEN", "hf_granted")
    folder = make_run(tmp_path / "runs", "mine")
    result = deepmat("push", folder, MODEL, "--licence", "MIT", "--private")
    assert result.exit_code == 0 and f"{hub.address}/{MODEL}" in result.stderr and "hf_granted" not in result.output
    assert hub.made == [(MODEL, "private")] and sorted(path.name for path in hub.models[MODEL].iterdir()) == [
        "README.md",
        "deepmat.safetensors",
    ]
    path = find_weights(MODEL)
    assert label_of(path) == MODEL and folders.terms(path)["licence"] == "mit"
    assert info(MODEL)["about"]["licence"] == "MIT"
    pushed = package.load_model(MODEL).state_dict()
    for key, value in package.load_model(folder / "best.safetensors").state_dict().items():
        assert torch.equal(value, pushed[key])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert package.load_model(MODEL).config == TINY


def test_the_card_says_what_the_weights_are(tmp_path):
    card = package.push(make_run(tmp_path, "mine"), MODEL, dry_run=True, licence="my own terms")["card"]
    assert metadata(card)["license"] == "other" and metadata(card)["license_name"] == "my-own-terms"
    assert "SAD 1.500, MSE 0.02000 over 12 pictures (mode whole, max_size 1600, protocol matlab)" in card
    assert "secret" not in card and str(tmp_path) not in card and "width: 0.0625" in card


def test_the_licence_of_what_training_began_with_is_kept(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_granted")
    public = tmp_path / "public"
    public.mkdir()
    (public / "README.md").write_text(CARD.replace("apache-2.0", "cc-by-nc-4.0"))
    hub.models["lab/base"] = public
    make_run(tmp_path / "runs", "first", "lab/base")
    second = make_run(tmp_path / "runs", "second", "{runs}/first/best.safetensors")
    pushed = package.push(second, MODEL)
    assert pushed["licence"] == "cc-by-nc-4.0" and not pushed["notices"]
    assert metadata(pushed["card"])["base_model"] == "lab/base"
    began = "- run first, step 7: not stated by the weights\n- lab/base: cc-by-nc-4.0; trained on Composition-1k"
    assert began in pushed["card"]

    third = package.push(make_run(tmp_path / "runs", "third", MODEL), "me/other", licence="mit", dry_run=True)
    assert "began with me/tiny (cc-by-nc-4.0), lab/base (cc-by-nc-4.0), whose licence may bind" in third["notices"][0]
    assert "- lab/base: cc-by-nc-4.0; trained on Composition-1k" in third["card"]


def test_weights_of_unknown_origin_get_no_licence(tmp_path):
    gone = package.push(make_run(tmp_path, "mine", str(tmp_path / "gone.pth")), MODEL, dry_run=True)
    assert gone["licence"] is None and "license" not in metadata(gone["card"])
    assert (
        gone["notices"][0] == "no licence is stated; --licence states one" and "gone.pth (unknown" in gone["notices"][1]
    )
    assert package.push(make_run(tmp_path, "own", "lite"), MODEL, dry_run=True)["licence"] == "MIT"


def test_scores_are_those_of_the_weights(tmp_path):
    folder = make_run(tmp_path, "mine")
    means = {"run": "mine", "protocol": "matlab", "pictures": 3, "mean": {"sad": {"mean": 2.25}}}
    summary = {
        **dict.fromkeys(("comparisons", "pictures"), []),
        "settings": {"precision": "fp32"},
        "comparable": False,
        "remarks": ["3 pictures"],
        "metrics": ["sad"],
        "runs": [{"run": "mine", "sha256": sha256(folder / "best.safetensors")}],
        "means": [means],
    }
    scores = tmp_path / "scores.json"
    scores.write_text(json.dumps(summary))
    card = package.push(folder, MODEL, scores=tmp_path, dry_run=True)["card"]
    assert "| protocol | pictures | SAD |\n|---|---|---|\n| matlab | 3 | 2.250 |" in card and "precision fp32" in card
    scores.write_text(json.dumps({**summary, "runs": [{"run": "mine", "sha256": "0"}]}))
    with pytest.raises(DataError, match="scores of other weights"):
        package.push(folder, MODEL, scores=scores, dry_run=True)
    for broken in ([], {**summary, "runs": 3}, {**summary, "means": [{"run": "mine"}]}):
        scores.write_text(json.dumps(broken))
        with pytest.raises(DataError, match="no scores of `deepmat eval`"):
            package.push(folder, MODEL, scores=scores, dry_run=True)


def test_what_cannot_be_pushed_is_explained_in_one_line(hub, tmp_path, monkeypatch):
    folder = make_run(tmp_path / "runs", "mine")

    def fails(message, error=CheckpointError, weights=folder, model=MODEL):
        with pytest.raises(error, match=message) as caught:
            package.push(weights, model)
        assert "\n" not in str(caught.value) and "hf_" not in str(caught.value)

    fails("wants a token that may write: `hf auth login`, or set HF_TOKEN")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    fails(f"not pushed: {hub.address} answers 403; the token may not write to me")
    fails("give USER/NAME", ConfigError, model="tiny")
    fails("holds no best.safetensors; name the folder of a run", weights=tmp_path)
    hub.close()
    fails("cannot be reached")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    fails("cannot be pushed offline; unset HF_HUB_OFFLINE")


def test_the_hub_needs_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r"lab/base: no such file or folder; .* pip install 'deepmat\[hub\]'$"):
        package.load_model("lab/base")
    with pytest.raises(ConfigError, match=r"^pushing weights needs huggingface_hub: pip install 'deepmat\[hub\]'$"):
        package.push("lite", MODEL)
