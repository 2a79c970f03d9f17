import json
import sys
from pathlib import Path

import numpy as np
import pytest

from deepmat import imaging
from deepmat.report.runs import list_runs


def start(step=0, steps=100, **more):
    record = {"event": "start", "step": step, "device": "cpu", "steps": steps, "steps_per_epoch": 10}
    return {**record, "parameters": 7, "pictures": 10, "tests": 2, "notices": [], **more}


def step(number, loss=0.5, speed=4.0, **more):
    """As logs were before they told of gradients, skipped steps and waiting."""
    record = {"event": "step", "step": number, "epoch": 1, "lr": 1e-5, "loss": {"total": loss}, "samples_per_s": speed}
    return {**record, **more}


def scored(number, sad):
    return {
        "event": "test",
        "step": number,
        "sad": sad,
        "mse": sad and sad / 1000,
        "best": False,
        "pictures": 2,
        "failed": [],
    }


def began(sad):
    return {"event": "began", "step": 0, "sad": sad, "mse": 0.1, "path": "w"}


def end(number):
    return {"event": "end", "step": number, "best_sad": None, "path": "b"}


def write(folder, *records, tail=""):
    Path(folder).mkdir(parents=True, exist_ok=True)
    Path(folder, "log.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records) + tail)


def told(deepmat, *arguments):
    result = deepmat("runs", "--json", *arguments)
    return {each["run"]: each for each in map(json.loads, result.stdout.splitlines())}


def test_a_run_in_a_line(deepmat):
    new = {"precision": "bf16", "processes": 2, "batch": 8}
    last = step(30, loss=0.2, speed=8.0, skipped=2)
    warning = {"event": "warning", "step": 30, "text": "ended worse than it began"}
    tests = [scored(10, 40.0), scored(20, 30.0), scored(30, 35.0)]
    write("runs/new", start(steps=30, **new), began(50.0), step(10), step(20), last, *tests, end(30), warning)
    write("runs/old", start(), step(10, loss=None), {"event": "stopped", "step": 12})
    write("runs/none", start())
    runs = told(deepmat)
    assert list(runs) == ["new", "none", "old"]
    assert runs["new"].pop("age") < 60
    assert runs["new"] == {
        "run": "new", "folder": "runs/new", "state": "finished", "step": 30, "steps": 30, "device": "cpu", **new,
        "parameters": 7, "pictures": 10, "began_sad": 50.0, "best_sad": 30.0, "best_step": 20, "best_mse": 0.03,
        "loss": 0.2, "samples_per_s": 4.0, "skipped": 2,
    }  # fmt: skip
    assert runs["old"]["state"] == "stopped" and runs["old"]["step"] == 12 and runs["old"]["loss"] is None
    assert runs["old"]["skipped"] is runs["old"]["batch"] is runs["old"]["best_sad"] is None
    assert runs["none"]["state"] == "unfinished" and runs["none"]["step"] == 0
    table = deepmat("runs").stdout.splitlines()
    assert [line.split() for line in table[-3:]] == [
        ["new", "finished", "30/30", "30.000", "20", "0.03000", "50.000", "0.2000", "4.00", "2"],
        ["none", "unfinished,", *table[-2].split()[2:5], "0/100"],
        ["old", "stopped", "12/100", "nan", "4.00"],
    ]
    assert "began" not in deepmat("runs", "runs/old").stdout


def test_steps_that_were_taken_again_count_once(deepmat):
    lost = [step(10), scored(10, 40.0), step(20, speed=1.0, skipped=9), scored(20, 10.0), step(30, speed=1.0)]
    again = [start(10), step(20, loss=0.4, skipped=1), scored(20, 20.0)]
    write("killed", start(), began(90.0), *lost, *again)
    write("stopped", start(), *lost, {"event": "stopped", "step": 30}, start(30), scored(30, 5.0))
    write("begun again", start(), began(90.0), *lost, end(30), start(), step(10, loss=0.3))
    runs = told(deepmat, "killed", "stopped", "begun again")
    killed, stopped, anew = runs.values()
    assert (killed["best_sad"], killed["best_step"], killed["step"], killed["state"]) == (20.0, 20, 20, "unfinished")
    assert (killed["loss"], killed["samples_per_s"], killed["skipped"], killed["began_sad"]) == (0.4, 4.0, 1, 90.0)
    assert (stopped["best_sad"], stopped["samples_per_s"], stopped["state"]) == (5.0, 1.0, "unfinished")
    assert (anew["best_sad"], anew["began_sad"], anew["loss"], anew["step"]) == (None, None, 0.3, 10)


def test_a_line_cut_short_by_a_kill_is_passed_over(deepmat):
    write("last", start(), step(10), tail='{"event": "st')
    write("before", start(), step(10), tail='{"event": "st\n' + json.dumps(start(10)) + "\n")
    runs = told(deepmat, "last", "before")
    assert [run["step"] for run in runs.values()] == [10, 10]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "bad/log.jsonl: has no start of a training run"),
        ('{"name": "photo", "seconds": 1}\n', "bad/log.jsonl: has no start"),
        (f"{json.dumps(start())}\njunk\n{json.dumps(step(10))}\n", "bad/log.jsonl: line 2 is no record"),
        (f'{json.dumps(start())}\n{{"event": "step", "step": 5}}\n', "bad/log.jsonl: line 2 is no record"),
        ('{"event": "start", "step": 1e999}\n', "bad/log.jsonl: line 1 is no record"),
    ],
)
def test_a_broken_log_is_named_and_the_rest_goes_on(deepmat, content, message):
    write("runs/good", start(), step(10))
    Path("bad").mkdir()
    Path("bad/log.jsonl").write_text(content)
    result = deepmat("runs", "bad", "nowhere", "runs", "--json")
    assert result.exit_code == 1 and json.loads(result.stdout)["run"] == "good"
    assert "1 run;" in result.stderr and "2 failed:" in result.stderr
    assert message in result.stderr and "nowhere: no such folder" in result.stderr


