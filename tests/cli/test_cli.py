import csv
import errno
import json
import multiprocessing
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from deepmat import cli, imaging
from deepmat.cli import app
from deepmat.report import TrainingDisplay
from deepmat.training.run import states
from deepmat.training.train import configs_of

SMALL = ["--set", "data.augment.resize.size=[32,32]", "--set", "data.augment.crop.sizes=[48]"]
FAST = [*SMALL, "--print-every", 1, "--workers", 0]
TINY = ["--set", "model.width=0.0625"]


@pytest.mark.parametrize(
    "network",
    [
        pytest.param([*TINY, "--pretrain", "none"], id="narrow"),
        pytest.param([], id="full width, from VGG16", marks=pytest.mark.slow),
    ],
)
def test_the_main_job(deepmat, read_log, network):
    """Every command on the output of the one before, as in the README."""
    assert deepmat("synth", "source", "--train", 2, "--test", 1, "--backgrounds", 2, "--size", 64).exit_code == 0
    assert deepmat("composite", "source", "-o", "data", "--per-foreground", 2).exit_code == 0
    again = deepmat("composite", "source", "-o", "data", "--per-foreground", 2)
    assert again.exit_code == 0 and "6 composites in data (6 from before)" in again.stderr
    if not network:
        vgg = deepmat("convert-vgg", "--untrained")
        assert vgg.exit_code == 0 and "untrained" in vgg.stderr

    shown = deepmat("data", "show", "source", "-o", "samples.png", *SMALL)
    assert shown.exit_code == 0 and "12 samples of 200 an epoch in samples.png" in shown.stderr
    pairs = ["--data", "source", "--test", "data"]
    trained = deepmat("train", "--stage", "0,1,2,3", *pairs, "--iterations", 2, "--test-every", 2, *FAST, *network)
    assert trained.exit_code == 0, trained.output
    terms = {0: {"alpha"}, 1: {"alpha", "composition"}, 2: {"refined"}, 3: {"alpha", "composition", "refined"}}
    ended = 0.0
    for stage, names in terms.items():
        records = read_log(Path(f"runs/stage{stage}"))
        events = [record["event"] for record in records if record["event"] not in ("began", "warning")]
        assert events == ["start", "step", "step", "checkpoint", "test", "end"]
        assert set(next(record["loss"] for record in records if "loss" in record)) == names | {"total"}
        # What a stage begins with is what the one before it ended with.
        began = [record["sad"] for record in records if record["event"] == "began"]
        assert began == ([ended] if stage > 1 else [])
        ended = records[-1]["best_sad"]
        assert len(trained.stdout.splitlines()[0]) > 100  # lines are not folded in a pipe
        assert f"stage{stage} step 2/2" in trained.stdout and f"stage{stage} test at step 2  SAD" in trained.stdout
    assert "begins with runs/stage1/best.safetensors; random: refine_conv1" in trained.stdout
    frozen = [
        torch.load(f"runs/stage{stage}/state-000000002.pt")["state_dict"]["deconv1_1.weight"] for stage in (1, 2, 3)
    ]
    assert torch.equal(frozen[0], frozen[1]) and not torch.equal(frozen[1], frozen[2])

    best = "runs/stage3/best.safetensors"
    scored = deepmat(
        "eval", "-w", best, "--data", "data", "-o", "scores", "--save-alphas", "--sheet", "sheet.png", "--json"
    )
    assert scored.exit_code == 0, scored.output
    summary = json.loads(scored.stdout)
    assert summary == json.loads(Path("scores/scores.json").read_text())
    rows = list(csv.DictReader(Path("scores/scores.csv").read_text().splitlines()))
    for metric in ("sad", "mse", "grad", "conn", "mad"):
        assert summary["means"][0]["mean"][metric]["mean"] == pytest.approx(
            np.mean([float(row[metric]) for row in rows])
        )
    settings = summary["settings"]
    assert settings["mode"] == "whole" and settings["max_size"] == 1600 and len(rows) == 2
    assert imaging.read_image("sheet.png").shape[1] > 4 * 320
    table = deepmat("eval", "-w", best, "--data", "data/test", "--mode", "whole", "--max-size", 1600)
    assert f"{summary['means'][0]['mean']['sad']['mean']:.3f}" in table.stdout

    predicted = deepmat(
        "predict", "data/test/image", "-t", "data/test/trimap", "-o", "out", "-w", best, "--precision", "fp32"
    )
    assert predicted.exit_code == 0 and "2 of 2 pictures cut out in out" in predicted.stderr
    for path in Path("out/alpha").iterdir():
        alpha = imaging.read_grey(path)
        scored_alpha = imaging.read_grey(Path("scores/prediction") / path.name)
        assert cv2.absdiff(alpha, scored_alpha).max() <= 1  # mode auto looks at a part of the picture
        np.testing.assert_array_equal(imaging.read_rgba(Path("out/cutout") / path.name)[1], alpha)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--stage", 3], "no training data: give some with --data DIR (data show: DIR), foregrounds and"),
        (["train", "--stage", 3, "--data", "nowhere"], "nowhere: no such folder; check the path (`deepmat synth"),
        (["train"], "say what to train: --stage 0, 1, 2, 3"),
        (["train", "--stage", 9], "--stage 9: give 0, 1, 2 or 3, or several: 0,1,2,3"),
        (["train", "--stage", 1, "--set", "train.epoch=3"], "train.epoch: unknown key, did you mean train.epochs?"),
        (["train", "--config", "finetune"], "no training data: give some with --data DIR"),
        (["train", "--config", "finetun"], "finetun: deepmat ships no such recipe; known: finetune, fusion, lite"),
        (["train", "--stage", "0,1", "--name", "x"], "several stages need their own names"),
        (["composite", "nowhere", "-o", "x"], "nowhere: no such folder; check the path (`deepmat synth"),
        (["convert-vgg", "--weights", "none.pth"], "none.pth: no such file"),
        (["convert-vgg"], "VGG16's weights are not fetched, since DEEPMAT_OFFLINE is set; unset it, or give"),
        (["eval"], "no folder of test pictures: give a test set with --data DIR (train: --test DIR);"),
        (["predict", "x.png", "-t", "t.png", "-o", "out"], "t.png: no such folder or file of trimaps; check"),
        (["synth", "x", "--size", 5], "size is 5"),
    ],
)  # fmt: skip
def test_what_is_missing_is_never_a_dead_end(deepmat, arguments, message):
    result = deepmat(*arguments)
    assert result.exit_code == 1
    assert message in " ".join(result.stderr.split())


