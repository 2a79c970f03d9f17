import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepmat import config as configs
from deepmat.cli.options import Augment, Backgrounds, Data, Set, progress_bar, say, stdout
from deepmat.config import flags, layer
from deepmat.errors import ConfigError

if TYPE_CHECKING:
    from deepmat.config import Config


def train(
    stage: Annotated[str | None, typer.Option(help="0, 1, 2 or 3 of Deep Image Matting, or several: 0,1,2,3.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="In place of a stage: finetune, lite, or a YAML file.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="How it is trained: modern, for DIM reference and mmagic too, or a YAML file [the stage's]."),
    ] = None,
    data: Data = None,
    bg: Backgrounds = None,
    test: Annotated[
        Path | None, typer.Option(help="Test set: image/, trimap/, alpha/, or the folder above one named test [DATA].")
    ] = None,
    augment: Augment = None,
    pretrain: Annotated[
        str | None,
        typer.Option(help="Weights to begin with in place of the config's; lite: deepmat's own; none: random ones."),
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on from a saved state, or auto: the run's newest whole one, if any.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin a run of this name again.")] = False,
    runs: Annotated[Path | None, typer.Option(help="Folder of runs [runs].")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run [the stage's].")] = None,
    device: Annotated[str | None, typer.Option(help="auto (the first of cuda, mps, cpu), cuda:1 ...")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same samples and weights [0].")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that load data [a core each, up to 4 or, for a GPU, 8].")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="auto (the device's fastest), fp32, bf16, fp16.")] = None,
    compile_: Annotated[bool, typer.Option("--compile", help="Slow start, faster steps on GPUs.")] = False,
    recompute: Annotated[bool, typer.Option("--recompute", help="Less memory, longer steps.")] = False,
    batch_size: Annotated[int | None, typer.Option(help="Samples a forward pass of each process [1].")] = None,
    accumulate: Annotated[int | None, typer.Option(help="Forward passes a step [1].")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data [12].")] = None,
    iterations: Annotated[int | None, typer.Option(help="Steps, in place of epochs.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate [1e-5].")] = None,
    lr_step: Annotated[int | None, typer.Option(help="Divide the learning rate by 10 every so many epochs.")] = None,
    print_every: Annotated[int | None, typer.Option(help="Steps between lines of losses [10].")] = None,
    test_every: Annotated[int | None, typer.Option(help="Steps between tests [an epoch].")] = None,
    checkpoint_every: Annotated[int | None, typer.Option(help="Steps between saved states [an epoch].")] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write RUN/tensorboard too: losses, scores, pictures.")
    ] = False,
    set_: Set = None,
) -> None:
    """Train: deepmat train --stage 1 --data DATA

    A run is a folder: config.yaml, log.jsonl, state-*.pt (to resume), best.safetensors (by SAD on the test pictures),
    samples/ (some of them, at each test). `deepmat runs` compares runs.
    Ctrl-C ends the step, saves, and says how to go on.
    """
    if stage is None and config is None:
        raise ConfigError("say what to train: --stage 0, 1, 2, 3 (or 0,1,2,3), or --config FILE")
    if stage is not None and config is not None:
        raise ConfigError("--stage and --config: give one of them")
    if resume and overwrite:
        raise ConfigError("--resume and --overwrite: give one of them")
    if config and config.name == str(config) and not config.suffix and not config.is_file():
        config = configs.recipe(str(config))
    files = [config] if config else [configs.recipe(f"stage{part.strip()}") for part in (stage or "").split(",")]
    if name and len(files) > 1:
        raise ConfigError("--name: several stages need their own names; leave it out")
    given = flags(
        {
            "data.root": str(data) if data else None,
            "data.bg": str(bg) if bg else None,
            "test.root": str(test) if test else None,
            "train.runs": str(runs) if runs else None,
            "train.name": name,
            "train.device": device,
            "train.seed": seed,
            "train.workers": workers,
            "train.precision": precision,
            "train.compile": compile_ or None,
            "train.recompute": recompute or None,
            "train.batch_size": batch_size,
            "train.accumulate": accumulate,
            "train.epochs": epochs,
            "train.iterations": iterations,
            "train.lr": lr,
            "train.schedule": {"name": "step", "every": lr_step} if lr_step else None,
            "train.print_every": print_every,
            "train.test_every": test_every,
            "train.checkpoint_every": checkpoint_every,
        }
    )
    if resume and resume != "auto" and len(files) > 1:
        raise ConfigError("--resume FILE: goes with one stage; --resume auto goes on with each stage's own")
    more = layer("recipe", recipe) + layer("augment", augment)
    resolved = []
    for file in files:
        begin = _begin_with(pretrain, file, several=len(files) > 1)
        resolved.append(configs.load([file, *more], flags=configs.merge(given, begin), overrides=set_ or []))
    if tensorboard:
        from deepmat.report import require_tensorboard

        require_tensorboard()
    # All configs are checked before the first stage starts.
    for stage_config in resolved:
        _train_one(stage_config, resume, overwrite, tensorboard)


def _begin_with(pretrain: str | None, file: Path, several: bool) -> dict[str, Any]:
    """--pretrain as a config layer; of several stages, those that begin with another stage's weights keep to that."""
    own = (configs.read_yaml(file).get("train") or {}).get("pretrain")
    if pretrain is None or (several and "{runs}" in str(own)):
        return {}
    return {"train": {"pretrain": None if pretrain == "none" else pretrain}}


def _train_one(config: "Config", resume: str | None, overwrite: bool, tensorboard: bool) -> None:
    from deepmat.report import TrainingDisplay
    from deepmat.runtime import distributed as ranks
    from deepmat.training.loop import train as run
    from deepmat.training.run import BEST, states

    there = states(config.run_folder) or config.run_folder.joinpath(BEST).is_file()
    if there and not resume and not overwrite:
        raise ConfigError(
            f"{config.run_folder}: a run of this name is there; --resume auto goes on with it, --overwrite begins "
            "again, --name NAME keeps both"
        )
    final: dict[str, Any] = {}
    console = stdout()
    # Closed whatever happens: the processes that load data do not hear the signal that ends those left over.
    with _asked_to_stop() as asked, closing(run(config, resume=resume, stop=lambda: bool(asked))) as records:
        first = next(records)
        if ranks.rank():
            (final,) = deque(records, maxlen=1)  # the first process speaks for all
            if final["event"] == "stopped":
                raise typer.Exit(130)
            return
        with TrainingDisplay(
            console, progress_bar(console), config.train.name, config.run_folder, tensorboard
        ) as display:
            display.show(first)
            for record in records:
                display.show(record)
                final = record
    if final.get("event") == "stopped":
        kept = f"saved in {config.run_folder}; the same command with --resume auto goes on"
        say(f"stopped at step {final['step']}, {kept}")
        raise typer.Exit(130)
    say(f"{config.train.name} done: {final['path']}")


@contextmanager
def _asked_to_stop() -> Iterator[list[float]]:
    """A list that SIGINT and SIGTERM put their time into; a SIGINT well after another signal interrupts at once."""
    asked: list[float] = []

    def note(number: int, frame: Any) -> None:
        # A launcher passes on what the terminal has sent already.
        if asked and number == signal.SIGINT and time.monotonic() - asked[0] > 2:
            raise KeyboardInterrupt
        asked.append(time.monotonic())

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
