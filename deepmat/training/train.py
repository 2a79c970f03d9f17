"""`deepmat.train`: train one stage or several in order, each into its run folder."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepmat import config as configs
from deepmat.config import Config
from deepmat.errors import ConfigError
from deepmat.report.records import TrainingRecord
from deepmat.runtime import distributed
from deepmat.runtime.addresses import local_only
from deepmat.runtime.files import AnyPath, as_path
from deepmat.runtime.paths import is_file
from deepmat.runtime.work import Work
from deepmat.training.board import require_tensorboard
from deepmat.training.log import logged
from deepmat.training.loop import Stop, never, run_plan
from deepmat.training.plan import Plan, prepare, refuse_loss
from deepmat.training.run import read_state

KEYS = {
    "data": "data.root",
    "bg": "data.bg",
    "test": "test.root",
    "runs": "train.runs",
    "name": "train.name",
    "device": "train.device",
    "seed": "train.seed",
    "workers": "train.workers",
    "precision": "train.precision",
    "compile": "train.compile",
    "recompute": "train.recompute",
    "batch_size": "train.batch_size",
    "accumulate": "train.accumulate",
    "epochs": "train.epochs",
    "iterations": "train.iterations",
    "lr": "train.lr",
    "lr_step": "train.schedule",
    "print_every": "train.print_every",
    "test_every": "train.test_every",
    "checkpoint_every": "train.checkpoint_every",
}
"""Config keys by argument of `train`."""
PATHS = ("data", "bg", "test", "runs")
STAGES = ("0", "1", "2", "3")
"""Of these the paths."""


@dataclass(frozen=True, kw_only=True)
class TrainingRun(Work[TrainingRecord]):
    """A prepared run of one stage. Iterating trains it and writes its folder; it yields the run's records."""

    plan: Plan
    resume: str | None = None
    stop: Stop = never
    tensorboard: bool = False

    @property
    def name(self) -> str:
        """The name of the run, and of its folder."""
        return self.plan.config.train.name

    @property
    def folder(self) -> Path:
        """Where the run keeps its log, config and states."""
        return self.plan.config.run_folder

    def __iter__(self) -> Generator[TrainingRecord, None, None]:
        records = run_plan(self.plan, resume=self.resume, stop=self.stop)
        yield from records if distributed.rank() else logged(records, self.folder, self.tensorboard)


@dataclass(frozen=True, kw_only=True)
class Training(Work[TrainingRecord]):
    """Prepared runs, one for each stage. Iterating trains them in order; a run that is stopped ends it."""

    runs: Sequence[TrainingRun]

    def __iter__(self) -> Iterator[TrainingRecord]:
        for run in self.runs:
            with closing(iter(run)) as records:
                for record in records:
                    yield record
                    if record["event"] == "stopped":
                        return


def train(
    stage: int | str | Config | None = None,
    *,
    config: Config | AnyPath | None = None,
    recipe: AnyPath | None = None,
    data: AnyPath | None = None,
    bg: AnyPath | None = None,
    test: AnyPath | None = None,
    augment: AnyPath | None = None,
    pretrain: AnyPath | None = None,
    resume: AnyPath | None = None,
    overwrite: bool = False,
    runs: AnyPath | None = None,
    name: str | None = None,
    device: str | None = None,
    seed: int | None = None,
    workers: int | None = None,
    precision: str | None = None,
    compile: bool = False,
    recompute: bool = False,
    batch_size: int | None = None,
    accumulate: int | None = None,
    epochs: int | None = None,
    iterations: int | None = None,
    lr: float | None = None,
    lr_step: int | None = None,
    print_every: int | None = None,
    test_every: int | None = None,
    checkpoint_every: int | None = None,
    tensorboard: bool = False,
    settings: str | Sequence[str] = (),
    stop: Stop = never,
) -> Training:
    """Train: what `deepmat train` does.

    stage: 0, 1, 2, 3 of Deep Image Matting, or several in order, "0,1,2,3"; or a Config. config: in place of a stage, a
    shipped config ("finetune", "lite"), a YAML file or a Config. settings: config keys, "train.lr=3e-5". stop: called
    after each step; once it returns true, the run saves its state and ends. Other arguments: docs/training.md.

    Raises ConfigError, DataError, CheckpointError, DeviceError before anything is written. Iterating trains, writes
    config.yaml, log.jsonl, state-*.pt, best.safetensors and samples/ into the run's folder (RUNS/NAME), and yields the
    records of report.records.
    """
    given = {key: value for key, value in locals().items() if key in KEYS}
    given |= {key: _text(given[key], key) for key in PATHS}
    pretrain, resume = _text(pretrain, "pretrain"), _text(resume, "resume")
    config = config if isinstance(config, Config) else _text(config, "config")
    if resume and overwrite:
        raise ConfigError("--resume and --overwrite: give one of them")
    named = {"recipe": _text(recipe, "recipe"), "augment": _text(augment, "augment")}
    layers = [layer for kind, each in named.items() for layer in configs.layer(kind, each)]
    chosen = configs_of(stage, config, layers, _flags(given), pretrain, settings)
    if resume and resume != "auto" and len(chosen) > 1:
        raise ConfigError("--resume FILE: goes with one stage; --resume auto continues each stage")
    if tensorboard:
        require_tensorboard()
    if resume and resume != "auto":
        local_only(Path(resume), "--resume")
        read_state(Path(resume))
    for each in chosen:
        refuse_loss(each.run_folder, resume, overwrite)
    plans = [prepare(each) for each in chosen]
    prepared = [
        TrainingRun(total=plan.steps, plan=plan, resume=resume, stop=stop, tensorboard=tensorboard) for plan in plans
    ]
    return Training(total=sum(plan.steps for plan in plans), runs=prepared)