def test_stage_3_without_stage_2_says_what_makes_it(deepmat, data):
    result = deepmat("train", "--stage", 3, "--data", data, "--device", "cpu", *FAST)
    assert result.exit_code == 1
    assert (
        "runs/stage2/best.safetensors: no such weights to begin with; `deepmat train --stage 2` makes" in result.stderr
    )


def test_a_device_that_is_not_there_is_an_error(deepmat, data, weights):
    result = deepmat("eval", "-w", weights, "--data", data, "--device", "cuda:99")
    assert result.exit_code == 1 and "device 'cuda:99' is not available here" in result.stderr


def test_nothing_that_is_read_is_overwritten(deepmat, data, weights):
    shutil.copytree(data / "test", "t")
    before = {path: path.read_bytes() for path in Path("t").rglob("*.png")}
    predict = ["predict", "t/image", "-t", "t/alpha", "-w", weights]
    for arguments, message in (
        ([*predict, "-o", "t"], "would overwrite the input t/alpha"),
        (["eval", "-w", weights, "--data", "t", "--sheet", sorted(before)[0]], "would overwrite the input"),
        (["eval", "-w", weights, "--data", "t", "--sheet", "sheet"], "write sheet.png"),
    ):
        result = deepmat(*arguments)
        assert result.exit_code == 1 and message in result.stderr, result.stderr
    assert deepmat("eval", "-w", weights, "--data", "t", "-o", "t", "--save-alphas").exit_code == 0
    assert {path: path.read_bytes() for path in before} == before and not Path("out").exists()
    assert len(list(Path("t/prediction").iterdir())) == 2


