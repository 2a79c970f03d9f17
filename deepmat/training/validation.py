"""Score the test pictures of a training run, and keep the best weights."""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

from torch import nn

from deepmat.config import Config, TestConfig
from deepmat.data.pairs import Paths, pictures_to_score
from deepmat.errors import DataError
from deepmat.imaging.sheets import spread
from deepmat.inference.predict import as_network
from deepmat.models import for_prediction, label_of, load_model
from deepmat.report.records import Sample, TrainingRecord
from deepmat.runtime import distributed
from deepmat.runtime.paths import is_folder
from deepmat.runtime.storage import addressed
from deepmat.scoring.metrics import mean
from deepmat.scoring.pictures import ScoredPicture, score_pictures
from deepmat.scoring.records import Scores
from deepmat.training.run import Run

Pictures = Sequence[tuple[str, Paths | DataError]]
METRICS = ("sad", "mse")
SHOWN = 4
"""Number of test pictures in the sheet of each test."""


def score(model: nn.Module, pictures: Pictures, settings: TestConfig) -> Iterator[ScoredPicture]:
    """Predict and score pictures by the benchmark's protocol, on 8-bit predictions, in their order."""
    yield from score_pictures(pictures, {"model": as_network(model, settings)}, metrics=METRICS, workers=2)


def find_tests(config: Config) -> tuple[Pictures, list[str]]:
    """Return the test pictures of a run, and notices; without any the latest weights count as the best."""
    given = [config.test.root, config.test.image, config.test.trimap, config.test.alpha]
    if not any(given) and not (config.data.root and is_folder(addressed(config.data.root) / "test")):
        return [], ["no test pictures (DATA/test, or --test DIR): best is the latest"]
    return pictures_to_score(config.test, config.data.root)


def test(run: Run, tests: Pictures, stop: Callable[[], bool]) -> Generator[TrainingRecord, None, bool]:
    """Score the test pictures, keep the best weights, save the state. Returns whether stopped before the end."""
    if tests:
        run.tested.eval()
        scores = yield from _score_all(run, run.tested, tests, stop)
        run.tested.train()
        if scores is None:
            return True
        yield _tested(run, scores)
    else:
        run.save_best()
    run.test_due = False
    run.save()
    return False


test.__test__ = False  # type: ignore[attr-defined]  # pytest must not collect it


def _tested(run: Run, scores: list[Scores]) -> TrainingRecord:
    """Keep the weights if they are the best so far. Raises DataError if no picture could be scored."""
    failed = [each["error"] for each in scores if "error" in each]
    scored = [each["name"] for each in scores if "sad" in each]
    if not scored:
        raise DataError(
            f"none of the {len(failed)} test pictures can be used; the first: {failed[0]}. The run is saved up to "
            f"step {run.step}; `--resume auto` continues with this test"
        )
    means = mean(scores, METRICS)
    # Means over other pictures, where one could not be read this time, do not compare.
    best = means["sad"] < run.best_sad and (run.best_sad == math.inf or scored == run.best_of)
    if best:
        run.best_sad, run.best_of = means["sad"], scored
        run.save_best(**means)
    return {
        "event": "test",
        "step": run.step,
        "sad": means["sad"],
        "mse": means["mse"],
        "best": best,
        "pictures": len(scored),
        "failed": failed,
    }


def score_initial(
    run: Run, path: Path, tests: Pictures, stop: Callable[[], bool]
) -> Generator[TrainingRecord, None, bool]:
    """Score the initial weights, in a file. Returns whether stopped before the end."""
    model = load_model(path, device=next(run.model.parameters()).device)
    scores = yield from _score_all(run, model, tests, stop)
    if scores is None:
        return True
    if any("sad" in each for each in scores):
        means = mean(scores, METRICS)
        run.began = (means["sad"], label_of(path))
        yield {"event": "began", "step": run.step, "sad": means["sad"], "mse": means["mse"], "path": label_of(path)}
    return False


def _score_all(
    run: Run, model: nn.Module, tests: Pictures, stop: Callable[[], bool]
) -> Generator[TrainingRecord, None, list[Scores] | None]:
    """Score all test pictures, each in one of the processes.

    Returns name and scores, or error, of each; None if stopped.
    """
    mine = distributed.share(tests)
    shown = spread(len(mine), SHOWN) if run.main else []
    scores: list[Scores] = []
    stopped = False
    for index, scored in enumerate(score(for_prediction(model), mine, run.config.test)):
        if index in shown and scored.case and scored.mattes:
            yield _sample(run.step, scored)
        scores += scored.records
        done = min(len(scores) * distributed.world(), len(tests))
        yield {"event": "testing", "step": run.step, "done": done, "of": len(tests)}
        if stop() and len(scores) < len(mine):
            stopped = True
            break
    parts = distributed.gather((scores, stopped))
    if any(ended for _, ended in parts):
        return None
    return distributed.merged([part for part, _ in parts])


def _sample(step: int, scored: ScoredPicture) -> Sample:
    case = scored.case
    assert case
    return {
        "event": "sample",
        "step": step,
        "name": scored.name,
        "image": case.image,
        "trimap": case.trimap,
        "alpha": case.alpha,
        "prediction": scored.mattes["model"],
    }
