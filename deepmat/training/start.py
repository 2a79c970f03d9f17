"""Start a training run: fill the cache, make the network and its optimiser, open the run's folder."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from deepmat.config import Config, dump
from deepmat.data.cache import CachePlan, build_cache, plan_cache
from deepmat.data.pairs import refuse_failed
from deepmat.errors import CheckpointError, ConfigError
from deepmat.models import MODELS, build_model, fill_from, find_weights, freeze, label_of
from deepmat.models.convolving import layout
from deepmat.report.records import Start, TrainingRecord
from deepmat.runtime import distributed
from deepmat.runtime.devices import describe_device
from deepmat.runtime.paths import is_there
from deepmat.runtime.processes import cores
from deepmat.training.optimisers import build_optimizer, by_depth
from deepmat.training.plan import Plan
from deepmat.training.run import Run
from deepmat.training.step import DTYPES, freeze_unreached


def begin(plan: Plan, resume: Path | str | None) -> tuple[Run, list[str]]:
    """Make the run, at its first step or at that of a saved state; and notices. Every process of a job calls it."""
    model, notices = _make_model(plan, pretrain=not resume)
    settings = plan.config.train
    trained = by_depth(model, settings.optimizer.layer_decay)
    optimizer = build_optimizer(settings.optimizer, trained, settings.lr)
    scaler = torch.amp.GradScaler(plan.device.type, enabled=plan.precision == "fp16")
    names = [name for name, _ in plan.tests]
    run = Run(
        plan.config,
        model,
        optimizer,
        scaler,
        samples=plan.batch,
        pictures=plan.pictures,
        tests=names,
        main=distributed.rank() == 0,
    )
    notices += run.begin(resume)
    first, *others = distributed.gather((run.step, plan.pictures, names, dump(plan.config)))
    if any(other != first for other in others):
        raise ConfigError(
            "the processes do not begin alike: data, run folder and config must be the same for all of them, say on a "
            "disk that all machines see"
        )
    if settings.compile:
        notices.append("compiles: the first step takes minutes")
    if run.step >= plan.steps and not run.test_due:
        notices.append(f"nothing to do: {run.step} of {plan.steps} steps are done")
    return run, notices


def start_record(plan: Plan, run: Run, notices: list[str]) -> Start:
    """The first record of a run: what is trained, on what, and with what."""
    return {
        "event": "start",
        "step": run.step,
        "device": describe_device(plan.device),
        "precision": plan.precision,
        "processes": distributed.world(),
        "batch": plan.batch,
        "steps": plan.steps,
        "steps_per_epoch": plan.steps_per_epoch,
        "parameters": sum(each.numel() for group in run.optimizer.param_groups for each in group["params"]),
        "pictures": plan.pictures,
        "tests": len(plan.tests),
        "notices": notices,
    }


def _make_model(plan: Plan, pretrain: bool) -> tuple[nn.Module, list[str]]:
    """Make the network on its device, filled from train.pretrain if asked to, ready to train; and notices."""
    settings, notices = plan.config.train, []
    torch.manual_seed(settings.seed)
    model = build_model(plan.config.model)
    if settings.pretrain and pretrain:
        notices.append(_fill(plan.config, model))
    freeze(model, settings.freeze)
    model, more = distributed.with_common_statistics(model, plan.device)
    notices += more
    model = model.to(plan.device).to(memory_format=layout(plan.device, DTYPES[plan.precision])).train()
    model.recompute = settings.recompute  # type: ignore[assignment]
    names = freeze_unreached(model, plan.config.loss, plan.config.model.takes_matte)
    unreached = dict.fromkeys(name.rpartition(".")[0] for name in names)
    if unreached:
        notices.append(f"not trained, since no loss term reaches it: {', '.join(unreached)}")
    return model, notices


def initial_weights(config: Config) -> Path | None:
    """Return the file that train.pretrain names; None for random weights."""
    wanted = config.train.pretrain
    return find_weights(wanted.replace("{runs}", str(config.train.runs))) if wanted else None


def _fill(config: Config, model: nn.Module) -> str:
    """Fill the network from train.pretrain. Returns a notice; CheckpointError names the command that makes the file."""
    path = initial_weights(config)
    assert path
    if not is_there(path):
        run = path.parent.name
        if "{runs}" in (config.train.pretrain or ""):
            made_by = f"deepmat train --stage {run[5:]}" if run.startswith("stage") else f"deepmat train --config {run}"
        else:
            made_by = cast(Any, MODELS[config.model.arch]).FIRST_WEIGHTS
        raise CheckpointError(
            f"{path}: no such weights to begin with; `{made_by}` makes them, --pretrain FILE names others, "
            "--pretrain none begins with random ones"
        )
    fresh = fill_from(model, path)
    layers = list(dict.fromkeys(key.rpartition(".")[0] for key in fresh))
    return f"begins with {label_of(path)}" + (f"; random: {', '.join(layers)}" if layers else "")


def find_uncached(plan: Plan) -> tuple[CachePlan, list[str]]:
    """Return the pictures to decode into the cache before the first step, and a notice of their size."""
    data = plan.config.data
    if not data.cache:
        return CachePlan([], 0, []), []
    pictures: list[Any] = [picture for origin in plan.origins for picture in origin.foregrounds]
    if data.cache_backgrounds:
        pictures += [picture for origin in plan.origins for picture in origin.backgrounds]
    lacking = plan_cache(pictures, data.cache)
    refuse_failed(lacking.failed)
    if not lacking.jobs:
        return lacking, []
    size = f"{lacking.bytes / 1e9:.2f} GB" if lacking.bytes >= 1e8 else f"{lacking.bytes / 1e6:.1f} MB"
    notice = (
        f"decodes {len(lacking.jobs)} pictures into the folder {data.cache} ({size}), for later runs too; "
        "--set data.cache=DIR moves it, data.cache=null does without"
    )
    return lacking, [notice]


def fill_cache(plan: Plan, lacking: CachePlan, stop: Callable[[], bool]) -> Generator[TrainingRecord, None, bool]:
    """Decode into the cache, each process its share. Returns whether stopped; DataError for unusable pictures."""
    folder = plan.config.data.cache
    assert folder
    failed: list[str] = []
    stopped = False
    mine = lacking._replace(jobs=list(distributed.share(lacking.jobs)))
    for record in build_cache(mine, folder, max(1, cores() // distributed.local_world())):
        if "error" in record:
            failed.append(record["error"])
        yield {"event": "caching", "step": 0, "done": record["done"], "of": record["of"]}
        if stop():
            stopped = True
            break
    ends = distributed.gather((stopped, failed))
    if any(ended for ended, _ in ends):
        return True
    refuse_failed([message for _, messages in ends for message in messages])
    return False