@pytest.mark.parametrize(
    ("flag", "value", "key"),
    [
        ("--runs", "r", "train.runs"), ("--name", "n", "train.name"), ("--device", "cpu", "train.device"),
        ("--seed", 7, "train.seed"), ("--workers", 3, "train.workers"), ("--batch-size", 5, "train.batch_size"),
        ("--epochs", 2, "train.epochs"), ("--iterations", 9, "train.iterations"), ("--lr", 0.5, "train.lr"),
        ("--precision", "bf16", "train.precision"), ("--accumulate", 3, "train.accumulate"),
        ("--print-every", 6, "train.print_every"),
        ("--test-every", 8, "train.test_every"), ("--checkpoint-every", 11, "train.checkpoint_every"),
        ("--pretrain", "p.pth", "train.pretrain"), ("--data", "d", "data.root"),
        ("--bg", "b", "data.bg"), ("--test", "t", "test.root"),
    ],
)  # fmt: skip
def test_every_flag_of_train_reaches_the_config(deepmat, catch, flag, value, key):
    kept = catch("training.train", "prepare")
    assert "caught" in deepmat("train", "--stage", 1, flag, value).stderr
    section, name = key.split(".")
    assert str(getattr(getattr(kept["arguments"][0], section), name)) == str(value)


def test_the_flags_of_train_that_stand_for_more(deepmat, catch):
    kept = catch("training.train", "prepare")
    deepmat("train", "--stage", 1, "--lr-step", 4, "--compile", "--recompute")
    settings = kept["arguments"][0].train
    assert settings.schedule.name == "step" and settings.schedule.every == 4 and settings.schedule.gamma == 0.1
    assert settings.compile and settings.recompute


def test_augment_names_a_recipe_or_a_file(deepmat, catch):
    kept = catch("training.train", "prepare")
    deepmat("train", "--stage", 1, "--augment", "modern", "--set", "data.augment.jpeg.quality=[7, 9]")
    augment = kept["arguments"][0].data.augment
    assert augment.combine.probability == 0.5 and augment.jpeg.quality == [7, 9] and augment.jpeg.probability == 0.5
    Path("own.yaml").write_text("data: {augment: {flip: null}}")
    deepmat("train", "--stage", 1, "--augment", "own.yaml")
    assert kept["arguments"][0].data.augment.flip is None
    unknown = deepmat("train", "--stage", 1, "--augment", "moder")
    assert "augment/moder: deepmat ships no such recipe; known: mmagic, modern, reference" in unknown.stderr


def test_every_kind_of_data_trains(deepmat, source, data):
    """Foregrounds of one's own, composites without copies, composites in full, nothing but procedural pictures."""
    assert deepmat("composite", source, "-o", "short", "--split", "train", "--per-foreground", 1).exit_code == 0
    shutil.copytree(source / "Training_set" / "Other", "mine")
    shutil.copytree(source / "bg_train", "mine/bg")
    for name, how in {
        "own": ["--data", "mine"],
        "no backgrounds": ["--data", source / "Training_set" / "Other"],
        "short": ["--data", "short"],
        "full": ["--data", data],
        "procedural": ["--set", "data.synth=9"],
    }.items():
        command = ["train", "--stage", 0, "--pretrain", "none", "--iterations", 1, "--device", "cpu", *TINY]
        command += ["--name", name]
        result = deepmat(*command, *how, *FAST)
        assert result.exit_code == 0, result.stderr
    assert "decodes 2 pictures into" in Path("runs/own/log.jsonl").read_text()
    assert "procedural ones are drawn" in Path("runs/no backgrounds/log.jsonl").read_text()
    assert '"pictures": 9,' in Path("runs/procedural/log.jsonl").read_text()


