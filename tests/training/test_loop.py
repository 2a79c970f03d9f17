import errno
import itertools
import math
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TinyModel
from safetensors.torch import load_file

from deepmat import config as configs
from deepmat import imaging
from deepmat.config import DIMConfig
from deepmat.data.pairs import pictures_to_score
from deepmat.errors import CheckpointError, ConfigError, DataError, DeviceError, TrainingError
from deepmat.models import build_model
from deepmat.models.checkpoint import load_weights, save_weights
from deepmat.scoring.pictures import ScoredPicture
from deepmat.training import loop, start
from deepmat.training import step as stepping
from deepmat.training import validation as testing
from deepmat.training.loop import run_plan
from deepmat.training.plan import prepare, refuse_loss
from deepmat.training.run import BEST, states

NARROW = DIMConfig(width=1 / 16)


@pytest.fixture
def tiny(data, tmp_path, monkeypatch):
    """tiny("train.iterations=5") -> the config of a run of the tiny network, in an empty folder."""
    monkeypatch.setattr(start, "build_model", lambda config: TinyModel())
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more would only wait for each other
    settings = [
        "data.augment.resize.size=[32, 64]",
        "data.augment.crop.sizes=[64]",
        "train.workers=0",
        "train.lr=0.01",
        "train.device=cpu",
    ]
    places = [f"data.cache={tmp_path / 'cache'}", f"data.root={folder}", f"train.runs={tmp_path / 'runs'}"]
    yield lambda *overrides: configs.load(overrides=[*settings, *places, *overrides])
    torch.set_num_threads(threads)


def run(config, **options):
    return run_plan(prepare(config), **options)


def final_weights(config):
    return load_file(config.run_folder / BEST), torch.load(newest(config))


def newest(config):
    return states(config.run_folder)[0]


def events(records):
    return [record["event"] for record in records if record["event"] not in ("sample", "checkpoint")]


def of(records, event):
    return [record for record in records if record["event"] == event]


def test_a_run_tests_saves_and_keeps_the_best(tiny):
    config = tiny(
        "train.epochs=3", "train.batch_size=3", "train.print_every=1", "train.schedule={name: step, every: 2}"
    )
    records = list(run(config))
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
    losses = [record["loss"] for record in of(run(straight), "step")]

    broken = tiny("train.iterations=7", "train.print_every=1", "train.name=broken", "train.checkpoint_every=1")
    seen = {}
    resume = None
    for stop_after in (2, 3, 99):
        stopping = iter([False] * stop_after + [True])
        for record in run(broken, resume=resume, stop=lambda s=stopping: next(s, True)):
            if record["event"] == "step":
                seen[record["step"]] = record["loss"]
            if record["event"] == "step" and record["step"] == 5:
                break  # as a kill between two checkpoints: step 5 was taken but not saved
        resume = newest(broken)
    for record in run(broken, resume=resume):
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
    score = testing.score

    def scored(model, *arguments):
        weights.append({key: value.clone() for key, value in model.state_dict().items()})
        sad = next(scores)
        for picture in score(model, *arguments):
            yield picture._replace(records=[{**picture.records[0], "sad": sad}])

    monkeypatch.setattr(testing, "score", scored)
    records = list(run(config))
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
        list(run(config))
    last = newest(config)
    assert torch.load(last)["step"] == 3
    for path, data in zip(images, whole, strict=True):
        path.write_bytes(data)
    records = list(run(config, resume=last))
    assert events(records) == ["start", "testing", "testing", "test", "end"]
    assert not of(run(config, resume=last), "test")  # it is not due twice


def test_a_stop_is_heard_during_the_test(tiny):
    config = tiny("train.iterations=3", "train.test_every=3")
    asked = []

    def stop():
        return bool(asked)

    seen = []
    for record in run(config, stop=stop):
        seen.append(record["event"])
        if record["event"] == "testing":
            asked.append(0)
    assert seen[-2:] == ["testing", "stopped"]
    resumed = run(config, resume="auto")
    assert events(resumed) == ["start", "testing", "testing", "test", "end"]


