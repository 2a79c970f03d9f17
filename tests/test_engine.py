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
from deepmat.errors import CheckpointError, ConfigError, DataError, DeviceError, TrainingError
from deepmat.paired import pictures_to_score
from deepmat.runs import BEST, LAST


@pytest.fixture
def tiny(data, tmp_path, monkeypatch):
    """tiny("train.iterations=5") -> the config of a run of the tiny network, in an empty folder."""
    monkeypatch.setattr(engine, "build_model", lambda config: TinyModel())
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    settings = [
        "data.augment.resize.size=[32, 64]",
        "data.augment.crop.sizes=[64]",
        "train.workers=0",
        "train.lr=0.01",
        "train.device=cpu",
    ]
    places = [f"data.cache={tmp_path / 'cache'}", f"data.root={folder}", f"train.runs={tmp_path / 'runs'}"]
    return lambda *overrides: configs.load(overrides=[*settings, *places, *overrides])


def final_weights(config):
    return load_file(config.run_folder / BEST), torch.load(config.run_folder / LAST)


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
        "event": "end", "step": 6, "best_sad": best["sad"], "path": str(config.run_folder / BEST),
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
        resume = broken.run_folder / LAST
    for record in engine.train(broken, resume=resume):
        if record["event"] == "step":
            seen[record["step"]] = record["loss"]
    assert [seen[step] for step in range(1, 8)] == losses
    (best, last), (other_best, other_last) = final_weights(straight), final_weights(broken)
    assert all(torch.equal(last["state_dict"][key], other_last["state_dict"][key]) for key in last["state_dict"])
    assert last["best_sad"] == other_last["best_sad"]
    assert all(torch.equal(best[key], other_best[key]) for key in best)


def test_the_best_is_the_best_and_not_the_latest(tiny, monkeypatch):
    """SAD is made to get worse after the second test."""
    config = tiny("train.iterations=4", "train.test_every=1")
    scores, weights = iter([3.0, 1.0, 2.0, 1.5]), []
    evaluate = engine.evaluate

    def scored(model, *arguments):
        weights.append({key: value.clone() for key, value in model.state_dict().items()})
        sad = next(scores)
        for record in evaluate(model, *arguments):
            yield {**record, "sad": sad}

    monkeypatch.setattr(engine, "evaluate", scored)
    records = list(engine.train(config))
    assert [record["best"] for record in of(records, "test")] == [True, True, False, False]
    best, last = final_weights(config)
    assert all(torch.equal(best[key], weights[1][key]) for key in best)
    assert not torch.equal(best["conv.weight"], last["state_dict"]["conv.weight"])
    assert records[-1]["best_sad"] == 1.0


def test_a_test_that_fails_loses_no_step_and_is_made_up_for(tiny):
    config = tiny("train.iterations=3", "train.test_every=3", "train.checkpoint_every=100")
    images = list((config.data.root / "test" / "image").iterdir())
    whole = [path.read_bytes() for path in images]
    for path in images:
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"none of the 2 test pictures can be used; .* saved up to step 3"):
        list(engine.train(config))
    last = config.run_folder / LAST
    assert torch.load(last)["step"] == 3
    for path, data in zip(images, whole, strict=True):
        path.write_bytes(data)
    records = list(engine.train(config, resume=last))
    assert [record["event"] for record in records] == ["start", "testing", "testing", "test", "end"]
    assert not of(engine.train(config, resume=last), "test")  # it is not due twice


def test_a_stop_is_heard_during_the_test(tiny):
    config = tiny("train.iterations=3", "train.test_every=3")
    asked = []

    def stop():
        return bool(asked)

    seen = []
    for record in engine.train(config, stop=stop):
        seen.append(record["event"])
        if record["event"] == "testing":
            asked.append(0)
    assert seen[-2:] == ["testing", "stopped"]
    resumed = [record["event"] for record in engine.train(config, resume=config.run_folder / LAST)]
    assert resumed == ["start", "testing", "testing", "test", "end"]


def test_weights_that_are_not_finite_are_never_kept(tiny, monkeypatch):
    config = tiny("train.iterations=2", "train.test_every=1")
    optimise = engine.optimise

    def diverging(model, *arguments):
        losses = optimise(model, *arguments)
        if (config.run_folder / BEST).is_file():
            torch.nn.init.constant_(model.conv.weight, math.inf)
        return losses

    monkeypatch.setattr(engine, "optimise", diverging)
    with pytest.raises(TrainingError, match="no longer finite"):
        list(engine.train(config))
    best, last = final_weights(config)
    assert last["step"] == 1 and all(torch.isfinite(value).all() for value in best.values())


def test_a_new_run_begins_clean(tiny):
    config = tiny("train.iterations=1")
    list(engine.train(config))
    next(engine.train(config))
    assert not (config.run_folder / BEST).exists() and not (config.run_folder / LAST).exists()


