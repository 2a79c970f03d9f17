import io
import json
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from deepmat import imaging
from deepmat.cli.options import progress_bar
from deepmat.errors import ConfigError
from deepmat.imaging import trimap
from deepmat.report import TrainingDisplay
from deepmat.synth.dataset import synthesise
from deepmat.training.board import require_tensorboard
from deepmat.training.log import logged

START = {
    "event": "start", "step": 0, "device": "cpu", "precision": "bf16", "processes": 2, "batch": 8, "steps": 200,
    "steps_per_epoch": 50, "parameters": 5_000_000, "pictures": 400, "tests": 4, "notices": ["a [bold]notice"],
}  # fmt: skip


def step(number, **changed):
    loss = {"alpha": 0.25, "total": 1e30}
    record = {"event": "step", "step": number, "epoch": 1, "lr": 1e-5, "loss": loss, "grad_norm": 2.0, "skipped": 0}
    return {**record, "samples_per_s": 3.5, "waiting": 0.02, **changed}


def scored(number, sad, best=False, **changed):
    record = {"event": "test", "step": number, "sad": sad, "mse": sad / 1000, "best": best, "pictures": 3, "failed": []}
    return {**record, **changed}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """(image, alpha) of four large pictures of different shapes: foregrounds over noisy grounds."""
    folder = tmp_path_factory.mktemp("large")
    list(synthesise(folder, train=4, test=1, backgrounds=1, size=500, seed=1, per_foreground=(1, 1)))
    made, grain = [], np.random.default_rng(0).normal(128, 12, (500, 500, 3))
    for path, size in zip(sorted(folder.glob("Training_set/*/fg/*")), [500, 350, 200, 90], strict=True):
        alpha = imaging.read_grey(path.parents[1] / "alpha" / path.name)[:size]
        ground = grain[: alpha.shape[0], : alpha.shape[1]]
        image = ground + (imaging.read_image(path)[:size] - ground) * (alpha[..., None] / 255)
        made.append((image.clip(0, 255).astype(np.uint8), alpha))
    return made


def samples(number, pictures):
    for name, (image, alpha) in zip("abcd", pictures, strict=True):
        record = {"event": "sample", "step": number, "name": name, "image": image, "alpha": alpha}
        yield {**record, "trimap": trimap.by_distance(alpha, 9, 9), "prediction": 255 - alpha}


@contextmanager
def displayed(terminal=False):
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=200, height=40, color_system=None)
    with TrainingDisplay(console, progress_bar(console), "own") as display:
        yield display, file


def shown(folder, records, **options):
    """What a pipe gets of records that are written into a run's folder."""
    with displayed() as (display, file):
        for record in logged((each for each in records), folder, **options):
            display.show(record)
    return file.getvalue()


def test_a_pipe_gets_lines_and_the_log_every_record_but_pictures_and_progress(tmp_path, pictures, read_log):
    records = [
        START,
        {"event": "caching", "step": 0, "done": 1, "of": 2},
        {"event": "began", "step": 0, "sad": 50.0, "mse": 0.05, "path": "w.safetensors"},
        step(10),
        step(20, grad_norm=None, skipped=3, waiting=0.37),
        {"event": "warning", "step": 20, "text": "step 20: the loss is not finite; [/x] skipped"},
        {"event": "checkpoint", "step": 20, "path": "last.pt"},
        {"event": "testing", "step": 20, "done": 1, "of": 1},
        *samples(20, pictures),
        scored(20, 40.0, best=True, failed=["x.png: broken"]),
        {"event": "end", "step": 20, "best_sad": 40.0, "path": "best"},
    ]
    assert shown(tmp_path, records).splitlines() == [
        "own on cpu, 2 processes, bf16, batch 8: 200 steps of 50 an epoch, 400 samples, 4 test pictures, "
        "5.0 M trained parameters",
        "a [bold]notice",
        "own begins with w.safetensors  SAD 50.000  MSE 0.05000",
        "own step 10/200 epoch 1  alpha 0.2500  total 1e+30  lr 1e-05  grad 2.0000  3.50 samples/s",
        "own step 20/200 epoch 1  alpha 0.2500  total 1e+30  lr 1e-05  grad nan  3.50 samples/s  waits for data 37%"
        "  3 skipped",
        "step 20: the loss is not finite; [/x] skipped",
        "own test at step 20  SAD 40.000  MSE 0.04000  over 3 of 4 pictures  best",
        "not scored: x.png: broken",
    ]
    kept = [record for record in records if record["event"] not in ("caching", "testing", "sample")]
    assert read_log(tmp_path) == json.loads(json.dumps(kept))
    (grid,) = (tmp_path / "samples").iterdir()
    assert grid.name == "step-0000020.jpg" and 20_000 < grid.stat().st_size < 200_000
    pixels = imaging.read_image(grid)
    assert pixels.shape[0] < 4 * 350 + 30 and pixels.shape[1] < 4 * 330
    # The first row's columns are that picture's: a prediction that is the alpha inverted.
    alpha, prediction = (pixels[200:210, x + 150 : x + 160].astype(float) for x in (2 * 326, 3 * 326))
    assert np.abs(alpha + prediction - 255).mean() < 12


