from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from deepmat import config
from deepmat.config import mistakes
from deepmat.data.origins import find_origins
from deepmat.errors import ConfigError, DataError
from deepmat.inference.predict import mode_options
from deepmat.models import build_model, freeze
from deepmat.training.losses import LOSSES

CONFIGS = Path(__file__).parents[1] / "configs"
RECIPES = sorted(CONFIGS.rglob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_loads_builds_and_opens_with_its_command(path):
    resolved = config.load(path)
    narrow = resolved.model.model_copy(update={"width": 1 / 8})
    freeze(build_model(narrow), resolved.train.freeze)
    assert set(resolved.loss) <= set(LOSSES)
    mode_options(resolved.test)
    assert path.read_text().startswith("# deepmat train ")
    assert config.recipe(path.relative_to(CONFIGS).with_suffix("").as_posix()).read_text() == path.read_text()
    with nullcontext() if resolved.data.synth else pytest.raises(DataError, match="no training data: give some with"):
        find_origins(resolved.data)


@pytest.mark.parametrize("name", ["reference", "mmagic", "modern"])
def test_a_recipe_of_augmentations_names_every_step(name):
    """So that it undoes what another file put in."""
    steps = yaml.safe_load(config.recipe(f"augment/{name}").read_text())["data"]["augment"]
    assert list(steps) == list(config.AugmentConfig.model_fields)


def test_the_reference_recipe_says_the_defaults():
    assert config.load(config.recipe("augment/reference")) == config.Config()


def test_a_config_made_in_python_has_the_mistakes_of_a_yaml_file():
    assert config.Config(train={"lr": 0.5}).train.lr == 0.5
    with pytest.raises(ConfigError) as caught:
        config.Config(train={"lr": "fast"}, dta={}, model={"arch": "dim", "skp": True})
    lines = ["train.lr: give a number (got 'fast')", "dta: unknown key, did you mean data?"]
    lines.insert(0, "model.skp: unknown key, did you mean model.skip?")
    assert str(caught.value).split("\n  ") == ["Config: 3 mistakes:", *lines]
    with pytest.raises(ConfigError, match="^here: loss: give at least one term a weight over 0"):
        config.build({"loss": {}}, "here")
    with pytest.raises(ConfigError, match="^here: 5: unknown key"):
        config.build({5: 1}, "here")


def test_all_mistakes_are_reported_at_once_with_the_nearest_key(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("train: {epoch: 3, lr: fast}\nbatch_size: 2\nmodel: {conv6: 2}\n")
    with pytest.raises(ConfigError) as caught:
        config.load(path, overrides=["data.augment.trimap.kernl=[1, 2]", "test.tile=100"])
    message = str(caught.value)
    assert f"{path} and command line: 6 mistakes" in message
    for part in (
        "train.epoch: unknown key, did you mean train.epochs?",
        "train.lr: give a number (got 'fast')",
        "batch_size: unknown key, did you mean train.batch_size?",
        "model.conv6: give 1 or 3 (got 2)",
        "data.augment.trimap.kernl: unknown key, did you mean data.augment.trimap.kernel?",
        "test.tile: give a multiple of 32 (got 100)",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["loss={}"], "give at least one term a weight"),
        (["test.overlap=640"], "overlap 640 is over half of tile 1024"),
        (["train.schedule.name=piecewise"], "train.schedule: piecewise has no pieces, so .* give some, say pieces="),
        (["train.epochs=true"], "train.epochs"),
        (["train.lr"], "write it as key=value"),
        (["train.lr=[1"], "not valid YAML"),
        (["train=3"], "train"),
        (["train.lr=.inf"], "train.lr: give a finite number"),
        (["train.seed=-1"], "train.seed"),
        ([f"train.seed={2**64}"], f"train.seed: give a number under 2[*][*]64, .*got {2**64}"),
        (["train.name="], "train.name"),
        (["data.augment.affine.window=100"], "affine.window 100 is under crop.sizes"),
        (["data.augment.jpeg.quality=[40, 900]"], "goes up to 100, not 900"),
        (["data.augment.trimap.kernel=[4, 2]"], r"data.augment.trimap.kernel: the lower end comes first: \[2, 4\]"),
        (["model.refin=true"], r"line: model.refin: unknown key, did you mean model.refine\?"),
        (["model.arch=lit"], "line: model.arch 'lit': unknown, did you mean lite\\? known: dim, lite"),
        (["model.arch=null"], "line: model.arch 'None': unknown, known: dim, lite"),
        (["model.arch=lite", "model.refine=true"], "line: model.refine: unknown key of arch lite; dim has it"),
        (["model.arch=lite", "model.colour=1"], "line: model.colour: unknown key; known here: arch"),
        (["model.conv6=2"], "line: model.conv6: give 1 or 3"),
        (["model=3"], "line: model: give a section of `key: value` lines"),
        (["loss={refined: 1}"], "loss.refined: there is no refined alpha without model.refine=true"),
    ],
)
def test_single_mistakes(overrides, message):
    with pytest.raises(ConfigError, match=message):
        config.load(overrides=overrides)


