"""`deepmat.train`: what it checks, and that it does what the command does."""

import errno
import json
import os
import sys
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file
from toy import Toy, ToyOptions

from deepmat import config as configs
from deepmat.config import LiteConfig
from deepmat.errors import CheckpointError, ConfigError, DataError
from deepmat.models import MODELS, build_model, load_model
from deepmat.runtime.locking import alone
from deepmat.training.run import BEST, states
from deepmat.training.train import configs_of, train

TINY = (
    "model.width=0.0625",
    "data.augment.resize.size=[32,32]",
    "data.augment.crop.sizes=[32]",
    "train.workers=0",
    "train.precision=fp32",
    "train.print_every=1",
)
TIMES = ("samples_per_s", "waiting")


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def log_of(folder):
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in record.items() if key not in TIMES} for record in records]


def test_a_state_to_resume_is_looked_at_before_anything_is_written(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"x": torch.zeros(1)}}, "weights.pt")
    Path("photo.pt").write_bytes(b"a photo")
    for name, why in (
        ("none.pt", "no such file"),
        ("photo.pt", "truncated or not"),
        ("weights.pt", "not the state of"),
    ):
        with pytest.raises(CheckpointError, match=f"^{name}: {why}"):
            train(1, data=data, pretrain="none", resume=name, settings=TINY)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.pt", "weights.pt"]


def test_command_and_function_leave_the_same_run_folders(deepmat, data, monkeypatch):
    """Two stages, the second from the first one's weights; config, log, states, weights and sheets are the same."""
    pytest.importorskip("tensorboard")
    folders = {}
    for place in ("command", "function"):
        Path(place).mkdir()
        monkeypatch.chdir(place)
        if place == "command":
            flags = ["--stage", "1,2", "--data", data, "--pretrain", "none", "--iterations", 2, "--test-every", 1]
            given = [part for setting in TINY for part in ("--set", setting)]
            result = deepmat("train", *flags, "--tensorboard", *given)
            assert result.exit_code == 0 and "stage1 done: runs/stage1/best.safetensors" in result.stderr
        else:
            work = train("1,2", data=data, pretrain="none", iterations=2, test_every=1, tensorboard=True, settings=TINY)
            assert work.total == 4 and not Path("runs").exists()  # nothing is written before it is asked for
            records = work.run()
            assert [each["event"] for each in records].count("end") == 2
        folders[place] = [Path("runs", name).absolute() for name in ("stage1", "stage2")]
        monkeypatch.chdir("..")
    for ours, theirs in zip(*folders.values(), strict=True):
        names = {path.relative_to(ours).as_posix() for path in ours.rglob("*") if "events" not in path.name}
        assert names == {path.relative_to(theirs).as_posix() for path in theirs.rglob("*") if "events" not in path.name}
        assert {"config.yaml", "log.jsonl", BEST, "samples/step-0000002.jpg", "tensorboard"} <= names
        assert log_of(ours) == log_of(theirs)
        for name in ("config.yaml", "samples/step-0000001.jpg", "samples/step-0000002.jpg"):
            assert (ours / name).read_bytes() == (theirs / name).read_bytes()
        for first, second in (
            (load_file(ours / BEST), load_file(theirs / BEST)),
            (torch.load(states(ours)[0])["state_dict"], torch.load(states(theirs)[0])["state_dict"]),
        ):
            assert all(torch.equal(value, second[key]) for key, value in first.items())


def test_a_config_object_trains_as_its_file_does(data, tmp_path):
    file = tmp_path / "own.yaml"
    config = configs.load(configs.recipe("stage0"), overrides=[*TINY, f"data.root={data}", "train.pretrain=null"])
    file.write_text(configs.dump(config))
    more = {"lr": 0.5, "seed": 0, "iterations": 3, "lr_step": 7, "compile": True, "settings": ["train.keep=5"]}
    of_object, of_file = (train(config=each, **more).runs[0].plan.config for each in (config, file))
    assert of_object == of_file == train(config, **more).runs[0].plan.config
    settings = of_object.train
    assert (settings.lr, settings.iterations, settings.keep, settings.compile) == (0.5, 3, 5, True)
    assert (settings.schedule.name, settings.schedule.every, settings.schedule.gamma) == ("step", 7, 0.1)


def test_a_network_of_ones_own_is_trained(data, tmp_path, monkeypatch):
    """By a line in MODELS and one in MODEL_CONFIGS. Alphas hardly follow the red channel, so the gain falls."""
    monkeypatch.setitem(MODELS, "toy", Toy)
    monkeypatch.setitem(configs.MODEL_CONFIGS, "toy", ToyOptions)
    monkeypatch.chdir(tmp_path)
    options = {"model": {"arch": "toy"}, "loss": {"alpha": 1.0}, "data": {"root": str(data)}}
    Path("toy.yaml").write_text(json.dumps(options))
    train(config="toy.yaml", iterations=2, lr=0.1, settings=TINY[1:]).run()
    (best,) = Path().rglob(BEST)
    assert load_model(best).gain.item() < 1


