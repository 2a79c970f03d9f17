"""Run a prepared training run as a generator of records."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from deepmat.config import TrainConfig
from deepmat.errors import DataError, DeepmatError, TrainingError
from deepmat.imaging.trimap import unknown_region
from deepmat.models import is_whole
from deepmat.report.records import Step, TrainingRecord
from deepmat.runtime import distributed
from deepmat.runtime.locking import alone
from deepmat.runtime.processes import cores
from deepmat.training.batches import training_batches
from deepmat.training.optimisers import follow, set_rate
from deepmat.training.plan import Plan
from deepmat.training.run import Run, states
from deepmat.training.start import begin, fill_cache, find_uncached, initial_weights, start_record
from deepmat.training.step import Taken, account, optimise
from deepmat.training.validation import score_initial, test

Stop = Callable[[], bool]


def never() -> bool:
    """The stop of a training that nothing stops early."""
    return False


def run_plan(
    plan: Plan, *, resume: Path | str | None = None, stop: Stop = never
) -> Generator[TrainingRecord, None, None]:
    """Train as planned. Yields the run's records; config.yaml, state-*.pt and best.safetensors go to its folder.

    resume: a saved state, or "auto" for the newest whole one of the run, if there is one. stop: called after each
    step, test picture and picture decoded; once it returns true, the run saves and ends.

    Each process of a launcher's job (runtime.distributed) yields the same records, with its own share of the pictures;
    only the first one writes. Raises ConfigError, DataError, CheckpointError before the first step; later
    TrainingError for losses that are not finite and DataError for pictures that cannot be used, after saving.
    """
    distributed.meet(plan.device.type)
    taken = "another process trains here; wait for its end, or give another --name"
    with nullcontext() if distributed.rank() else alone(plan.config.run_folder, taken):
        if resume == "auto" and not states(plan.config.run_folder):
            resume = None
        distributed.gather(None)  # all processes have looked, before the first one clears the folder
        yield from _run(plan, resume, stop)


def _run(plan: Plan, resume: Path | str | None, stop: Stop) -> Generator[TrainingRecord, None, None]:
    uncached, notices = find_uncached(plan)
    run, more = begin(plan, resume)
    yield start_record(plan, run, [*plan.notices, *notices, *more])
    stopped = False
    if run.step < plan.steps and uncached.jobs:
        stopped = yield from fill_cache(plan, uncached, stop)
    initial = initial_weights(plan.config) if plan.config.train.test_first and plan.tests else None
    if not stopped and initial and not run.step and is_whole(initial):
        stopped = yield from score_initial(run, initial, plan.tests, stop)
    if stopped:
        run.save()
    elif run.test_due:
        stopped = yield from test(run, plan.tests, stop)
    if not stopped:
        with closing(_batches(plan, run)) as batches:
            stopped = yield from _take_steps(plan, run, batches, stop)
    if stopped:
        distributed.gather(None)
        yield {"event": "stopped", "step": run.step}
    else:
        yield from _end(run)


def _take_steps(plan: Plan, run: Run, batches: Iterator[Any], stop: Stop) -> Generator[TrainingRecord, None, bool]:
    """Take the remaining steps, with tests and saved states in between. Returns whether stopped."""
    if run.step >= plan.steps:
        return False
    settings = plan.config.train
    forward = _forward(run, settings)
    taken: list[Taken] = []
    clock = _Clock(run.step)
    while run.step < plan.steps:
        with clock.waiting(), _explained(settings):
            part = [next(batches) for _ in range(settings.accumulate)]
        failed = next((each for each in part if isinstance(each, DataError)), None)
        own = (0, 0) if failed else _count(part)
        unknown, known, failures, stops = distributed.total([*own, failed is not None, stop()])
        if failures or stops:
            yield from account(run, taken)
            run.save()
            if failures:
                distributed.gather(None)  # a launcher ends all processes with the first that fails
                raise _unusable(failed, run)
            yield {"event": "checkpoint", "step": run.step, "path": str(run.saved)}
            return True
        lr = plan.learning_rate(run.step)
        taken.append(_take_step(plan, run, forward, part, (unknown, known), lr))
        last = run.step == plan.steps
        run.test_due = last or run.step % (settings.test_every or plan.steps_per_epoch) == 0
        saves = run.test_due or run.step % (settings.checkpoint_every or plan.steps_per_epoch) == 0
        reports = last or run.step % settings.print_every == 0
        if reports or saves:
            yield from account(run, taken)
        if reports:
            yield _step_record(plan, run, lr, clock)
            run.window = {}
            clock = _Clock(run.step)
        with clock.stopped():
            if saves:
                run.save()
                yield {"event": "checkpoint", "step": run.step, "path": str(run.saved)}
            if run.test_due and (yield from test(run, plan.tests, stop)):
                return True
    return False


def _count(part: Sequence[Any]) -> tuple[int, int]:
    """Numbers of unknown and of known pixels in some batches."""
    unknown = sum(int(unknown_region(each["trimap"]).sum()) for each in part)
    return unknown, sum(each["trimap"].numel() for each in part) - unknown


def _take_step(
    plan: Plan, run: Run, forward: nn.Module, part: Sequence[Any], counts: tuple[float, float], lr: float
) -> Taken:
    """Take one step. counts: of unknown and known pixels in the step's samples, of all processes."""
    settings = plan.config.train
    set_rate(run.optimizer, lr)
    # The random numbers of a step (dropout) depend on seed, step and process alone, so that a resumed run has the same.
    seed = np.random.SeedSequence([settings.seed, run.step, distributed.rank()]).generate_state(1)[0]
    torch.manual_seed(int(seed))
    with _explained(settings), distributed.heard():
        values = optimise(
            forward,
            run.optimizer,
            part,
            plan.config.loss,
            count=(counts[0] + 1) / distributed.world(),  # gradients are averaged over the processes
            known=(counts[1] + 1) / distributed.world(),
            precision=plan.precision,
            scaler=run.scaler,
            clip=settings.clip,
        )
    run.step += 1
    if run.average:
        follow(run.average, run.model, cast(float, settings.ema), run.step, values["norm"].isfinite())
    return run.step, [name for each in part for name in each["name"]], values


