"""One job of two processes, shared by the tests; tests of launchers, signals and kills are in test_many_processes."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import TinyModel
from two_processes import tiny

from deepmat.inference.evaluation import evaluate
from deepmat.training import start
from deepmat.training.run import BEST, states
from deepmat.training.train import train

SCRIPT = Path(__file__).parents[1] / "two_processes.py"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def job(data, weights, tmp_path_factory):
    """The job's folder, and what its processes found."""
    folder = tmp_path_factory.mktemp("job")
    shutil.copytree(data, folder / "bad")
    for path in (folder / "bad" / "train" / "fg").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [
        subprocess.Popen(
            [sys.executable, SCRIPT, folder, data, weights],
            env={**os.environ, **shared, "RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    try:
        errors = [process.communicate(timeout=120)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert not any(process.returncode for process in processes), errors
    return folder, [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_values_are_shared_gathered_and_summed(job):
    for found in job[1]:
        assert found["gathered"] == [[0, [0, 2, 4, 6]], [1, [1, 3, 5]]] and found["sums"] == [3.0, 1.0]


def test_two_processes_train_as_one(job, data, tmp_path, monkeypatch):
    folder = job[0] / "trained"
    monkeypatch.setattr(start, "build_model", lambda config: TinyModel(dropout=0))
    alone = list(train(config=tiny(tmp_path, data, "alone", "train.accumulate=4")))
    together = log_of(folder)
    assert together[0]["processes"] == 2 and together[0]["batch"] == 4
    kinds = ("start", "step", "checkpoint", "test", "end")
    assert [each["event"] for each in together] == [each["event"] for each in alone if each["event"] in kinds]
    for ours, theirs in zip(together, [each for each in alone if each["event"] in kinds], strict=True):
        if ours["event"] == "step":
            assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
        if ours["event"] == "test":
            assert (ours["sad"], ours["mse"]) == pytest.approx((theirs["sad"], theirs["mse"]), rel=1e-4)
    saved, whole = (torch.load(states(place)[0])["state_dict"] for place in (folder, tmp_path / "alone"))
    for key, value in whole.items():
        torch.testing.assert_close(saved[key], value, rtol=0, atol=1e-6)
    assert not list(folder.glob(".*")) and (folder / BEST).is_file()


def test_one_process_that_is_asked_to_stop_stops_both(job):
    first, second = (found["stopped"] for found in job[1])
    assert first == second == {"event": "stopped", "step": first["step"]} and 0 < first["step"] < 4
    assert torch.load(states(job[0] / "stopped")[0])["step"] == first["step"]


def test_processes_of_other_configs_do_not_begin(job):
    assert all("the processes do not begin alike" in found["other"] for found in job[1])
    assert not states(job[0] / "other")


def test_a_bad_picture_ends_both_after_saving(job):
    for found in job[1]:
        assert "The run is saved up to step 0; `--resume auto` continues it" in found["bad"]
    assert len(states(job[0] / "unusable")) == 1


def test_two_processes_score_as_one(job, data, weights, tmp_path):
    evaluate(
        weights, data=data, out=tmp_path / "scores", sheet=tmp_path / "sheet.png", settings=["test.mode=whole"]
    ).run()

    def read(folder):
        summary = json.loads((folder / "scores" / "scores.json").read_text())
        for record in summary["pictures"]:
            del record["seconds"]
        return summary

    alone = read(tmp_path)
    assert read(job[0]) == alone and len(alone["pictures"]) == 2
    assert (tmp_path / "sheet.png").read_bytes() == (job[0] / "sheet.png").read_bytes()