def _text(path: AnyPath | None, name: str) -> str | None:
    """Return a path, or the name of something that deepmat ships, as text. Raises DataError for anything else."""
    return str(as_path(path, name)) if path else None


def _flags(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of `train` as a config layer. None and False leave a key as it is."""
    values = {KEYS[key]: value for key, value in given.items()}
    if given["lr_step"] is not None:
        values["train.schedule"] = {"name": "step", "every": given["lr_step"]}
    return configs.flags({key: None if value is False else value for key, value in values.items()})


def configs_of(
    stage: int | str | Config | None,
    config: Config | str | None,
    layers: Sequence[Path],
    flags: Mapping[str, Any],
    pretrain: str | None,
    settings: str | Sequence[str],
) -> list[Config]:
    """Return the config of each stage: the stage's own file or `config`, then the layers, flags and settings."""
    if stage is None and config is None:
        raise ConfigError("say what to train: --stage 0, 1, 2, 3 (or 0,1,2,3), or --config FILE")
    if stage is not None and config is not None:
        raise ConfigError("--stage and --config: give one of them")
    if isinstance(stage, Config):
        stage, config = None, stage
    above = [configs.read_yaml(layer) for layer in layers]
    if isinstance(config, Config):
        bases = {"config": config.model_dump(mode="json")}
    else:
        files = [_file(config)] if config else [_stage(each.strip()) for each in str(stage).split(",")]
        bases = {str(file): configs.read_yaml(file) for file in files}
    sources = [*map(str, layers), *(["command line"] if flags or pretrain or settings else [])]
    several = len(bases) > 1
    if several and flags.get("train", {}).get("name"):
        raise ConfigError("--name: several stages need their own names; leave it out")
    resolved = []
    for source, base in bases.items():
        values: dict[str, Any] = {}
        for layer in (base, *above, flags, _begin_with(pretrain, base, several), configs.parse_overrides(settings)):
            values = configs.merge(values, layer)
        resolved.append(configs.build(values, " and ".join([source, *sources])))
    return resolved


def _stage(number: str) -> Path:
    """Return the YAML file of a stage of Deep Image Matting."""
    if number not in STAGES:
        raise ConfigError(f"--stage {number:.60}: give 0, 1, 2 or 3, or several: 0,1,2,3")
    return configs.recipe(f"stage{number}")


def _file(config: str) -> Path:
    """Return the YAML file that --config names: a path, or the name of a shipped config."""
    path = Path(config)
    shipped = path.name == config and not path.suffix and not is_file(path)
    return configs.recipe(config) if shipped else path


def _begin_with(pretrain: str | None, base: Mapping[str, Any], several: bool) -> dict[str, Any]:
    """Return --pretrain as a config layer. Of several stages, it is not for those that begin with another's weights."""
    section = base.get("train")
    own = section.get("pretrain") if isinstance(section, Mapping) else None
    if pretrain is None or (several and "{runs}" in str(own)):
        return {}
    return {"train": {"pretrain": None if pretrain == "none" else pretrain}}