def _end(run: Run) -> Iterator[TrainingRecord]:
    if run.main and not run.best.is_file():
        run.save_best()
    if run.began and run.best_sad >= run.began[0]:
        sad, path = run.began
        text = (
            f"{run.config.train.name} ended no better than it began: SAD {run.best_sad:.3f}, {sad:.3f} with {path}; "
            "keep those weights (docs/training.md says what to watch)"
        )
        yield {"event": "warning", "step": run.step, "text": text}
    yield {"event": "end", "step": run.step, "best_sad": run.best_sad, "path": str(run.best)}


class _Clock:
    """Time since its making, without the time stopped; and how much of it was spent waiting for data."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.begin, self.waited = time.perf_counter(), 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        before = time.perf_counter()
        yield
        self.waited += time.perf_counter() - before

    @contextmanager
    def stopped(self) -> Iterator[None]:
        before = time.perf_counter()
        yield
        self.begin += time.perf_counter() - before

    def passed(self) -> float:
        return time.perf_counter() - self.begin


def _step_record(plan: Plan, run: Run, lr: float, clock: _Clock) -> Step:
    passed = clock.passed()
    norm, loss = run.means()
    return {
        "event": "step",
        "step": run.step,
        "epoch": (run.step - 1) // plan.steps_per_epoch + 1,
        "lr": lr,
        "grad_norm": norm,
        "loss": loss,
        "skipped": run.skipped,
        "samples_per_s": (run.step - clock.step) * plan.batch / passed,
        "waiting": clock.waited / passed,
    }


def _forward(run: Run, settings: TrainConfig) -> nn.Module:
    """Return the network as a step calls it: with common gradients, compiled if asked to."""
    forward = distributed.with_common_gradients(run.model)
    return cast(nn.Module, torch.compile(forward)) if settings.compile else forward


def _batches(plan: Plan, run: Run) -> Generator[Any, None, None]:
    settings, gpu = plan.config.train, plan.device.type == "cuda"
    workers = settings.workers
    if workers is None:
        workers = min(8 if gpu else 4, max(1, cores() // distributed.local_world()))
    return training_batches(
        plan.origins,
        plan.config.data,
        batch_size=settings.batch_size,
        accumulate=settings.accumulate,
        part=(distributed.rank(), distributed.world()),
        seed=settings.seed,
        start=run.step,
        stop=plan.steps,
        workers=workers,
        pin=gpu,
        matte=plan.config.model.takes_matte,
    )


@contextmanager
def _explained(settings: TrainConfig) -> Iterator[None]:
    """Raise TrainingError in place of the common errors of a step."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in text:
            less = f"--batch-size under {settings.batch_size} (with --accumulate the step stays), or --recompute"
            raise TrainingError(f"out of memory; take {less}") from error
        if "DataLoader worker" in text:
            raise TrainingError(
                "a process that loads data was killed, perhaps for lack of memory or of shared memory (/dev/shm, 64 MB "
                "in Docker without --shm-size); take fewer --workers, or --workers 0, which needs no shared memory. "
                "--resume auto continues the run"
            ) from error
        if settings.compile and type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            first = text.strip().splitlines()[0]
            raise TrainingError(f"torch.compile failed: {first}; leave --compile out") from error
        raise


def _unusable(failed: DataError | None, run: Run) -> DeepmatError:
    if failed is None:
        return TrainingError("another process of this job cannot use a picture; its message names it")
    return DataError(
        f"{failed}. The run is saved up to step {run.step}; `--resume auto` continues it "
        "(`deepmat doctor DATA` checks every picture)"
    )
