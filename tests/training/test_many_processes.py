"""Training in processes of their own: several at one run, and runs that are killed."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from deepmat.training.run import BEST, states

# Each starts processes of seconds; stop, kill and resume in one process are in test_loop.
pytestmark = pytest.mark.slow
SCRIPT = str(Path(__file__).parents[1] / "tiny_run.py")
SETTINGS = {
    "data": {"augment": {"resize": {"size": [32, 64]}, "crop": {"sizes": [64]}}},
    "train": {
        "lr": 0.01,
        "optimizer": {"eps": 1e-3},  # Adam divides the smallest gradients, rounding and all, by their own size
        "device": "cpu",
        "precision": "fp32",
        "workers": 0,
        "print_every": 1,
    },
}


@pytest.fixture
def launch(data, tmp_path):
    """launch(name, {"train": ...}, "--resume", "auto", processes=2) -> a process that trains the tiny network."""
    shutil.copytree(data, tmp_path / "data")

    def start(name, train, *arguments, processes=1, dropout=0.1):
        config = {**SETTINGS, "train": {**SETTINGS["train"], "name": name, **train}}
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(config))
        several = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        command = [sys.executable, *(several if processes > 1 else []), SCRIPT, str(dropout), str(path)]
        return subprocess.Popen(
            [*command, "--data", str(tmp_path / "data"), *arguments],
            cwd=tmp_path,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    return start


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    return out


def outcome(folder):
    """Loss by step, as the last attempt at the step had it; best weights; saved state."""
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    losses = {record["step"]: record["loss"] for record in records if record["event"] == "step"}
    tests = {record["step"]: (record["sad"], record["mse"]) for record in records if record["event"] == "test"}
    return losses, tests, load_file(folder / BEST), torch.load(states(folder)[0])


def test_processes_together_match_one(launch, tmp_path):
    train = {"iterations": 6, "test_every": 3}
    finish(launch("one", {**train, "batch_size": 4}, dropout=0))
    losses, tests, best, last = outcome(tmp_path / "runs/one")
    for processes, batch, accumulate in ((2, 2, 1), (2, 1, 2), (4, 1, 1)):
        name = f"p{processes}x{batch}x{accumulate}"
        several = {**train, "batch_size": batch, "accumulate": accumulate}
        out = finish(launch(name, several, processes=processes, dropout=0))
        assert out.count(f"{name} step 1/6") == 1  # one of them speaks
        others, more, theirs, saved = outcome(tmp_path / "runs" / name)
        for step, loss in losses.items():
            assert others[step] == pytest.approx(loss, rel=1e-5)
        for step, scores in tests.items():
            assert more[step] == pytest.approx(scores, rel=1e-4)
        for key, value in last["state_dict"].items():
            torch.testing.assert_close(saved["state_dict"][key], value, rtol=0, atol=1e-6)
        assert not list((tmp_path / "runs" / name).glob(".*"))


def test_a_run_goes_on_with_other_processes(launch, tmp_path):
    train = {"iterations": 4, "batch_size": 4, "test_every": 9}
    finish(launch("one", train, dropout=0))
    finish(launch("two", {**train, "iterations": 2}, dropout=0))
    finish(launch("two", {**train, "batch_size": 2}, "--resume", "auto", processes=2, dropout=0))
    (losses, *_), (others, *_) = outcome(tmp_path / "runs/one"), outcome(tmp_path / "runs/two")
    assert list(losses) == list(others)
    for step, loss in losses.items():
        assert others[step] == pytest.approx(loss, rel=1e-5)


def test_a_bad_picture_ends_all_processes_with_one_reason(launch, tmp_path):
    bad = sorted((tmp_path / "data/train/fg").iterdir())[0]
    bad.write_bytes(bad.read_bytes()[:100])
    process = launch("run", {"iterations": 50}, processes=2)
    out, err = process.communicate(timeout=120)
    assert (
        process.returncode != 0 and "tiny_run.py" not in err.partition("torch.distributed.elastic")[0]
    )  # no traceback
    assert f"{bad.name}" in err and "--resume auto" in err
    assert len(states(tmp_path / "runs/run")) == 1


def test_two_runs_do_not_share_a_folder(launch):
    first = launch("run", {"iterations": 10**6, "checkpoint_every": 10**6, "test_every": 10**6})
    while "step 2/" not in first.stdout.readline():
        assert first.poll() is None
    second = launch("run", {"iterations": 10**6}, "--resume", "auto")
    _, err = second.communicate(timeout=60)
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=60)
    assert second.returncode == 1 and "another process trains here" in err and first.returncode == 130


def test_a_signal_to_all_processes_saves_and_ends_them(launch, tmp_path):
    process = launch("run", {"iterations": 10**6, "checkpoint_every": 10**6}, processes=2)
    while "step 5/" not in process.stdout.readline():
        assert process.poll() is None
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in (*children, process.pid, *children):
        os.kill(int(pid), signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert "stopped at step" in err
    state, *_ = states(tmp_path / "runs/run")
    assert f"stopped at step {torch.load(state)['step']}, saved" in err


def test_processes_that_begin_from_different_states_do_not_begin(launch, tmp_path):
    """As where each machine has a run folder of its own."""
    train = {"iterations": 4, "test_every": 9, "checkpoint_every": 2}
    finish(launch("run", train, processes=2))
    script = tmp_path / "apart.py"
    script.write_text(
        f"""
