"""Scores of test pictures: by themselves, and during a run to choose the best weights by."""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from deepmat.config import Config, TestConfig
from deepmat.data.pairs import Paths, pictures_to_score
from deepmat.errors import DataError
from deepmat.inference import predict as inference
from deepmat.models import for_prediction, label_of, load_model
from deepmat.runtime import distributed as ranks
from deepmat.scoring.metrics import METRICS, mean
from deepmat.scoring.pictures import score_pictures
from deepmat.training.run import Run

Record = dict[str, Any]
Pictures = Sequence[tuple[str, Paths | DataError]]
SHOWN = 4
"""Test pictures that are shown after each test."""


def evaluate(
    model: nn.Module,
    pictures: Pictures,
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


def find_tests(config: Config) -> tuple[Pictures, list[str]]:
    """The test pictures of a run, or a notice that there are none to choose the best by."""
    given = [config.test.root, config.test.image, config.test.trimap, config.test.alpha]
    if not any(given) and not (config.data.root and (config.data.root / "test").is_dir()):
        return [], ["no test pictures (DATA/test, or --test DIR): best is the latest"]
    return pictures_to_score(config.test, config.data.root)


def test(run: Run, tests: Pictures, stop: Callable[[], bool]) -> Generator[Record, None, bool]:
    """Score the test pictures, keep the weights if they are the best so far; True if stopped before the end."""
    if tests:
        run.tested.eval()
        records = yield from _score(run, run.tested, tests, stop)
        run.tested.train()
        if records is None:
            return True
        failed = [record["error"] for record in records if "error" in record]
        if len(failed) == len(records):
            raise DataError(
                f"none of the {len(failed)} test pictures can be used; the first: {failed[0]}. The run is saved up to "
                f"step {run.step}; `--resume auto` goes on with this test"
            )
        scores = mean(records, ("sad", "mse"))
        scored = [record["name"] for record in records if "sad" in record]
        # Means over other pictures, where one could not be read this time, do not compare.
        best = scores["sad"] < run.best_sad and (run.best_sad == math.inf or scored == run.best_of)
        if best:
            run.best_sad, run.best_of = scores["sad"], scored
            run.save_best(**scores)
        pictures = len(records) - len(failed)
        yield {"event": "test", "step": run.step, **scores, "best": best, "pictures": pictures, "failed": failed}
    else:
        run.save_best()
    run.test_due = False
    run.save()
    return False


test.__test__ = False  # type: ignore[attr-defined]


def score_beginning(run: Run, path: Path, tests: Pictures, stop: Callable[[], bool]) -> Generator[Record, None, bool]:
    """Score the network in a weights file, with which the run begins; True if stopped before the end."""
    model = load_model(path, device=next(run.model.parameters()).device)
    records = yield from _score(run, model, tests, stop)
    if records is None:
        return True
    if any("sad" in record for record in records):
        scores = mean(records, ("sad", "mse"))
        run.began = (scores["sad"], label_of(path))
        yield {"event": "began", "step": run.step, **scores, "path": label_of(path)}
    return False


def _score(
    run: Run, model: nn.Module, tests: Pictures, stop: Callable[[], bool]
) -> Generator[Record, None, list[Record] | None]:
    """Name, SAD and MSE, or error, of all test pictures, each scored by one of the processes; None if stopped."""
    mine = ranks.share(tests)
    shown = {index * max(len(mine) - 1, 0) // (SHOWN - 1) for index in range(SHOWN)} if run.main else set()
    records: list[Record] = []
    stopped = False
    for index, record in enumerate(evaluate(for_prediction(model), mine, run.config.test, ("sad", "mse"))):
        if index in shown and "prediction" in record:
            arrays = {key: record[key] for key in ("name", "image", "trimap", "alpha", "prediction")}
            yield {"event": "sample", "step": run.step, **arrays}
        records.append({key: record[key] for key in ("name", "sad", "mse", "error") if key in record})
        done = min(len(records) * ranks.world(), len(tests))
        yield {"event": "testing", "step": run.step, "done": done, "of": len(tests)}
        if stop() and len(records) < len(mine):
            stopped = True
            break
    parts = ranks.gather((records, stopped))
    if any(ended for _, ended in parts):
        return None
    return ranks.merged([scored for scored, _ in parts])
