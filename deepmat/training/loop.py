"""A training run as a generator of plain records; whoever consumes them shows them."""

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import nn

from deepmat.config import Config, TrainConfig, dump
from deepmat.data.cache import CachePlan, build_cache, plan_cache
from deepmat.data.origins import Origin, find_origins
from deepmat.data.pairs import refuse_failed
from deepmat.errors import CheckpointError, ConfigError, DataError, DeepmatError, TrainingError, lookup
from deepmat.imaging import trimap
from deepmat.inference import predict as inference
from deepmat.models import build_model, fill_from, find_weights, freeze, is_whole, label_of
from deepmat.runtime import distributed as ranks
from deepmat.runtime.devices import describe_device, pick_device, pick_training_precision
from deepmat.runtime.files import make_folder
from deepmat.runtime.processes import cores
from deepmat.training.batches import training_batches
from deepmat.training.losses import LOSSES
from deepmat.training.optimisers import build_optimizer, follow, learning_rate
from deepmat.training.run import BEST, Run, states
from deepmat.training.step import Taken, freeze_unreached, optimise, take_in
from deepmat.training.validation import find_tests, score_beginning, test

Record = dict[str, Any]


def train(
    config: Config, *, resume: Path | str | None = None, stop: Callable[[], bool] = lambda: False
) -> Generator[Record, None, None]:
    """Train as the config says; yields records, each with "event" and "step":

    "start" {device, precision, processes, batch (samples a step), steps, steps_per_epoch, parameters, pictures (samples
    in an epoch), tests, notices}; "caching" {done, of}; "began" {sad, mse, path} of the weights that the run begins
    with, if a whole network's; "step" {epoch (from 1), lr, loss: {term: mean since the last one}, grad_norm (mean),
    skipped (steps in all), samples_per_s, waiting (share of the time, for data)}; "warning" {text}; "checkpoint"
    {path}; "testing" {done, of}; "sample" {name, image, trimap, alpha, prediction}, uint8, of the same few test
    pictures before each "test" {sad, mse, best, pictures, failed}; "stopped" when `stop()`, asked after each picture
    decoded, step and test picture, said so; "end" {best_sad, path}.

    resume: a saved state, or "auto" for the newest whole one of the run, if there is one. The run folder gets
    config.yaml, state-*.pt (to resume) and best.safetensors (by SAD; the latest, without test pictures).

    In each process of a launcher's job (runtime.distributed) the same records come, with its own share of pictures; the
    first alone writes. Raises ConfigError, DataError, CheckpointError, DeviceError before the first step; later
    TrainingError for losses that are not finite and DataError for pictures that cannot be used, after saving.
    """
    device = pick_device(ranks.device_name(config.train.device))
    ranks.meet(device.type)
    with nullcontext() if ranks.rank() else _alone(config.run_folder):
        yield from _train(config, device, resume, stop)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep others out of a run's folder; ConfigError if one is in it. A kill opens it again."""
    make_folder(folder)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise ConfigError(f"{folder}: another process trains here; wait for its end, or give another --name") from error