def test_resuming_tells_what_changed_and_refuses_other_samples(tiny):
    config = tiny("train.iterations=2")
    list(engine.train(config))
    last = config.run_folder / LAST
    start = next(engine.train(tiny("train.iterations=4", "train.lr=0.5"), resume=last))
    assert f"goes on from step 2 of {last}" in start["notices"]
    assert "changed since: train.lr 0.01 -> 0.5" in start["notices"]
    assert "nothing to do: 2 of 2 steps are done" in next(engine.train(config, resume=last))["notices"]
    with pytest.raises(ConfigError, match="its run had batch size 1, this one has 2"):
        next(engine.train(tiny("train.batch_size=2"), resume=last))
    with pytest.raises(ConfigError, match="its run had seed 0, this one has 9"):
        next(engine.train(tiny("train.seed=9"), resume=last))


def test_the_seed_fixes_weights_and_samples(tiny):
    def losses(*overrides):
        return [record["loss"] for record in of(engine.train(tiny("train.iterations=2", *overrides)), "step")]

    assert losses() == losses() != losses("train.seed=1")
    fresh = []
    for seed in (0, 0, 1):
        config = tiny("train.iterations=1", "train.lr=1e-12", f"train.seed={seed}")
        list(engine.train(config))
        fresh.append(final_weights(config)[0]["conv.weight"])
    assert torch.allclose(fresh[0], fresh[1]) and not torch.allclose(fresh[0], fresh[2])


def test_tests_run_in_evaluation_mode_and_training_goes_on_in_its_own(tiny, monkeypatch):
    modes = []
    predict, optimise = engine.inference.predict, engine.optimise
    monkeypatch.setattr(
        engine.inference, "predict", lambda m, *a, **o: modes.append(("test", m.training)) or predict(m, *a, **o)
    )
    monkeypatch.setattr(engine, "optimise", lambda m, *a: modes.append(("step", m.training)) or optimise(m, *a))
    list(engine.train(tiny("train.iterations=2", "train.test_every=1")))
    assert set(modes) == {("test", False), ("step", True)}


def test_frozen_parts_do_not_move(tiny):
    config = tiny("train.iterations=2", "train.freeze=[encoder]", "train.test_every=1", "train.checkpoint_every=1")
    seen = []
    for record in engine.train(config):
        if record["event"] == "checkpoint":
            seen.append(torch.load(config.run_folder / LAST)["state_dict"])
    assert torch.equal(seen[0]["conv.weight"], seen[1]["conv.weight"])
    assert not torch.equal(seen[0]["head.weight"], seen[1]["head.weight"])


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
    last = torch.load(config.run_folder / LAST)
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
    assert torch.load(config.run_folder / LAST)["step"] == 2


def test_a_bad_training_picture_saves_the_run_first(tiny):
    config = tiny("train.epochs=1")
    bad = next((config.data.root / "train" / "fg").iterdir())
    bad.write_bytes(bad.read_bytes()[:100])
    with pytest.raises(DataError, match=rf"{bad.name}: .*The run is saved up to step \d; `--resume auto`"):
        list(engine.train(config))
    assert (config.run_folder / LAST).is_file()


def test_what_does_not_fit_is_told_before_the_first_step(tiny, tmp_path):
    with pytest.raises(DeviceError, match="device 'cuda:7' is not available here .*cpu"):
        next(engine.train(tiny("train.device=cuda:7")))
    with pytest.raises(CheckpointError, match="`deepmat convert-vgg` makes them"):
        next(engine.train(tiny("train.pretrain=weights/vgg16.safetensors")))
    with pytest.raises(CheckpointError, match="`deepmat train --stage 1` makes them"):
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
    record = next(engine.evaluate(TinyModel(), pictures_to_score(config.test, config.data.root)[0]))
    assert record["sad"] == 0 and "nothing is unknown, so the trimap itself is the alpha" in record["notices"][0]


def test_evaluate_scores_what_it_can_and_names_the_rest(tiny):
    config = tiny()
    root = config.data.root
    alphas = sorted((root / "test" / "alpha").iterdir())
    alphas[0].unlink()
    trimap = sorted((root / "test" / "trimap").iterdir())[1]
    imaging.write_image(trimap, np.minimum(imaging.read_grey(trimap), 254))
    failed, scored = engine.evaluate(TinyModel(), pictures_to_score(config.test, root)[0])
    assert "no alpha of that name" in failed["error"]
    assert "taken as the nearest" in scored["notices"][0]
    error = (scored["prediction"].astype(float) - scored["alpha"])[scored["trimap"] == 128] / 255
    assert scored["sad"] == pytest.approx(np.abs(error).sum() / 1000)
    assert scored["mse"] == pytest.approx((error**2).mean())
    assert (scored["prediction"][scored["trimap"] == 0] == 0).all()