def test_weights_that_are_not_finite_are_never_kept(tiny, monkeypatch):
    config = tiny("train.iterations=2", "train.test_every=1")
    optimise = loop.optimise

    def diverging(model, *arguments, **options):
        losses = optimise(model, *arguments, **options)
        if (config.run_folder / BEST).is_file():
            torch.nn.init.constant_(model.conv.weight, math.inf)
        return losses

    monkeypatch.setattr(loop, "optimise", diverging)
    with pytest.raises(TrainingError, match="no longer finite"):
        list(run(config))
    best, last = final_weights(config)
    assert last["step"] == 1 and all(torch.isfinite(value).all() for value in best.values())


def test_a_new_run_begins_clean(tiny):
    config = tiny("train.iterations=1")
    list(run(config))
    next(run(config))
    assert not (config.run_folder / BEST).exists() and not states(config.run_folder)


def test_resuming_tells_what_changed_and_refuses_other_samples(tiny):
    config = tiny("train.iterations=2")
    list(run(config))
    last = newest(config)
    start = next(run(tiny("train.iterations=4", "train.lr=0.5"), resume=last))
    assert f"continues from step 2 of {last}" in start["notices"]
    assert "changed since: train.lr 0.01 -> 0.5" in start["notices"]
    assert "nothing to do: 2 of 2 steps are done" in next(run(config, resume=last))["notices"]
    with pytest.raises(ConfigError, match="its run had samples a step: 1, this one has 2"):
        next(run(tiny("train.batch_size=2"), resume=last))
    with pytest.raises(ConfigError, match="its run had seed 0, this one has 9"):
        next(run(tiny("train.seed=9"), resume=last))


def test_the_seed_fixes_weights_and_samples(tiny):
    def losses(*overrides):
        return [record["loss"] for record in of(run(tiny("train.iterations=2", *overrides)), "step")]

    assert losses() == losses() != losses("train.seed=1")
    fresh = []
    for seed in (0, 0, 1):
        config = tiny("train.iterations=1", "train.lr=1e-12", f"train.seed={seed}")
        list(run(config))
        fresh.append(final_weights(config)[0]["conv.weight"])
    assert torch.allclose(fresh[0], fresh[1]) and not torch.allclose(fresh[0], fresh[2])


def test_tests_run_in_evaluation_mode_and_training_goes_on_in_its_own(tiny, monkeypatch):
    modes = []
    as_network, optimise = testing.as_network, loop.optimise
    monkeypatch.setattr(testing, "as_network", lambda m, *a: modes.append(("test", m.training)) or as_network(m, *a))
    monkeypatch.setattr(loop, "optimise", lambda m, *a, **o: modes.append(("step", m.training)) or optimise(m, *a, **o))
    list(run(tiny("train.iterations=2", "train.test_every=1")))
    assert set(modes) == {("test", False), ("step", True)}


def test_frozen_parts_do_not_move(tiny):
    config = tiny("train.iterations=2", "train.freeze=[encoder]", "train.test_every=1", "train.checkpoint_every=1")
    seen = []
    for record in run(config):
        if record["event"] == "checkpoint":
            seen.append(torch.load(newest(config))["state_dict"])
    assert torch.equal(seen[0]["conv.weight"], seen[1]["conv.weight"])
    assert not torch.equal(seen[0]["head.weight"], seen[1]["head.weight"])


def test_training_learns(tiny):
    settings = ("train.print_every=20", "train.batch_size=4", "train.test_every=999", "train.checkpoint_every=999")
    config = tiny("train.iterations=120", *settings)
    totals = [record["loss"]["total"] for record in of(run(config), "step")]
    assert totals[-1] < 0.9 * totals[0]


@pytest.fixture
def poisoned(monkeypatch):
    """poisoned(bad): the loss of the forward passes for which bad(number from 1) is NaN."""
    weighted_sum = stepping.weighted_sum

    def replace(bad):
        numbers = itertools.count()  # 0 looks which parameters the loss reaches

        def spoilt(*arguments):
            total, terms = weighted_sum(*arguments)
            return (total * math.nan if bad(next(numbers)) else total), terms

        monkeypatch.setattr(stepping, "weighted_sum", spoilt)

    return replace