import os, runpy, sys
os.chdir(sys.argv.pop()) if os.environ["RANK"] == "1" else sys.argv.pop()
sys.path.insert(0, {str(Path(SCRIPT).parent)!r})
runpy.run_path({SCRIPT!r}, run_name="__main__")
"""
    )
    (tmp_path / "elsewhere").mkdir()
    several = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = ["0.1", tmp_path / "run.yaml", "--data", tmp_path / "data", "--resume", "auto", tmp_path / "elsewhere"]
    result = subprocess.run(
        [sys.executable, *several, script, *map(str, arguments)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert result.returncode != 0 and "the processes do not begin alike" in result.stderr


def kill_and_resume(launch, folder, name, train, kills, seed):
    """Kill the run at random moments until it has been killed so often, then let it end; the number of kills."""
    rng = random.Random(seed)
    killed = 0
    while True:
        process = launch(name, train, "--resume", "auto")
        while killed < kills and process.poll() is None:
            time.sleep(0.01)
            log = folder / "log.jsonl"
            # Once it trains, at a moment of its own choosing.
            if log.is_file() and len(log.read_text().splitlines()) > killed + 2:
                time.sleep(rng.random() * 0.3)
                process.send_signal(signal.SIGKILL)
                killed += 1
                break
        else:
            finish(process)
            return killed
        process.communicate(timeout=120)


def check_killed(launch, tmp_path, kills, iterations):
    train = {
        "iterations": iterations,
        "test_every": 7,
        "checkpoint_every": 2,
        "batch_size": 2,
        "ema": 0.9,
        "workers": 1,
    }
    finish(launch("straight", train))
    killed = kill_and_resume(launch, tmp_path / "runs/broken", "broken", train, kills, seed=kills)
    (losses, tests, best, last) = outcome(tmp_path / "runs/straight")
    (others, more, theirs, saved) = outcome(tmp_path / "runs/broken")
    assert killed == kills
    assert others == losses and more == tests
    for ours, kept in ((best, theirs), (last["state_dict"], saved["state_dict"]), (last["average"], saved["average"])):
        assert all(torch.equal(value, kept[key]) for key, value in ours.items())
    assert last["best_sad"] == saved["best_sad"] and last["window"] == saved["window"]


def test_killed_and_resumed_is_the_same_run_bit_for_bit(launch, tmp_path):
    check_killed(launch, tmp_path, kills=3, iterations=60)


@pytest.mark.slow
def test_killed_often_and_resumed_is_the_same_run_bit_for_bit(launch, tmp_path):
    check_killed(launch, tmp_path, kills=25, iterations=400)


HALF_KILLED = """
import os, signal, sys, time
from deepmat.config import DataConfig
from deepmat.training.batches import training_batches

class Origin:
    foregrounds = backgrounds = ()

    def __len__(self):
        return 2

    def open(self, index, rng):
        if index:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(600)

if __name__ == "__main__":
    try:
        next(training_batches([Origin()], DataConfig(), batch_size=1, seed=0, start=0, stop=2, workers=2))
    except RuntimeError as error:
        sys.kept = error
"""


def test_a_worker_that_hangs_beside_one_that_is_killed_ends(tmp_path):
    (tmp_path / "script.py").write_text(HALF_KILLED)
    assert subprocess.run([sys.executable, tmp_path / "script.py"], timeout=100).returncode == 0