def test_sheets_show_what_can_be_shown_and_name_the_rest(deepmat, source):
    shutil.copytree(source / "Training_set" / "Other", "mine")
    shutil.copytree(source / "bg_train", "mine/bg")
    before = {path: path.read_bytes() for path in Path("mine").rglob("*.png")}
    good = deepmat("data", "show", "mine", "-o", "good.png", "--count", 3, "--augment", "modern", *SMALL)
    assert good.exit_code == 0 and imaging.read_image("good.png").shape[1] > 5 * 256
    again = deepmat("data", "show", "mine", "-o", "again.png", "--count", 3, "--augment", "modern", *SMALL)
    assert again.exit_code == 0 and Path("good.png").read_bytes() == Path("again.png").read_bytes()
    assert deepmat("data", "show", "--set", "data.synth=2", "-o", "drawn.png", *SMALL).exit_code == 0
    plan = deepmat("composite", "mine", "--preview", "plan.png", "--per-foreground", 3)
    assert plan.exit_code == 0 and "6 of 6 composites in plan.png" in plan.stderr
    assert {path: path.read_bytes() for path in Path("mine").rglob("*.png")} == before
    bad = sorted(Path("mine/fg").iterdir())[0]
    bad.write_bytes(b"")
    for command in (["data", "show", "mine", "-o", "bad.png", *SMALL], ["composite", "mine", "--preview", "bad.png"]):
        shown = deepmat(*command)
        assert shown.exit_code == 1 and f"{bad}: not a picture" in shown.stderr.replace(f"{Path.cwd()}/", "")
        assert imaging.read_image("bad.png").shape[0] > 256
    for command in (["data", "show", "mine", "-o"], ["composite", "mine", "--preview"]):
        refused = deepmat(*command, Path("mine/bg/new.png"))
        assert refused.exit_code == 1 and "lies in mine, which is read; choose a place beside it" in refused.stderr
    nothing = deepmat("composite", "mine")
    assert nothing.exit_code == 1 and "--out DIR: where the data set goes" in nothing.stderr


def test_every_flag_of_eval_arrives(deepmat, catch, data, weights):
    where = [f"--{kind}s={data / 'test' / kind}" for kind in ("image", "trimap", "alpha")]
    whole = ["--mode", "whole", "--fit", "stretch", "--max-size", 64]
    kept = catch("inference.runs", "as_network")
    assert "caught" in deepmat("eval", "-w", weights, *where, *whole).stderr
    settings = kept["arguments"][1]
    assert (settings.mode, settings.fit, settings.max_size) == ("whole", "stretch", 64)


def test_every_flag_of_composite_arrives(deepmat, source):
    folder = source / "Training_set" / "Other"
    command = [
        "composite",
        folder / "fg",
        "--alpha",
        folder / "alpha",
        "--bg",
        source / "bg_train",
        "--per-foreground",
        2,
    ]
    plans = {}
    for name, more in {"a": [], "b": ["--seed", 3], "c": ["--compositor", "cv2"], "d": ["--split", "test"]}.items():
        assert deepmat(*command, "-o", name, "--workers", 1, *more).exit_code == 0
        manifest = next(Path(name).glob("*/manifest.jsonl"))
        plans[name] = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert {entry["seed"] for entry in plans["b"]} == {3} and {entry["compositor"] for entry in plans["c"]} == {"cv2"}
    assert [entry["bg"] for entry in plans["a"]] != [entry["bg"] for entry in plans["b"]]
    assert (Path("d/test/trimap") / f"{plans['d'][0]['name']}.png").is_file()
    assert deepmat(*command, "-o", "e", "--layout", "full", "--format", "jpg").exit_code == 0
    assert {path.suffix for path in Path("e/train/image").iterdir()} == {".jpg"}
    assert len(list(Path("e/train/bg").iterdir())) == 4
    again = deepmat("composite", "e", "-o", "f")
    assert again.exit_code == 1 and "e: holds composites already" in again.stderr
    assert "leave it out" in deepmat("composite", source, "-o", "e", "--seed", 3).stderr
    inside = deepmat(*command, "-o", folder / "fg" / "out")
    assert inside.exit_code == 1 and "which is read; choose a place beside it" in inside.stderr


