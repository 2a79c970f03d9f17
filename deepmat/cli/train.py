import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepmat.cli.options import Augment, Backgrounds, Data, Set, progress_bar, say, stdout

if TYPE_CHECKING:
    from deepmat.report.records import TrainingRecord
    from deepmat.training.train import TrainingRun


def train(
    stage: Annotated[str | None, typer.Option(help="0, 1, 2 or 3 of Deep Image Matting, or several: 0,1,2,3.")] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="In place of a stage: finetune, lite, vitmatte, or a YAML file."),
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
        typer.Option(
            help="Initial weights in place of the config's, as for predict; lite: deepmat's own; none: random ones."
        ),
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="Continue from a saved state, or auto: the run's newest whole one, if any.")
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
    compile: Annotated[bool, typer.Option("--compile", help="Slow start, faster steps on GPUs.")] = False,
    recompute: Annotated[bool, typer.Option("--recompute", help="Less memory, longer steps.")] = False,
    batch_size: Annotated[int | None, typer.Option(help="Samples per forward pass and process [1].")] = None,
    accumulate: Annotated[int | None, typer.Option(help="Forward passes per step [1].")] = None,
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
    settings: Set = None,
) -> None:
    """Train: deepmat train --stage 1 --data DATA

    A run is a folder: config.yaml, log.jsonl, state-*.pt (to resume), best.safetensors (by SAD on the test pictures),
    samples/ (some of them, at each test). `deepmat runs` compares runs.
    Ctrl-C ends the step, saves, and prints how to continue.
    """
    arguments = dict(locals(), settings=settings or ())
    from deepmat.training.train import train as prepare

    asked: list[float] = []
    work = prepare(**arguments, stop=lambda: bool(asked))
    for run in work.runs:
        with _noting_signals(asked):
            last = _show(run)
        if last["event"] == "stopped":
            kept = f"saved in {run.folder}; the same command with --resume auto continues"
            _say_once(f"stopped at step {last['step']}, {kept}")
            raise typer.Exit(130)
        if last["event"] == "end":
            _say_once(f"{run.name} done: {last['path']}")


def _show(run: "TrainingRun") -> "TrainingRecord":
    """Train and show the records. Returns the last one."""
    from deepmat.report import TrainingDisplay
    from deepmat.runtime import distributed

    console = stdout()
    # Closed in any case: the processes that load data ignore the signals that would end them.
    with closing(iter(run)) as records:
        last = next(records)
        if distributed.rank():  # the first process of a job shows for all
            return deque(records, maxlen=1).pop()
        with TrainingDisplay(console, progress_bar(console), run.name) as display:
            display.show(last)
            for last in records:
                display.show(last)
    return last


def _say_once(message: str) -> None:
    from deepmat.runtime import distributed

    if distributed.rank() == 0:
        say(message)


@contextmanager
def _noting_signals(asked: list[float]) -> Iterator[None]:
    """Append the time of each SIGINT and SIGTERM to a list; a SIGINT over two seconds after another interrupts."""

    def note(number: int, frame: Any) -> None:
        # A launcher repeats the signal that the terminal has sent to all.
        if asked and number == signal.SIGINT and time.monotonic() - asked[0] > 2:
            raise KeyboardInterrupt
        asked.append(time.monotonic())

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