def test_a_step_with_a_loss_that_is_not_finite_is_left_out(tiny, poisoned, monkeypatch):
    config = tiny(
        "train.iterations=6", "train.print_every=3", "train.checkpoint_every=1", "train.keep=9", "train.ema=0.9"
    )
    poisoned(lambda call: call in (2, 5, 6))
    records = list(run(config))
    warned = [record["text"] for record in of(records, "warning")]
    assert [text.split(":")[0] for text in warned] == ["step 2", "step 5", "step 6"]
    assert re.fullmatch(r"step 2: the loss became nan on \w+; skipped \(1 in a row, 5 are allowed\)", warned[0])
    assert "(2 in a row" in warned[2]
    saved = [torch.load(path) for path in reversed(states(config.run_folder))]
    moved = [
        not torch.equal(before["state_dict"]["conv.weight"], after["state_dict"]["conv.weight"])
        for before, after in zip(saved, saved[1:], strict=False)
    ]
    assert moved == [False, True, True, False, False]
    assert saved[-1]["optimizer"]["state"][0]["step"] == 3  # Adam's own count too
    lines = of(records, "step")
    assert [line["skipped"] for line in lines] == [1, 3] and all(math.isfinite(line["loss"]["total"]) for line in lines)


def test_too_many_steps_left_out_end_the_run_and_the_last_good_state_stays(tiny, poisoned):
    config = tiny("train.iterations=20", "train.checkpoint_every=2", "train.test_every=100", "train.max_skipped=2")
    poisoned(lambda call: call > 4)
    with pytest.raises(
        TrainingError, match=r"step 7: the loss became nan on \w+, 3 steps in a row; .*state-000000006.pt"
    ):
        list(run(config))
    last = torch.load(newest(config))
    assert last["in_row"] == 2 and all(torch.isfinite(value).all() for value in last["state_dict"].values())


def test_a_gradient_is_clipped_to_its_norm(tiny):
    free, held = (
        [record["grad_norm"] for record in of(run(tiny("train.iterations=2", "train.print_every=1", *more)), "step")]
        for more in ((), ("train.clip=1e-3", "train.optimizer.eps=1"))
    )
    assert free[0] == held[0] > 0.01  # the norm is that before clipping
    config = tiny(
        "train.iterations=2", "train.clip=1e-3", "train.optimizer.eps=1", "train.checkpoint_every=1", "train.keep=9"
    )
    list(run(config))
    first, second = (torch.load(path)["state_dict"]["conv.weight"] for path in states(config.run_folder))
    assert 0 < (first - second).norm() < 1.01 * 0.01 * 1e-3  # learning rate x clip


def test_gradients_add_up_over_forward_passes(tiny, monkeypatch):
    monkeypatch.setattr(start, "build_model", lambda config: TinyModel(dropout=0))

    def weights(*overrides):
        config = tiny(
            "train.iterations=3", "train.print_every=1", "train.optimizer.eps=1e-3", "train.precision=fp32", *overrides
        )
        losses = [record["loss"]["total"] for record in of(run(config), "step")]
        return losses, final_weights(config)[1]["state_dict"]["conv.weight"]

    (losses, whole), (others, parts) = (
        weights("train.batch_size=4"),
        weights("train.batch_size=1", "train.accumulate=4"),
    )
    assert losses == pytest.approx(others, rel=1e-5)
    torch.testing.assert_close(whole, parts, rtol=0, atol=1e-6)


def test_the_average_of_weights_is_tested_kept_and_resumed(tiny):
    def average(name, *stops):
        config = tiny("train.iterations=6", "train.ema=0.9", "train.test_every=3", f"train.name={name}")
        for stop_after in (*stops, 99):
            stopping = iter([False] * stop_after + [True])
            list(run(config, resume="auto", stop=lambda s=stopping: next(s, True)))
        return final_weights(config)

    (best, last), (other, resumed) = average("straight"), average("stopped", 2, 4)
    for key, value in last["average"].items():
        assert torch.equal(value, resumed["average"][key]) and torch.equal(best[key], other[key])
        assert not torch.equal(value, last["state_dict"][key])
    config = tiny(
        "train.iterations=3", "train.ema=0.5", "train.checkpoint_every=1", "train.keep=9", "train.test_every=9"
    )
    list(run(config))
    _, second, third = (torch.load(path) for path in reversed(states(config.run_folder)))
    key, share = "conv.weight", 1 - 4 / 13  # (1 + n) / (10 + n) is under the decay at first
    expected = second["average"][key] + share * (third["state_dict"][key] - second["average"][key])
    torch.testing.assert_close(third["average"][key], expected)