def test_a_terminal_shows_what_it_began_with_the_last_tests_and_the_best(tmp_path):
    with displayed(terminal=True) as (display, file):
        display.show(START)
        display.show({"event": "began", "step": 0, "sad": 50.0, "mse": 0.05, "path": "w"})
        for number in range(1, 30):
            display.show(scored(number, 60.0 - (number == 25), best=number == 25))
        display.show(step(30, waiting=0.5))
        display.console.height = 20
        live = Console(file=io.StringIO(), width=100, height=20)
        live.print(display._render())
        lines = live.file.getvalue().splitlines()
        assert len(lines) <= 20 and "waits for data 50%" in live.file.getvalue()
    final = file.getvalue().rpartition("own: last tests")[2].splitlines()
    cells = [line.split("│")[1:-1] for line in final if line.startswith("│")]
    assert [row[0].strip() for row in cells] == ["began", *map(str, range(20, 30))]
    assert [row[0].strip() for row in cells if "best" in row[3]] == ["25"]


def test_a_grid_that_cannot_be_written_does_not_end_training(tmp_path, pictures):
    (tmp_path / "samples").write_text("in the way")
    text = shown(tmp_path, [START, *samples(5, pictures), scored(5, 9.0), step(6)])
    assert "samples/step-0000005.jpg: cannot be written" in text and "step 6/200" in text


@pytest.mark.parametrize(("begins", "left"), [(0, []), (10, ["step-0000010.jpg"])])
def test_grids_of_tests_that_are_done_again_go(tmp_path, begins, left):
    (tmp_path / "samples").mkdir()
    for name in ("step-0000010.jpg", "step-0000020.jpg"):
        (tmp_path / "samples" / name).touch()
    shown(tmp_path, [{**START, "step": begins}])
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == left


def test_tensorboard_reads_what_is_written_and_steps_taken_again_once(tmp_path, pictures):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    began = {"event": "began", "step": 0, "sad": 50.0, "mse": 0.05, "path": "w"}
    killed = [START, began, step(10), *samples(10, pictures), scored(10, 40.0), step(20, samples_per_s=1.0)]
    resumed = [{**START, "step": 10}, step(20, grad_norm=None), step(30, loss={"total": float("nan")})]
    for records in (killed, resumed):
        shown(tmp_path, records, tensorboard=True)

    def read():
        events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
        events.Reload()
        tags = events.Tags()
        return events, {
            tag: [(each.step, round(each.value, 6)) for each in events.Scalars(tag)] for tag in tags["scalars"]
        }

    events, scalars = read()
    assert np.isnan(scalars.pop("loss/total")[-1][1])
    assert scalars == {
        "test/sad": [(0, 50.0), (10, 40.0)],
        "test/mse": [(0, 0.05), (10, 0.04)],
        "loss/alpha": [(10, 0.25), (20, 0.25)],
        "lr": [(10, 1e-5), (20, 1e-5), (30, 1e-5)],
        "grad_norm": [(10, 2.0), (30, 2.0)],
        "samples_per_s": [(10, 3.5), (20, 3.5), (30, 3.5)],
    }
    (picture,) = events.Images("samples")
    assert picture.step == 10 and (picture.width, picture.height) == (4 * 326, 26 + 4 * 346)
    shown(tmp_path, [START, step(10)], tensorboard=True)  # begun again
    _, scalars = read()
    assert scalars["loss/alpha"] == [(10, 0.25)] and scalars["test/sad"] == []


def test_a_board_that_cannot_be_written_does_not_end_training(tmp_path):
    pytest.importorskip("tensorboard")
    (tmp_path / "tensorboard").write_text("in the way")
    text = shown(tmp_path, [START, step(10)], tensorboard=True)
    assert "continues without TensorBoard" in text and "step 10/200" in text


def test_tensorboard_that_is_not_installed_is_told_before_training(deepmat, monkeypatch, catch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    caught = catch("training.train", "prepare")
    refused = deepmat("train", "--stage", 1, "--data", "x", "--tensorboard")
    assert refused.exit_code == 1 and "pip install 'deepmat[tensorboard]'" in refused.stderr and not caught
    with pytest.raises(ConfigError):
        require_tensorboard()


def test_train_writes_for_tensorboard_where_asked(deepmat, monkeypatch):
    pytest.importorskip("tensorboard")
    end = {"event": "end", "step": 10, "best_sad": 1.0, "path": "best"}
    monkeypatch.setattr("deepmat.training.train.run_plan", lambda *_, **__: (each for each in [START, step(10), end]))
    for name, more in (("with", ["--tensorboard"]), ("without", [])):
        assert deepmat("train", "--stage", 1, "--set", "data.synth=4", "--name", name, *more).exit_code == 0
    assert [path.parent.parent.name for path in Path("runs").rglob("events.*")] == ["with"]