def test_pretrain_and_resume_with_several_stages(deepmat, data):
    begins = [each.train.pretrain for each in configs_of("1,2,3", None, [], {}, "vgg.pth", [])]
    assert begins == ["vgg.pth", "{runs}/stage1/best.safetensors", "{runs}/stage2/best.safetensors"]
    refused = deepmat("train", "--stage", "1,2", "--data", data, "--resume", "state.pt")
    assert refused.exit_code == 1 and "--resume FILE: goes with one stage" in refused.stderr


def test_a_disk_that_is_full(deepmat, data):
    """A limit on file sizes: the state of a run does not fit, so the write itself fails."""
    resource = pytest.importorskip("resource")  # not on Windows
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**5, before[1]))
    try:
        command = ["train", "--stage", 1, "--data", data, "--pretrain", "none", "--iterations", 1, *FAST, *TINY]
        result = deepmat(*command)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert result.exit_code == 1
    assert "state-000000001.pt: cannot be written (File too large); free space or choose another place" in result.stderr
    assert sorted(path.name for path in Path("runs/stage1").glob("[!.]*")) == ["config.yaml", "log.jsonl"]


def test_eval_names_what_it_cannot_score(deepmat, data, weights):
    shutil.copytree(data / "test", "test")
    names = sorted(Path("test/image").iterdir())
    (Path("test/alpha") / names[0].name).unlink()
    result = deepmat("eval", "-w", weights, "--data", "test", "--json", "-o", "scores", "--mode", "crop")
    assert result.exit_code == 1
    assert f"{names[0].stem}: no alpha of that name in test/alpha" in result.stderr
    summary = json.loads(result.stdout)
    assert "error" in summary["pictures"][0]
    assert summary["means"][0]["mean"]["sad"]["mean"] == summary["pictures"][1]["sad"]
    unreadable = deepmat("eval", "-w", names[0], "--data", "test")
    assert unreadable.exit_code == 1 and "truncated or not a file of weights" in unreadable.stderr


def test_a_run_is_not_overwritten_by_chance(deepmat, data):
    command = ["train", "--stage", 1, "--data", data, "--pretrain", "none", "--iterations", 1, *FAST, *TINY]
    assert deepmat(*command).exit_code == 0
    refused = deepmat(*command)
    assert refused.exit_code == 1 and "--resume auto continues it" in refused.stderr
    assert deepmat(*command, "--resume", "auto").exit_code == 0
    assert deepmat(*command, "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("number", "workers"),
    [pytest.param(signal.SIGINT, 1, marks=pytest.mark.slow), (signal.SIGINT, 2), (signal.SIGTERM, 2)],
)
def test_composite_interrupted_says_so_and_goes_on(deepmat, source, tmp_path, number, workers):
    folder = source / "Training_set" / "Other"
    command = ["composite", folder / "fg", "--alpha", folder / "alpha", "--bg", source / "bg_train", "-o", "out"]
    command = [*map(str, command), "--per-foreground", "60", "--workers", str(workers)]
    # A shell starts what it puts in the background, tests among it, deaf to Ctrl-C.
    run = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    run += "from deepmat.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", run, *command],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        while not list(tmp_path.glob("out/train/image/*.png")):
            assert process.poll() is None
            time.sleep(0.005)
        os.killpg(process.pid, number)  # as Ctrl-C does: to the workers too
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and "Traceback" not in errors
    assert "the same command continues" in errors
    assert "120 composites in out" in deepmat(*command).stderr


ENDLESS = ["train", "--stage", 1, "--pretrain", "none", "--iterations", 5000, *FAST, *TINY]