def test_auto_takes_the_newest_state_that_is_whole(tiny):
    config = tiny("train.iterations=5", "train.checkpoint_every=1", "train.test_every=9", "train.keep=3")
    begin = next(run(config, resume="auto"))
    assert begin["step"] == 0
    list(run(config))
    kept = states(config.run_folder)
    assert [int(path.stem.rpartition("-")[2]) for path in kept] == [5, 4, 3]
    kept[0].write_bytes(kept[0].read_bytes()[:-100])
    records = list(run(config, resume="auto"))
    notices = " | ".join(records[0]["notices"])
    assert records[0]["step"] == 4 and f"skipped: {kept[0]}: truncated" in notices
    assert torch.load(kept[0])["step"] == 5  # made again
    for path in kept:
        path.write_bytes(b"")
    with pytest.raises(
        CheckpointError, match=r"no saved state is whole: .*000005.pt.*000004.pt.* \(--overwrite begins"
    ):
        next(run(config, resume="auto"))


def test_going_on_from_an_older_state_drops_the_later_ones(tiny):
    config = tiny("train.iterations=4", "train.checkpoint_every=1", "train.test_every=9", "train.keep=9")
    list(run(config))
    older = states(config.run_folder)[2]
    again = tiny("train.iterations=3", "train.checkpoint_every=1", "train.test_every=9", "train.keep=9")
    list(run(again, resume=older))
    assert [torch.load(path)["step"] for path in states(config.run_folder)] == [3, 2, 1]


def picture(name, sad=None):
    """A test picture with this SAD, or one that cannot be used."""
    record = {"name": name, "error": "no"} if sad is None else {"name": name, "sad": sad, "mse": 0.1}
    return ScoredPicture(name, [record])


def scores(monkeypatch, sads):
    """Tests of one picture give these SADs, one after the other."""
    values = iter(sads)

    def scored(model, tests, *_):
        sad = next(values)
        return (picture(name, sad) for name, _ in tests)

    monkeypatch.setattr(testing, "score", scored)


def test_the_best_score_is_that_of_the_weights_kept(tiny, monkeypatch):
    """Also after going on from an older state, before the best of then, and on other test pictures."""
    scores(monkeypatch, [5.0, 1.0, 4.0, 6.0])
    settings = ("train.test_every=1", "train.keep=9")
    list(run(tiny("train.iterations=2", *settings)))
    config = tiny("train.iterations=3", *settings)
    older = states(config.run_folder)[1]
    records = list(run(config, resume=older))
    assert any("not the best weights of this state" in notice for notice in records[0]["notices"])
    assert [record["best"] for record in of(records, "test")] == [True, False]
    kept = load_weights(config.run_folder / BEST).about
    assert records[-1]["best_sad"] == kept["sad"] == 4.0 and kept["step"] == 2

    scores(monkeypatch, [7.0])
    for folder in ("image", "trimap", "alpha"):
        sorted((config.data.root / "test" / folder).iterdir())[0].unlink()
    records = list(run(tiny("train.iterations=4", *settings), resume="auto"))
    assert any("other test pictures than before" in notice for notice in records[0]["notices"])
    assert records[-1]["best_sad"] == load_weights(config.run_folder / BEST).about["sad"] == 7.0


def test_a_test_that_lacks_a_picture_is_never_the_best_of_whole_ones(tiny, monkeypatch):
    results = iter([[5.0, 5.0], [1.0, None], [4.0, 4.0]])

    def scored(model, tests, *_):
        for (name, _), sad in zip(tests, next(results), strict=True):
            yield picture(name, sad)

    monkeypatch.setattr(testing, "score", scored)
    records = list(run(tiny("train.iterations=3", "train.test_every=1")))
    told = [(record["best"], record["pictures"]) for record in of(records, "test")]
    assert told == [(True, 2), (False, 1), (True, 2)]