def test_a_run_that_is_asked_to_stop_ends_the_stages_after_it(data, tmp_path):
    options = {"data": data, "pretrain": "none", "runs": tmp_path / "runs", "settings": TINY, "iterations": 2}
    records = train("0,1", **options, stop=lambda: True).run()
    assert records[-1] == {"event": "stopped", "step": 0} and not (tmp_path / "runs/stage1").exists()
    kept = states(tmp_path / "runs/stage0")
    with pytest.raises(ConfigError, match=r"stage0: a run of this name is there; --resume auto continues it"):
        train("0,1", **options)
    records = train("0,1", **options, resume="auto").run()
    assert f"continues from step 0 of {kept[0]}" in records[0]["notices"]
    assert [each["step"] for each in records if each["event"] == "end"] == [2, 2]


def test_each_stage_begins_with_its_own_weights():
    def begins(*arguments):
        return [config.train.pretrain for config in configs_of(*arguments)]

    flags = {"data": {"root": "data"}}
    assert begins("1,2,3", None, [], flags, "vgg.pth", []) == [
        "vgg.pth", "{runs}/stage1/best.safetensors", "{runs}/stage2/best.safetensors",
    ]  # fmt: skip
    assert begins(2, None, [], flags, "none", []) == [None]
    assert begins(None, "lite", [], flags, None, []) == [None]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "say what to train: --stage 0, 1, 2, 3"),
        ({"stage": 1, "config": "lite"}, "--stage and --config: give one of them"),
        ({"stage": 1, "resume": "auto", "overwrite": True}, "--resume and --overwrite: give one of them"),
        ({"stage": "1,2", "name": "x"}, "--name: several stages need their own names"),
        ({"stage": "1,2", "resume": "state.pt"}, "--resume FILE: goes with one stage"),
        ({"stage": 4}, "--stage 4: give 0, 1, 2 or 3"),
        ({"stage": 1, "recipe": "moder"}, "recipe/moder: deepmat ships no such recipe; known: mmagic, modern"),
        ({"stage": 1, "lr": -1.0}, r"stage1.yaml and command line: train.lr: give a number over 0"),
        ({"config": "lite", "settings": ["loss.sharp=1"]}, "loss 'sharp': unknown"),
        ({"config": "lite", "settings": ["train.optimizer.name=sgd"]}, "train.optimizer.name 'sgd': unknown"),
        ({"config": "lite", "settings": ["train.schedule.name=cosin"]}, "train.schedule.name 'cosin': unknown"),
        ({"config": "lite", "settings": ["test.mode=hole"]}, "mode 'hole': unknown"),
        ({"config": "lite", "settings": ["model.arch=closed-form"]}, "closed-form: it has nothing to train"),
    ],
)
def test_mistakes_are_found_before_anything_is_written(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        train(**options)
    assert not list(tmp_path.iterdir())


def test_tensorboard_that_is_not_installed_is_found_before_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ConfigError, match=r"pip install 'deepmat\[tensorboard\]'"):
        train(config="lite", tensorboard=True)
    assert not list(tmp_path.iterdir())


def test_the_lock_of_another_user_is_named(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with pytest.raises(DataError, match=r"\.lock: cannot be opened \(Permission denied\)"), alone(tmp_path, "taken"):
        pass


def test_the_fusion_of_lite_is_trained_alone(tmp_path):
    settings = [
        *TINY[2:],
        "data.augment.resize.size=[64,64]",
        "model.width=0.125",
        "data.synth=4",
        "data.large=null",
        "data.doubled=0",
    ]
    train(config="lite", pretrain="none", runs=tmp_path, iterations=1, settings=settings).run()
    first = tmp_path / "lite" / BEST
    more = ["model.fusion=true", "train.freeze=[encoder, decoder]", "train.name=fusion"]
    train(config="lite", pretrain=str(first), runs=tmp_path, iterations=2, settings=[*settings, *more]).run()
    before, after = load_file(first), load_file(tmp_path / "fusion" / BEST)
    assert all(torch.equal(before[name], after[name]) for name in before)
    built = build_model(LiteConfig(width=0.125, fusion=True)).fusion.state_dict()
    assert {name for name in after if name not in before} == {f"fusion.{name}" for name in built}
    assert after["fusion.head.weight"].abs().max() > 0  # is 0 at first