@pytest.mark.parametrize(
    "value", ["text!", "", "-1", "1.5", "[]", "[1]", "[9, 1]", "[1, 2, 3]", "{}", "true", ".inf", "9e99"]
)
def test_no_mistake_is_worded_by_pydantic(value):
    """Whatever is wrong with whichever key."""
    refused = 0
    for key in mistakes._all_keys(config.Config):
        try:
            config.load(overrides=[f"{key}={value}"])
        except ConfigError as error:
            refused += 1
            assert "should" not in str(error) and "Value error" not in str(error), error
    assert refused > 20


@pytest.mark.parametrize("name", ["a/b", "../x", "-a", ".hidden", "a\nb", "a:b"])
def test_a_run_of_no_folders_name_is_refused(name):
    with pytest.raises(ConfigError, match="train.name: .*: use letters, digits, _, and after the first of them also"):
        config.load(flags={"train": {"name": name}})


@pytest.mark.parametrize(
    "text", ["[1, 2]", "just text", "a: [1", "a: b: c", "train: !!int abc", "[" * 3000, "train: 5"]
)
def test_files_that_are_no_config(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"c\.yaml: .*$") as caught:
        config.load(tmp_path / "c.yaml")
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="none.yaml: cannot be read"):
        config.load(tmp_path / "none.yaml")


def test_a_key_that_is_there_twice_is_refused_with_its_line(tmp_path):
    path = tmp_path / "c.yaml"
    for text, said in (
        ("train:\n  lr: 1.0e-3\nmodel: {}\ntrain:\n  epochs: 2\n", "line 4: train: a second time, after line 1; make"),
        ("train:\n  lr: 1.0e-3\n\n  lr: 2.0e-3\n", "line 4: lr: a second time, after line 2; make"),
        ("loss: {alpha: 1, alpha: 2}\n", "line 1: alpha: a second time, after line 1; make"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=f"c.yaml: not valid YAML: {said}"):
            config.load(path)
    with pytest.raises(ConfigError, match="--set loss={alpha: 1, alpha: 2}: .* alpha: a second time"):
        config.load(overrides=["loss={alpha: 1, alpha: 2}"])
    path.write_text("train: &base {lr: 1.0, epochs: 2}\ntest: {<<: {overlap: 64, tile: 256}, tile: 512}\n")
    assert config.load(path).test.tile == 512  # a merge may be overridden


def test_layers_and_numbers_that_yaml_reads_as_text(tmp_path):
    (tmp_path / "c.yaml").write_text("train: {lr: 1e-4, seed: 1, epochs: 2}\n")
    resolved = config.load(
        tmp_path / "c.yaml", flags={"train": {"seed": 2}}, overrides=["train.seed=3", "train.lr=3e-5"]
    )
    assert (resolved.train.lr, resolved.train.seed, resolved.train.epochs) == (3e-5, 3, 2)
    assert config.load(tmp_path / "c.yaml").train.lr == 1e-4


@pytest.mark.parametrize("name", ["2026-12-31", "2026-31-12"])
def test_dates_are_text(name):
    assert config.load(overrides=[f"train.name={name}"]).train.name == name


@settings(max_examples=30)
@given(st.floats(1e-12, 1e3), st.integers(0, 2**31), st.lists(st.integers(1, 2000), min_size=1, max_size=4))
def test_a_dumped_config_loads_as_itself(lr, seed, sizes):
    numbers = [f"train.lr={lr}", f"train.seed={seed}", f"data.augment.crop.sizes={sizes}"]
    first = config.load(overrides=[*numbers, "data.root=a b", "data.augment.jitter={}", "data.augment.flip=null"])
    assert config.build(yaml.safe_load(config.dump(first)), "dump") == first


def test_text_that_is_no_utf8_is_named():
    for key, why in (("name", "use letters, digits"), ("seed", "give a whole number")):
        with pytest.raises(ConfigError, match=f"train.{key}: .*{why}") as caught:
            config.load(flags={"train": {key: "\udce9"}})
        assert str(caught.value).isascii()  # so that any terminal shows it


def test_a_network_of_ones_own_brings_its_section(monkeypatch):
    class Toy(config.ModelSection):
        arch: Literal["toy"] = "toy"
        gain: float = 1.0

        @property
        def refines(self):
            return True

    made = config.Config(model=Toy(gain=2.0), loss={"refined": 1})
    assert made.model.gain == 2 and yaml.safe_load(config.dump(made))["model"] == {"arch": "toy", "gain": 2.0}
    with pytest.raises(ConfigError, match="model.arch 'toy': unknown, known: dim, lite"):
        config.load(overrides=["model.arch=toy"])
    monkeypatch.setitem(config.MODEL_CONFIGS, "toy", Toy)
    assert config.load(overrides=["model.arch=toy", "model.gain=2.0", "loss={refined: 1, alpha: 0, composition: 0}"])
    assert config.build(yaml.safe_load(config.dump(made)), "dump") == made
    with pytest.raises(
        ConfigError, match=r"2 mistakes:\n  model.gan: unknown key, did you mean model.gain\?\n  train.ep"
    ):
        config.load(overrides=["model.arch=toy", "model.gan=2", "train.epoch=2"])


def test_a_recipe_that_does_not_exist_lists_those_that_do():
    with pytest.raises(ConfigError, match="stage7: deepmat ships no such recipe; known: .*stage3"):
        config.recipe("stage7")
