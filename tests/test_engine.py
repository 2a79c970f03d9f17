import errno
import math
import os
import shutil

import numpy as np
import pytest
import torch
from conftest import TinyModel
from safetensors.torch import load_file

from deepmat import config as configs
from deepmat import engine, imaging
from deepmat.dataset import pictures_to_score
from deepmat.errors import CheckpointError, DataError, DeviceError, TrainingError


@pytest.fixture
def tiny(data, tmp_path, monkeypatch):
    """tiny("train.iterations=5") -> the config of a run of the tiny network, in an empty folder."""
    monkeypatch.setattr(engine, "build_model", lambda config: TinyModel())
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    settings = [
        "data.input_size=[32, 64]",
        "data.crop_sizes=[64]",
        "train.workers=0",
        "train.lr=0.01",
        "train.device=cpu",
    ]
    places = [f"data.root={folder}", f"train.runs={tmp_path / 'runs'}"]
    return lambda *overrides: configs.load(overrides=[*settings, *places, *overrides])


def final_weights(config):
    return load_file(config.run_folder / engine.BEST), torch.load(config.run_folder / engine.LAST)


def of(records, event):
    return [record for record in records if record["event"] == event]


def test_a_run_tests_saves_and_keeps_the_best(tiny):
    config = tiny("train.epochs=3", "train.batch_size=3", "train.print_every=1", "train.lr_step=2")
    records = list(engine.train(config))
    assert [record["step"] for record in of(records, "step")] == [1, 2, 3, 4, 5, 6]
    assert [record["lr"] for record in of(records, "step")] == pytest.approx([0.01] * 4 + [0.001] * 2)
    for record in of(records, "step"):
        loss = record["loss"]
        assert loss["total"] == pytest.approx(0.5 * loss["alpha"] + 0.5 * loss["composition"])
    tests = of(records, "test")
    assert [record["step"] for record in tests] == [2, 4, 6]
    best = min(tests, key=lambda record: record["sad"])
    assert best["best"] and records[-1] == {
        "event": "end", "step": 6, "best_sad": best["sad"], "path": str(config.run_folder / engine.BEST),
    }  # fmt: skip
    _, last = final_weights(config)
    assert last["step"] == 6 and last["best_sad"] == best["sad"]
    assert configs.load(config.run_folder / "config.yaml") == config


def test_stopped_or_killed_and_resumed_is_the_same_run_bit_for_bit(tiny):
    straight = tiny("train.iterations=7", "train.print_every=1", "train.name=straight")
    losses = [record["loss"] for record in of(engine.train(straight), "step")]

    broken = tiny("train.iterations=7", "train.print_every=1", "train.name=broken", "train.checkpoint_every=1")
    seen = {}
    resume = None
    for stop_after in (2, 3, 99):
        stopping = iter([False] * stop_after + [True])
        for record in engine.train(broken, resume=resume, stop=lambda s=stopping: next(s, True)):
            if record["event"] == "step":
                seen[record["step"]] = record["loss"]
            if record["event"] == "step" and record["step"] == 5:
                break  # as a kill between two checkpoints: step 5 was taken but not saved
        resume = broken.run_folder / engine.LAST
    for record in engine.train(broken, resume=resume):
        if record["event"] == "step":
            seen[record["step"]] = record["loss"]
    assert [seen[step] for step in range(1, 8)] == losses
    (best, last), (other_best, other_last) = final_weights(straight), final_weights(broken)
    assert all(torch.equal(last["state_dict"][key], other_last["state_dict"][key]) for key in last["state_dict"])
    assert last["best_sad"] == other_last["best_sad"]
    assert all(torch.equal(best[key], other_best[key]) for key in best)


def test_training_learns(tiny):
    config = tiny("train.iterations=120", "train.print_every=20", "train.batch_size=4", "train.test_every=200")
    totals = [record["loss"]["total"] for record in of(engine.train(config), "step")]
    assert totals[-1] < 0.9 * totals[0]


