"""train() and evaluate(): generators that do the work and yield plain records; whoever consumes them shows them."""

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepmat import inference, trimap
from deepmat.config import Config, TestConfig
from deepmat.dataset import (
    CachePlan,
    Origin,
    build_cache,
    find_origins,
    plan_cache,
    training_batches,
)
from deepmat.devices import describe_device, pick_device
from deepmat.errors import CheckpointError, DataError, TrainingError, lookup
from deepmat.losses import LOSSES, step_count, weighted_sum
from deepmat.metrics import METRICS, mean
from deepmat.models import build_model, fill_from, freeze
from deepmat.paired import Paths, pictures_to_score, refuse_failed
from deepmat.processes import cores
from deepmat.runs import Run
from deepmat.scoring import score_pictures

Record = dict[str, Any]


def evaluate(
    model: nn.Module,
    pictures: Sequence[tuple[str, Paths | DataError]],
    settings: TestConfig | None = None,
    metrics: Sequence[str] = tuple(METRICS),
) -> Iterator[Record]:
    """Predict and score pictures by the benchmark's protocol, in their order.

    pictures: names and files as `paired.pictures_to_score` gives them. Yields {"name", "height", "width", "seconds"
    (of the network), one score per metric, "notices", and the uint8 arrays "image", "trimap", "alpha", "prediction"},
    or {"name", "error"} for a picture that cannot be used. Scores are taken on the 8-bit prediction, as it is saved.
    """
    networks = {"model": inference.as_network(model, settings or TestConfig())}
    for scored in score_pictures(pictures, networks, metrics=metrics, workers=2):
        record = {key: value for key, value in scored.records[0].items() if key not in ("run", "protocol")}
        if scored.case and scored.mattes:
            case, prediction = scored.case, scored.mattes["model"]
            arrays = {"image": case.image, "trimap": case.trimap, "alpha": case.alpha, "prediction": prediction}
            record |= {"notices": case.notices, **arrays}
        yield record


def to_device(batch: Record, device: torch.device) -> dict[str, Tensor]:
    """A collated batch of Samples as the losses take it: float, alpha in [0, 1], with "unknown" and its "count"."""
    moved = {key: value.to(device) for key, value in batch.items() if isinstance(value, Tensor)}
    # Pixels come channels last; in another order, ties of the pooling would fall elsewhere than in the reference.
    tensors = {key: value.to(torch.float32, memory_format=torch.contiguous_format) for key, value in moved.items()}
    unknown = (moved["trimap"] == trimap.UNKNOWN).float()
    return {**tensors, "alpha": tensors["alpha"] / 255, "unknown": unknown, "count": step_count(unknown)}


def optimise(
    model: nn.Module, optimizer: torch.optim.Optimizer, batch: dict[str, Tensor], weights: dict[str, float]
) -> dict[str, float]:
    """One step; returns each term and "total", as they were before it. TrainingError if the loss is not finite."""
    total, terms = weighted_sum(model(batch["image"], batch["trimap"]), batch, weights)
    values = {name: term.item() for name, term in {**terms, "total": total}.items()}
    if not math.isfinite(values["total"]):
        raise TrainingError(f"the loss became {values['total']}")
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    optimizer.step()
    return values