def _train(
    config: Config, device: torch.device, resume: Path | str | None, stop: Callable[[], bool]
) -> Iterator[Record]:
    settings = config.train
    if resume == "auto" and not states(config.run_folder):
        if (config.run_folder / BEST).is_file():
            raise ConfigError(
                f"{config.run_folder}: its saved states are gone; --overwrite begins again, --name NAME keeps {BEST}"
            )
        resume = None
    ranks.gather(None)  # all have looked, before the first clears the folder
    precision = pick_training_precision(settings.precision, device)
    for name in config.loss:
        lookup(LOSSES, name, "loss")
    inference.mode_options(config.test)
    origins, notices = find_origins(config.data)
    pictures = sum(map(len, origins))
    tests, more = find_tests(config)
    cache, told = _plan_cache(config, origins)
    more += told
    batch = settings.batch_size * settings.accumulate * ranks.world()
    steps_per_epoch = math.ceil(pictures / batch)
    steps = settings.iterations or settings.epochs * steps_per_epoch
    learning_rate(settings, 0, steps, steps_per_epoch)

    torch.manual_seed(settings.seed)
    model = build_model(config.model)
    if settings.pretrain and not resume:
        more += _pretrain(config, model)
    freeze(model, settings.freeze)
    model, told = ranks.with_common_statistics(model, device)
    more += told
    model = model.to(device).to(memory_format=torch.channels_last).train()
    model.recompute = settings.recompute  # type: ignore[assignment]
    unreached = list(dict.fromkeys(name.rpartition(".")[0] for name in freeze_unreached(model, config.loss)))
    if unreached:
        more.append(f"not trained, since no loss term reaches it: {', '.join(unreached)}")
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = build_optimizer(settings.optimizer, trained, settings.lr)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    names = [name for name, _ in tests]
    main = ranks.rank() == 0
    run = Run(config, model, optimizer, scaler, samples=batch, pictures=pictures, tests=names, main=main)
    more += run.begin(resume)
    begun = ranks.gather((run.step, pictures, names, dump(config)))
    if any(other != begun[0] for other in begun):
        raise ConfigError(
            "the processes do not begin alike: data, run folder and config must be the same for all of them, say on a "
            "disk that all machines see"
        )
    if settings.compile:
        more.append("compiles: the first step takes minutes")
    if run.step >= steps and not run.test_due:
        more.append(f"nothing to do: {run.step} of {steps} steps are done")
    yield {
        "event": "start",
        "step": run.step,
        "device": describe_device(device),
        "precision": precision,
        "processes": ranks.world(),
        "batch": batch,
        "steps": steps,
        "steps_per_epoch": steps_per_epoch,
        "parameters": sum(parameter.numel() for parameter in trained),
        "pictures": pictures,
        "tests": len(tests),
        "notices": notices + more,
    }
    if run.step < steps and cache.jobs and not (yield from _fill_cache(config, cache, stop)):
        run.save()
        yield {"event": "stopped", "step": run.step}
        return
    beginning = _pretrained(config)
    if settings.test_first and tests and beginning and not (run.step or run.began) and is_whole(beginning):
        if (yield from score_beginning(run, beginning, tests, stop)):
            run.save()
            yield {"event": "stopped", "step": run.step}
            return
    forward = ranks.with_common_gradients(model)
    if settings.compile:
        forward = cast(nn.Module, torch.compile(forward))
    batches = training_batches(
        origins,
        config.data,
        batch_size=settings.batch_size,
        accumulate=settings.accumulate,
        part=(ranks.rank(), ranks.world()),
        seed=settings.seed,
        start=run.step,
        stop=steps,
        workers=_workers(config, device),
        pin=device.type == "cuda",
    )
    taken: list[Taken] = []
    waited, since, clock = 0.0, run.step, time.perf_counter()
    stopped = (yield from test(run, tests, stop)) if run.test_due else False
    while run.step < steps and not stopped:
        before = time.perf_counter()
        with _in_words(settings):
            part = [next(batches) for _ in range(settings.accumulate)]
        waited += time.perf_counter() - before
        failed = next((each for each in part if isinstance(each, DataError)), None)
        own = 0 if failed else sum(int((each["trimap"] == trimap.UNKNOWN).sum()) for each in part)
        unknown, failures, stops = ranks.total([own, failed is not None, stop()])
        if failures or stops:
            yield from take_in(run, taken)
            run.save()
            if failures:
                ranks.gather(None)  # a launcher ends all with the first that fails
                raise _unusable(failed, run)
            yield {"event": "checkpoint", "step": run.step, "path": str(run.saved)}
            stopped = True
            break
        lr = learning_rate(settings, run.step, steps, steps_per_epoch)
        for group in optimizer.param_groups:
            group["lr"] = lr
        # What a network draws in a step is a function of (seed, step, process), also after a resume.
        torch.manual_seed(int(np.random.SeedSequence([settings.seed, run.step, ranks.rank()]).generate_state(1)[0]))
        with _in_words(settings), ranks.heard():
            values = optimise(
                forward,
                optimizer,
                part,
                config.loss,
                count=(unknown + 1) / ranks.world(),  # gradients become the mean over the processes
                precision=precision,
                scaler=scaler,
                clip=settings.clip,
            )
        run.step += 1
        if run.average:
            follow(run.average, model, cast(float, settings.ema), run.step, values["norm"].isfinite())
        taken.append((run.step, [name for each in part for name in each["name"]], values))
        last = run.step == steps
        run.test_due = last or run.step % (settings.test_every or steps_per_epoch) == 0
        saving = run.test_due or run.step % (settings.checkpoint_every or steps_per_epoch) == 0
        printing = run.step % settings.print_every == 0 or last
        if printing or saving:
            yield from take_in(run, taken)
        if printing:
            passed = time.perf_counter() - clock
            yield {
                "event": "step",
                "step": run.step,
                "epoch": (run.step - 1) // steps_per_epoch + 1,
                "lr": lr,
                **run.means(),
                "skipped": run.skipped,
                "samples_per_s": (run.step - since) * batch / passed,
                "waiting": waited / passed,
            }
            run.window = {}
            waited, since, clock = 0.0, run.step, time.perf_counter()
        before = time.perf_counter()
        if saving:
            run.save()
            yield {"event": "checkpoint", "step": run.step, "path": str(run.saved)}
        if run.test_due:
            stopped = yield from test(run, tests, stop)
        clock += time.perf_counter() - before
    if stopped:
        ranks.gather(None)
        yield {"event": "stopped", "step": run.step}
        return
    if run.main and not run.best.is_file():
        run.save_best()
    if run.began and run.best_sad >= run.began[0]:
        sad, path = run.began
        text = (
            f"{settings.name} ended no better than it began: SAD {run.best_sad:.3f}, {sad:.3f} with {path}; keep those "
            "weights (docs/training.md says what to watch)"
        )
        yield {"event": "warning", "step": run.step, "text": text}
    yield {"event": "end", "step": run.step, "best_sad": run.best_sad, "path": str(run.best)}