def test_no_run_is_said(deepmat):
    Path("empty").mkdir()
    result = deepmat("runs", "empty", "-o", "curves.png")
    assert result.exit_code == 1 and "empty: no run in it; expected log.jsonl" in result.stderr
    assert not Path("curves.png").exists()


def test_runs_of_one_name_are_told_apart_and_each_counts_once(deepmat):
    for folder in ("a/stage10", "a/stage2", "b/stage2"):
        write(folder, start(), step(10))
    assert list(told(deepmat, "a", "b", "a/stage10", "b/../a")) == ["a/stage2", "stage10", "b/stage2"]


def test_curves_of_every_kind_are_drawn(deepmat):
    """NaN, one point, no tests, spikes, names that Matplotlib would take as markup; samples where batches differ."""
    many = range(10, 2000, 10)
    write("runs/_nan", start(batch=8), *(step(at, loss=None) for at in many), scored(10, None))
    write("runs/$x_$", start(batch=4), began(30.0), *(step(at, loss=1e6 * (at == 50) + 0.1) for at in many))
    write("runs/画", start(batch=8), step(10, loss=0.0), scored(10, 20.0))
    write("runs/no steps", start(batch=8))
    result = deepmat("runs", "-o", "all.png")
    assert result.exit_code == 0 and "4 runs; see all.png" in result.stderr
    for number in range(12):
        write(f"many/{number}", start(), *(step(at) for at in many), *(scored(at, 100.0 + number) for at in (50, 90)))
    assert deepmat("runs", "many", "-o", "many.png").exit_code == 0
    drawn = {name: imaging.read_image(Path(name)) for name in ("all.png", "many.png")}
    assert all(pixels.shape[1] == 1650 and np.mean(pixels < 200) > 0.003 for pixels in drawn.values())
    assert drawn["many.png"].shape[0] > drawn["all.png"].shape[0]  # room for the names
    saturated = np.ptp(drawn["many.png"][:, 825:].astype(int), axis=2) > 100
    assert saturated.any()


def test_curves_need_a_picture_name_and_matplotlib(deepmat, monkeypatch):
    write("runs/a", start())
    refused = deepmat("runs", "-o", "runs/a/log.jsonl")
    assert refused.exit_code == 1 and "are drawn as .png" in refused.stderr
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    refused = deepmat("runs", "-o", "c.png")
    assert refused.exit_code == 1 and "pip install 'deepmat[plots]'" in refused.stderr
    assert deepmat("runs").exit_code == 0


def test_the_function_does_what_the_command_does(deepmat):
    write("runs/a", start(batch=8), step(10), scored(10, 40.0), end(10))
    write("bad", tail="junk")
    shown = deepmat("runs", "runs", "bad", "--json", "-o", "command.png")
    listed = list_runs(["runs", "bad"], "function.png")
    (printed,) = map(json.loads, shown.stdout.splitlines())
    (summary,) = listed.summaries
    assert abs(printed.pop("age") - summary.pop("age")) < 60 and printed == summary
    assert list(listed.failures) == ["bad"] and listed.failures["bad"] in " ".join(shown.stderr.split())
    assert Path("command.png").read_bytes() == Path("function.png").read_bytes()
    assert [run["run"] for run in list_runs("runs").summaries] == ["a"]