def test_no_run_is_lost_to_another(tiny):
    config = tiny("train.iterations=1")
    list(run(config))
    list(run(tiny("train.iterations=1", "train.name=other")))
    with pytest.raises(ConfigError, match="runs/run: holds a run, whose states would be dropped; give another --name"):
        next(run(config, resume=states(config.run_folder.with_name("other"))[0]))
    newest(config).unlink()
    with pytest.raises(ConfigError, match="runs/run: its saved states are gone; --overwrite begins again"):
        refuse_loss(config.run_folder, "auto", overwrite=False)
    assert (config.run_folder / BEST).is_file()


def test_a_stop_before_the_first_step_loses_no_first_score(tiny, tmp_path, monkeypatch):
    begin = tmp_path / "begin.safetensors"
    save_weights(begin, build_model(NARROW).state_dict(), NARROW.model_dump())
    monkeypatch.setattr(start, "build_model", build_model)
    monkeypatch.setattr(loop, "optimise", lambda *_, **__: {"norm": torch.ones(()), "total": torch.ones(())})
    config = tiny("train.iterations=1", f"train.pretrain={begin}", f"model.width={NARROW.width}")
    assert events(run(config, stop=lambda: True))[-1] == "stopped"
    seen = []  # stopped as soon as they are scored: a log begins again at step 0, and so do they
    for record in run(config, resume="auto", stop=lambda: "began" in seen):
        seen.append(record["event"])
    assert seen[-1] == "stopped" and "step" not in seen
    assert of(run(config, resume="auto"), "began")


def test_a_loss_that_reaches_nothing_is_told(tiny, monkeypatch):
    monkeypatch.setattr(start, "build_model", build_model)
    config = tiny("model.refine=true", f"model.width={NARROW.width}", "train.freeze=[encoder, decoder]")
    with pytest.raises(ConfigError, match="no loss term reaches a part that is trained"):
        next(run(config))


def test_a_resumed_run_takes_the_optimisers_options_from_the_config(tiny):
    list(run(tiny("train.iterations=1")))
    config = tiny("train.iterations=2", "train.optimizer.weight_decay=0.25", "train.optimizer.betas=[0.5, 0.6]")
    start, *_ = list(run(config, resume="auto"))
    assert "changed since: train.optimizer.weight_decay 0.0 -> 0.25" in start["notices"]
    group = torch.load(newest(config))["optimizer"]["param_groups"][0]
    assert group["weight_decay"] == 0.25 and group["betas"] == (0.5, 0.6)


def test_the_means_of_a_line_do_not_depend_on_a_stop(tiny):
    def lines(name, *stops):
        config = tiny("train.iterations=6", "train.print_every=3", "train.test_every=9", f"train.name={name}")
        for stop_after in (*stops, 99):
            stopping = iter([False] * stop_after + [True])
            for record in run(config, resume="auto", stop=lambda s=stopping: next(s, True)):
                if record["event"] == "step":
                    yield record["step"], record["loss"], record["grad_norm"]

    assert list(lines("straight")) == list(lines("stopped", 2, 3))


def test_a_stage_that_ends_no_better_than_it_began_says_so(tiny, tmp_path, monkeypatch):
    begin = tmp_path / "begin.safetensors"
    save_weights(begin, build_model(NARROW).state_dict(), NARROW.model_dump())
    monkeypatch.undo()
    sads = iter([3.0, 3.0, 5.0, 5.0])

    def scored(model, tests, *_):
        return (picture(name, next(sads)) for name, _ in tests)

    monkeypatch.setattr(testing, "score", scored)
    config = tiny("train.iterations=1", f"train.pretrain={begin}", f"model.width={NARROW.width}")
    records = list(run(config))
    assert [record["sad"] for record in of(records, "began")] == [3.0]
    warning = of(records, "warning")[0]["text"]
    assert warning.startswith(f"run ended no better than it began: SAD 5.000, 3.000 with {begin}; keep those weights")
    assert not of(run(config, resume="auto"), "began")