@contextmanager
def _in_words(settings: TrainConfig) -> Iterator[None]:
    """TrainingError for what a step dies of most."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in text:
            less = f"--batch-size under {settings.batch_size} (with --accumulate the step stays), or --recompute"
            raise TrainingError(f"out of memory; take {less}") from error
        if "DataLoader worker" in text:
            raise TrainingError(
                "a process that loads data was killed, of too little memory perhaps (also in /dev/shm); take fewer "
                "--workers. --resume auto goes on"
            ) from error
        if settings.compile and type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            first = text.strip().splitlines()[0]
            raise TrainingError(f"torch.compile cannot: {first}; leave --compile out") from error
        raise


def _workers(config: Config, device: torch.device) -> int:
    """Processes that load data for this one."""
    if config.train.workers is not None:
        return config.train.workers
    return min(8 if device.type == "cuda" else 4, max(1, cores() // ranks.local_world()))


def _unusable(failed: DataError | None, run: Run) -> DeepmatError:
    if failed is None:
        return TrainingError("another process of this job cannot use a picture; what it said tells which")
    return DataError(
        f"{failed}. The run is saved up to step {run.step}; `--resume auto` goes on from there "
        "(`deepmat doctor DATA` looks at every picture)"
    )


def _plan_cache(config: Config, origins: Sequence[Origin]) -> tuple[CachePlan, list[str]]:
    """What is to be decoded into the cache before the first step, and a notice of its size."""
    data = config.data
    if not data.cache:
        return CachePlan([], 0, []), []
    pictures: list[Any] = [picture for origin in origins for picture in origin.foregrounds]
    if data.cache_backgrounds:
        pictures += [picture for origin in origins for picture in origin.backgrounds]
    plan = plan_cache(pictures, data.cache)
    refuse_failed(plan.failed)
    size = f"{plan.bytes / 1e9:.2f} GB" if plan.bytes >= 1e8 else f"{plan.bytes / 1e6:.1f} MB"
    told = f"{data.cache}: decodes {len(plan.jobs)} pictures into {size}, once; data.cache=null does without"
    return plan, [told] if plan.jobs else []


def _fill_cache(config: Config, plan: CachePlan, stop: Callable[[], bool]) -> Generator[Record, None, bool]:
    """Build the cache, each process its share; False if stopped before the end. DataError for unusable pictures."""
    assert config.data.cache
    failed: list[str] = []
    stopped = False
    mine = plan._replace(jobs=list(ranks.share(plan.jobs)))
    for record in build_cache(mine, config.data.cache, max(1, cores() // ranks.local_world())):
        if "error" in record:
            failed.append(record["error"])
        yield {"event": "caching", "step": 0, "done": record["done"], "of": record["of"]}
        if stop():
            stopped = True
            break
    ends = ranks.gather((stopped, failed))
    if any(ended for ended, _ in ends):
        return False
    refuse_failed([message for _, messages in ends for message in messages])
    return True


def _pretrained(config: Config) -> Path | None:
    """The file of the weights to begin with."""
    wanted = config.train.pretrain
    return find_weights(wanted.replace("{runs}", str(config.train.runs))) if wanted else None


def _pretrain(config: Config, model: nn.Module) -> list[str]:
    """Fill the model from train.pretrain; notices of what it begins with. CheckpointError with what makes the file."""
    wanted, path = config.train.pretrain or "", _pretrained(config)
    assert path
    if not path.is_file():
        run = path.parent.name
        if "{runs}" in wanted:
            made_by = f"deepmat train --stage {run[5:]}" if run.startswith("stage") else f"deepmat train --config {run}"
        else:
            made_by = "deepmat convert-vgg" if config.model.arch == "dim" else "deepmat train --config lite"
        raise CheckpointError(
            f"{path}: no such weights to begin with; `{made_by}` makes them, --pretrain FILE names others, "
            "--pretrain none begins with random ones"
        )
    fresh = fill_from(model, path)
    layers = list(dict.fromkeys(key.rpartition(".")[0] for key in fresh))
    return [f"begins with {label_of(path)}" + (f"; random: {', '.join(layers)}" if layers else "")]