@pytest.mark.parametrize(("number", "count"), [(signal.SIGINT, 1), (signal.SIGTERM, 0)])
def test_a_signal_ends_the_step_saves_and_says_how_to_go_on(deepmat, data, monkeypatch, number, count):
    """Sent to the worker processes too, as Ctrl-C is."""
    show, workers = TrainingDisplay.show, set()

    def strike(display, record):
        show(display, record)
        if record["event"] == "step" and record["step"] == 3:
            workers.update(multiprocessing.active_children())
            for process in (*(child.pid for child in workers), os.getpid()):
                os.kill(process, number)

    monkeypatch.setattr(TrainingDisplay, "show", strike)
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    result = deepmat(*ENDLESS, "--data", data, "--workers", count)
    assert result.exit_code == 130 and len(workers) == count
    assert "the same command with --resume auto continues" in " ".join(result.stderr.split())
    assert torch.load(states(Path("runs/stage1"))[0])["step"] in (3, 4)
    assert {path.name for path in Path("runs").rglob(".*")} <= {".lock"}
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_a_started_command(data, tmp_path, number):
    command = [sys.executable, "-m", "deepmat", *map(str, ENDLESS), "--data", str(data), "--workers", "1"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        while "step 3/" not in process.stdout.readline():
            assert process.poll() is None
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "the same command with --resume auto continues" in " ".join(errors.split())
    assert torch.load(states(tmp_path / "runs/stage1")[0])["step"] >= 3


def test_a_command_without_stdout_ends_well(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["deepmat", "--version"])
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code


def test_remarks_of_pillow_on_odd_metadata_are_not_shown(tmp_path, monkeypatch, capsys):
    png = imaging.encode(np.kron(np.eye(2, dtype=np.uint8) * 255, np.ones((16, 16), np.uint8)), ".png")
    odd = struct.pack(">I", 8) + (chunk := b"acTL" + bytes(8)) + struct.pack(">I", zlib.crc32(chunk))  # of no frames
    (tmp_path / "mask.png").write_bytes(png[:33] + odd + png[33:])
    with pytest.warns(UserWarning, match="Invalid APNG"):
        imaging.read_grey(tmp_path / "mask.png")
    monkeypatch.setattr(sys, "argv", ["deepmat", "trimap", f"{tmp_path}/mask.png", "-o", f"{tmp_path}/out"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code in (None, 0), capsys.readouterr().err
    assert (tmp_path / "out" / "mask.png").is_file()


@pytest.mark.parametrize(("option", "value"), [("--count", "0"), ("--count", "a"), ("--seed", "1.5")])
def test_a_value_that_an_option_does_not_take(deepmat, option, value):
    result = deepmat("data", "show", "x", option, value)
    assert result.exit_code == 2 and f"Invalid value for '{option}': " in result.stderr and value in result.stderr
    assert "Input should" not in result.stderr  # pydantic's words, which Typer passes on


def test_version(deepmat):
    assert deepmat("--version").stdout.startswith("deepmat 0.")


def test_recipe_names_how_it_is_trained(deepmat, catch):
    kept = catch("training.train", "prepare")
    deepmat("train", "--stage", 3, "--recipe", "mmagic", "--set", "train.keep=5")
    config = kept["arguments"][0]
    assert config.train.iterations == 10**6 and config.model.conv6 == 1 and config.model.refine
    assert config.train.name == "stage3" and config.train.keep == 5 and config.data.augment.trimap.independent
    unknown = deepmat("train", "--stage", 1, "--recipe", "mmagik")
    assert "recipe/mmagik: deepmat ships no such recipe; known: mmagic, modern, reference" in unknown.stderr


def test_no_subfolder_is_passed_over(deepmat, data, source, weights, close):
    """Each command names a subfolder that cannot be listed, does the rest where there is one, and exits with 1."""
    for split, kinds in (("test", ("image", "trimap", "alpha")), ("train", ("image", "alpha", "fg", "bg"))):
        for kind in kinds:
            shutil.copytree(data / split / kind, f"t/{split}/{kind}/bags")
            shutil.copy(next((data / split / kind).glob("*_0.png")), f"t/{split}/{kind}/one.png")
    shutil.copytree("t/train/fg", "plain/fg")
    shutil.copytree("t/train/alpha", "plain/alpha")
    for path in ("t/test/image/bags", "t/train/image/bags", "t/test/alpha/bags", "plain/fg/bags"):
        close(path)
    t, bg = "t/test", source / "bg_train"
    for arguments, closed, done in (
        (
            ["predict", f"{t}/image", "-t", f"{t}/trimap", "-o", "out", "-w", weights],
            "t/test/image",
            "out/alpha/one.png",
        ),
        (["trimap", f"{t}/alpha", "-o", "trimaps"], "t/test/alpha", "trimaps/one.png"),
        (["eval", "--data", t, "-p", f"{t}/trimap", "-o", "scores"], "t/test/image", "scores/scores.csv"),
        (["composite", "plain", "--bg", bg, "-o", "set", "--per-foreground", 1], "plain/fg", None),
        (["train", "--config", "finetune", "--data", "t", *FAST], "t/train/image", None),
    ):
        result = deepmat(*arguments)
        assert result.exit_code == 1, arguments
        assert f"{closed}/bags: cannot be listed (Permission denied)" in result.stderr, result.stderr
        assert done is None or Path(done).is_file()
    without = ["--exclude", "bags/*"]
    assert deepmat("predict", f"{t}/image", "-t", f"{t}/trimap", "-o", "o", "-w", weights, *without).exit_code == 0


def test_names_beyond_the_encoding_of_stdout_are_escaped(deepmat, tmp_path):
    (tmp_path / "garçon.txt").touch()
    result = CliRunner(charset="ascii").invoke(app, ["doctor", str(tmp_path)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert r"gar\xe7on.txt" in result.stdout


def test_a_full_disk_behind_stdout_is_explained(deepmat, weights, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("builtins.print", full)
    result = deepmat("info", weights)
    assert result.exit_code == 1 and "the output cannot be written (No space left on device)" in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device")
def test_a_disk_that_is_full_at_the_last_line_is_explained():
    with open("/dev/full", "w") as out:
        result = subprocess.run([sys.executable, "-m", "deepmat", "--version"], stdout=out, stderr=-1, text=True)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "error: the output cannot be written (No space left on device); free space or send it elsewhere"
    ]


def test_what_a_closed_folder_hides_is_not_called_missing(deepmat, data, weights, close):
    shutil.copy(next((data / "test/image").iterdir()), "a.png")
    shutil.copy(next((data / "test/trimap").iterdir()), "t.png")
    shutil.copytree(data / "test/trimap", "trimaps")
    shutil.copy("t.png", "trimaps/a.png")
    Path("closed").mkdir()
    close("closed")
    predict = ["predict", "a.png", "-w", weights]
    for arguments, hidden in (
        ([*predict, "-t", "closed/t.png", "-o", "o"], "closed/t.png"),
        ([*predict, "-t", "t.png", "-o", "closed/o"], "closed/o"),
        ([*predict, "closed/b.png", "-t", "trimaps", "-o", "o"], "closed/b.png"),
        (["predict", "a.png", "-t", "t.png", "-o", "p", "-w", "closed/w.pth"], "closed/w.pth"),
        (["info", "closed/w.pth"], "closed/w.pth"),
        (["doctor", "trimaps", "--fix", "closed/x"], "closed/x"),
        (["eval", "--data", data, "-p", "closed/x"], "closed/x"),
        (["train", "--config", "finetune", "--data", "closed/x"], "closed/x"),
    ):
        result = deepmat(*arguments)
        assert result.exit_code == 1 and f"{hidden}: cannot be looked at (Permission denied)" in result.stderr, hidden
    assert Path("o/alpha/a.png").is_file() and not Path("p").exists()


@pytest.mark.parametrize(("command", "policy"), [("predict", "passive"), ("train", None)])
def test_threads_that_wait_sleep_but_in_training(monkeypatch, command, policy):
    monkeypatch.setenv("OMP_WAIT_POLICY", "")  # restored after the test
    monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.setattr(cli, "app", lambda: None)
    monkeypatch.setattr(sys, "argv", ["deepmat", command])
    with pytest.raises(SystemExit):
        cli.main()
    assert os.environ.get("OMP_WAIT_POLICY") == policy