def test_a_full_disk_leaves_the_last_good_state_whole(tiny, monkeypatch):
    config = tiny("train.iterations=9", "train.checkpoint_every=2", "train.test_every=100")
    records = run(config)
    for record in records:
        if record["event"] == "checkpoint":
            break

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"state-000000004.pt: cannot be written \(No space left on device\)"):
        list(records)
    assert torch.load(newest(config))["step"] == 2


def test_a_bad_training_picture_saves_the_run_first(tiny):
    config = tiny("train.epochs=1")
    bad = next((config.data.root / "train" / "fg").iterdir())
    bad.write_bytes(bad.read_bytes()[:100])
    with pytest.raises(DataError, match=rf"{bad.name}: .*The run is saved up to step \d; `--resume auto`"):
        list(run(config))
    assert (newest(config)).is_file()


def test_what_does_not_fit_is_told_before_the_first_step(tiny, tmp_path):
    with pytest.raises(DeviceError, match="device 'cuda:7' is not available here .*cpu"):
        next(run(tiny("train.device=cuda:7")))
    with pytest.raises(CheckpointError, match="`deepmat convert-vgg` makes them"):
        next(run(tiny("train.pretrain=weights/vgg16.safetensors")))
    with pytest.raises(CheckpointError, match="`deepmat train --stage 1` makes them"):
        next(run(tiny("train.pretrain='{runs}/stage1/best.safetensors'")))
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="other.pt: not the state of such a run"):
        next(run(tiny(), resume=tmp_path / "other.pt"))
    with pytest.raises(CheckpointError, match=r"is a folder; it holds no saved state \(state-\*.pt\)"):
        next(run(tiny(), resume=tmp_path))
    with pytest.raises(CheckpointError, match=r"is a folder; it holds no weights"):
        next(run(tiny(f"train.pretrain={tmp_path}")))


def test_a_folder_to_resume_is_refused_with_a_state_that_is_taken(tiny):
    config = tiny("train.iterations=1")
    list(run(config))
    with pytest.raises(CheckpointError) as refused:
        next(run(tiny("train.iterations=2"), resume=config.run_folder))
    named = str(refused.value).rpartition(" ")[2]
    assert Path(named) == newest(config)
    assert next(run(tiny("train.iterations=2"), resume=named))["step"] == 1


def test_without_test_pictures_the_latest_is_the_best(tiny):
    config = tiny("train.iterations=2", "train.schedule.warmup=9")
    shutil.rmtree(config.data.root / "test")
    records = list(run(config))
    assert "best is the latest" in records[0]["notices"][0] and not of(records, "test")
    assert "warm-up takes 2 of 2 steps" in records[0]["notices"][1]
    best, last = final_weights(config)
    assert all(torch.equal(best[key], last["state_dict"][key]) for key in best)


def test_a_trimap_without_unknown_pixels_is_no_silent_zero(tiny):
    config = tiny()
    for path in (config.data.root / "test" / "trimap").iterdir():
        imaging.write_image(path, np.zeros_like(imaging.read_grey(path)))
    scored = next(testing.score(TinyModel(), pictures_to_score(config.test, config.data.root)[0], config.test))
    assert "sad" not in scored.records[0] and "no pixel of its trimap is unknown" in scored.records[0]["error"]


def test_evaluate_scores_what_it_can_and_names_the_rest(tiny):
    config = tiny()
    root = config.data.root
    alphas = sorted((root / "test" / "alpha").iterdir())
    alphas[0].unlink()
    trimap = sorted((root / "test" / "trimap").iterdir())[1]
    imaging.write_image(trimap, np.minimum(imaging.read_grey(trimap), 254))
    failed, scored = testing.score(TinyModel(), pictures_to_score(config.test, root)[0], config.test)
    assert "no alpha of that name" in failed.records[0]["error"]
    case, prediction, record = scored.case, scored.mattes["model"], scored.records[0]
    assert "taken as the nearest" in case.notices[0]
    error = (prediction.astype(float) - case.alpha)[case.trimap == 128] / 255
    assert record["sad"] == pytest.approx(np.abs(error).sum() / 1000)
    assert record["mse"] == pytest.approx((error**2).mean())
    assert (prediction[case.trimap == 0] == 0).all()