def test_nan_stops_the_run_and_the_last_good_state_stays(tiny, monkeypatch):
    config = tiny("train.iterations=9", "train.checkpoint_every=2", "train.test_every=100")
    weighted_sum, calls = engine.weighted_sum, []

    def poisoned(*arguments):
        calls.append(0)
        total, terms = weighted_sum(*arguments)
        return (total * math.nan if len(calls) == 4 else total), terms

    monkeypatch.setattr(engine, "weighted_sum", poisoned)
    with pytest.raises(TrainingError, match=r"step 4: the loss became nan on \w+; .*last.pt keeps the last good state"):
        list(engine.train(config))
    last = torch.load(config.run_folder / engine.LAST)
    assert last["step"] == 2 and all(torch.isfinite(value).all() for value in last["state_dict"].values())


def test_a_full_disk_leaves_the_last_good_state_whole(tiny, monkeypatch):
    config = tiny("train.iterations=9", "train.checkpoint_every=2", "train.test_every=100")
    records = engine.train(config)
    for record in records:
        if record["event"] == "checkpoint":
            break

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"last.pt: cannot be written \(No space left on device\)"):
        list(records)
    assert torch.load(config.run_folder / engine.LAST)["step"] == 2


def test_a_bad_training_picture_saves_the_run_first(tiny):
    config = tiny("train.epochs=1")
    bad = next((config.data.root / "train" / "fg").iterdir())
    bad.write_bytes(bad.read_bytes()[:100])
    with pytest.raises(DataError, match=rf"{bad.name}: .*The run is saved up to step \d; `--resume auto`"):
        list(engine.train(config))
    assert (config.run_folder / engine.LAST).is_file()


def test_what_does_not_fit_is_told_before_the_first_step(tiny, tmp_path):
    with pytest.raises(DeviceError, match="device 'cuda:7' is not available here .*cpu"):
        next(engine.train(tiny("train.device=cuda:7")))
    with pytest.raises(CheckpointError, match="`deepmat convert-vgg` makes them"):
        next(engine.train(tiny("train.pretrain=weights/vgg16.safetensors")))
    with pytest.raises(CheckpointError, match="`deepmat train --stage N` makes them"):
        next(engine.train(tiny("train.pretrain='{runs}/stage1/best.safetensors'")))
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="other.pt: not the state of such a run"):
        next(engine.train(tiny(), resume=tmp_path / "other.pt"))


def test_without_test_pictures_the_latest_is_the_best(tiny):
    config = tiny("train.iterations=2")
    shutil.rmtree(config.data.root / "test")
    records = list(engine.train(config))
    assert "best is the latest" in records[0]["notices"][0] and not of(records, "test")
    best, last = final_weights(config)
    assert all(torch.equal(best[key], last["state_dict"][key]) for key in best)


def test_a_trimap_without_unknown_pixels_is_no_silent_zero(tiny):
    config = tiny()
    for path in (config.data.root / "test" / "trimap").iterdir():
        imaging.write_image(path, np.zeros_like(imaging.read_grey(path)))
    record = next(engine.evaluate(TinyModel(), pictures_to_score(config.test, config.data.root)))
    assert record["sad"] == 0 and "nothing is unknown, so the trimap itself is the alpha" in record["notices"][0]


def test_evaluate_scores_what_it_can_and_names_the_rest(tiny):
    config = tiny()
    root = config.data.root
    alphas = sorted((root / "test" / "alpha").iterdir())
    alphas[0].unlink()
    trimap = sorted((root / "test" / "trimap").iterdir())[1]
    imaging.write_image(trimap, np.minimum(imaging.read_grey(trimap), 254))
    failed, scored = engine.evaluate(TinyModel(), pictures_to_score(config.test, root))
    assert "no alpha of that name" in failed["error"]
    assert "taken as the nearest" in scored["notices"][0]
    error = (scored["prediction"].astype(float) - scored["alpha"])[scored["trimap"] == 128] / 255
    assert scored["sad"] == pytest.approx(np.abs(error).sum() / 1000)
    assert scored["mse"] == pytest.approx((error**2).mean())
    assert (scored["prediction"][scored["trimap"] == 0] == 0).all()