def train(
    config: Config, *, resume: Path | str | None = None, stop: Callable[[], bool] = lambda: False
) -> Iterator[Record]:
    """Train as the config says; yields records, each with "event" and "step":

    "start" {device, steps, steps_per_epoch, parameters, pictures (samples in an epoch), tests, notices}; "caching"
    {done, of}; "step" {epoch (from 1), lr, loss: {term: mean since the last one}, samples_per_s}; "checkpoint" {path};
    "testing" {done, of}; "test" {sad, mse, best, pictures, failed}; "stopped" when `stop()`, asked after each picture
    decoded, step and test picture, said so; "end" {best_sad, path}.

    The run folder gets config.yaml, last.pt (to resume) and best.safetensors (by SAD; the latest, without test
    pictures). Raises ConfigError, DataError, CheckpointError, DeviceError before the first step; later TrainingError
    for a loss that is not finite and DataError for pictures that cannot be used, what is good being saved.
    """
    settings = config.train
    device = pick_device(settings.device)
    for name in config.loss:
        lookup(LOSSES, name, "loss")
    inference.mode_options(config.test)
    origins, notices = find_origins(config.data)
    pictures = sum(map(len, origins))
    tests, more = _tests(config)
    workers = min(4, cores()) if settings.workers is None else settings.workers
    cache, told = _plan_cache(config, origins)
    more += told
    torch.manual_seed(settings.seed)
    model = build_model(config.model).to(device).train()
    if settings.pretrain and not resume:
        more += _pretrain(config, model)
    freeze(model, settings.freeze)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    run = Run(config, model, torch.optim.Adam(trained, lr=settings.lr, fused=True), pictures)
    more += run.begin(Path(resume) if resume else None)
    steps_per_epoch = math.ceil(pictures / settings.batch_size)
    steps = settings.iterations or settings.epochs * steps_per_epoch
    if run.step >= steps and not run.test_due:
        more.append(f"nothing to do: {run.step} of {steps} steps are done")
    yield {
        "event": "start",
        "step": run.step,
        "device": describe_device(device),
        "steps": steps,
        "steps_per_epoch": steps_per_epoch,
        "parameters": sum(parameter.numel() for parameter in trained),
        "pictures": pictures,
        "tests": len(tests),
        "notices": notices + more,
    }
    if cache.jobs and not (yield from _fill_cache(config, cache, stop)):
        run.save_last()
        yield {"event": "stopped", "step": run.step}
        return
    batches = training_batches(
        origins,
        config.data,
        batch_size=settings.batch_size,
        seed=settings.seed,
        start=run.step,
        stop=steps,
        workers=workers,
    )
    losses: list[dict[str, float]] = []
    samples, clock = 0, time.perf_counter()
    stopped = (yield from _test(run, tests, stop)) if run.test_due else False
    for batch in () if stopped else batches:
        if isinstance(batch, DataError):
            run.save_last()
            raise DataError(
                f"{batch}. The run is saved up to step {run.step}; `--resume auto` goes on from there "
                "(`deepmat doctor DATA` looks at every picture)"
            )
        epoch = run.step // steps_per_epoch
        lr = settings.lr * settings.lr_gamma ** (epoch // settings.lr_step if settings.lr_step else 0)
        for group in run.optimizer.param_groups:
            group["lr"] = lr
        try:
            losses.append(optimise(model, run.optimizer, to_device(batch, device), config.loss))
        except TrainingError as error:
            kept = f"{run.saved} keeps the last good state" if run.saved else "no state was saved yet"
            raise TrainingError(
                f"step {run.step + 1}: {error} on {', '.join(batch['name'])}; {kept}. "
                f"Lower train.lr (now {lr:g}) or look at those pictures"
            ) from error
        run.step += 1
        samples += len(batch["name"])
        last = run.step == steps
        if run.step % settings.print_every == 0 or last:
            yield {
                "event": "step",
                "step": run.step,
                "epoch": epoch + 1,
                "lr": lr,
                "loss": {name: math.fsum(loss[name] for loss in losses) / len(losses) for name in losses[0]},
                "samples_per_s": samples / (time.perf_counter() - clock),
            }
            losses, samples, clock = [], 0, time.perf_counter()
        before = time.perf_counter()
        run.test_due = last or run.step % (settings.test_every or steps_per_epoch) == 0
        stopped = stop() and not last
        if run.test_due or stopped or run.step % (settings.checkpoint_every or steps_per_epoch) == 0:
            run.save_last()
            yield {"event": "checkpoint", "step": run.step, "path": str(run.last)}
        if run.test_due and not stopped:
            stopped = yield from _test(run, tests, stop)
        clock += time.perf_counter() - before
        if stopped:
            break
    if stopped:
        yield {"event": "stopped", "step": run.step}
        return
    if not run.best.is_file():
        run.save_best()
    yield {"event": "end", "step": run.step, "best_sad": run.best_sad, "path": str(run.best)}


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
    """Build the cache; False if stopped before the end. DataError if pictures cannot be used."""
    assert config.data.cache
    failed = []
    for record in build_cache(plan, config.data.cache, cores()):
        if "error" in record:
            failed.append(record["error"])
        yield {"event": "caching", "step": 0, "done": record["done"], "of": record["of"]}
        if stop():
            return False
    refuse_failed(failed)
    return True


def _tests(config: Config) -> tuple[list[tuple[str, Paths | DataError]], list[str]]:
    """The test pictures of a run, or a notice that there are none to choose the best by."""
    given = [config.test.root, config.test.image, config.test.trimap, config.test.alpha]
    if not any(given) and not (config.data.root and (config.data.root / "test").is_dir()):
        return [], ["no test pictures (DATA/test, or --test DIR): best is the latest"]
    return pictures_to_score(config.test, config.data.root)


def _pretrain(config: Config, model: nn.Module) -> list[str]:
    """Fill the model from train.pretrain; notices of what it begins with. CheckpointError with what makes the file."""
    wanted = config.train.pretrain or ""
    path = Path(wanted.replace("{runs}", str(config.train.runs)))
    if not path.is_file():
        stage = path.parent.name.removeprefix("stage")
        made_by = f"deepmat train --stage {stage}" if "{runs}" in wanted else "deepmat convert-vgg"
        raise CheckpointError(
            f"{path}: no such weights to begin with; `{made_by}` makes them, --pretrain FILE names others, "
            "--pretrain none begins with random ones"
        )
    fresh = fill_from(model, path)
    layers = list(dict.fromkeys(key.rpartition(".")[0] for key in fresh))
    return [f"begins with {path}" + (f"; random: {', '.join(layers)}" if layers else "")]


def _test(
    run: Run, tests: Sequence[tuple[str, Paths | DataError]], stop: Callable[[], bool]
) -> Generator[Record, None, bool]:
    """Score the test pictures, keep the weights if they are the best so far; True if stopped before the end."""
    if tests:
        run.model.eval()
        records: list[Record] = []
        for done, record in enumerate(evaluate(run.model, tests, run.config.test, ("sad", "mse")), start=1):
            records.append({key: record[key] for key in ("name", "sad", "mse", "error") if key in record})
            yield {"event": "testing", "step": run.step, "done": done, "of": len(tests)}
            if stop() and done < len(tests):
                return True
        run.model.train()
        failed = [record["error"] for record in records if "error" in record]
        if len(failed) == len(records):
            raise DataError(
                f"none of the {len(failed)} test pictures can be used; the first: {failed[0]}. The run is saved up to "
                f"step {run.step}; `--resume auto` goes on with this test"
            )
        scores = mean(records, ("sad", "mse"))
        best = scores["sad"] < run.best_sad
        if best:
            run.best_sad = scores["sad"]
            run.save_best(**scores)
        pictures = len(records) - len(failed)
        yield {"event": "test", "step": run.step, **scores, "best": best, "pictures": pictures, "failed": failed}
    else:
        run.save_best()
    run.test_due = False
    run.save_last()
    return False
