"""Score mattes against ground truth. Reading, predicting and scoring overlap; order is kept.

Mattes come from a network, given as a plain function, or from files of any tool; both are scored alike.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast

import cv2
import numpy as np

from deepmat.errors import CheckpointError, DataError
from deepmat.scoring.cases import Case, Paths, find_mattes, read_case
from deepmat.scoring.identity import digest
from deepmat.scoring.metrics import METRICS
from deepmat.scoring.protocols import DEFAULT, PROTOCOLS, Protocol, in_levels, score
from deepmat.scoring.records import Scores

__all__ = ["Case", "Network", "ScoredPicture", "find_mattes", "read_case", "score_pictures"]

Network = Callable[[np.ndarray, np.ndarray, Mapping[str, Any]], np.ndarray]
"""image (uint8 RGB [H, W, 3]), trimap (uint8 [H, W]), the protocol's geometry -> alpha (float32 [H, W])."""
Picture = tuple[str, Mapping[str, Path] | DataError]
"""Name and files of a picture, as `pairs.pictures_to_score` returns them."""


class ScoredPicture(NamedTuple):
    """The scores of a picture. A picture that cannot be used has no case and one record, its error."""

    name: str
    records: list[Scores]
    """One for each run and protocol, also without unknown pixels, or one for each run that failed."""
    case: Case | None = None
    mattes: dict[str, np.ndarray] = {}
    """By run, uint8 [H, W], rounded or cut as the first protocol saves them."""
    digest: str = ""
    """Checksum of the pixels of image, trimap and alpha."""
    notices: list[str] = []
    """Remarks on its files."""


class _Matte(NamedTuple):
    """The alpha of a network, float32 [H, W], and the network's time."""

    alpha: np.ndarray
    seconds: float


Predicted = Mapping[str, Mapping[str, _Matte] | DataError]
"""Mattes by run and protocol, or why a run has none."""


class _Job(NamedTuple):
    """How every picture is scored."""

    networks: Mapping[str, Network]
    saved: Mapping[str, Paths]
    protocols: Mapping[str, Protocol]
    metrics: Sequence[str]
    regions: Sequence[str]
    keep: Callable[[ScoredPicture], None]

    def read(self, picture: Picture) -> Case | ScoredPicture:
        name, paths = picture
        try:
            return read_case(name, paths, self.saved.get(name, {}))
        except (DataError, MemoryError) as error:
            return _failed(name, error)

    def predict(self, case: Case) -> Predicted:
        """The mattes of every network that has no saved one."""
        predicted: dict[str, Mapping[str, _Matte] | DataError] = {}
        for run, network in self.networks.items():
            if run in case.saved:
                continue
            try:
                predicted[run] = _predict(case, network, self.protocols)
            except CheckpointError:
                raise  # every picture would fail alike
            except (DataError, MemoryError) as error:
                predicted[run] = DataError(_message(case.name, error))
        return predicted

    def finish(self, case: Case, predicted: Predicted) -> ScoredPicture:
        try:
            scored = self.score(case, predicted)
        except MemoryError as error:
            return _failed(case.name, error)
        self.keep(scored)
        return scored

    def score(self, case: Case, predicted: Predicted) -> ScoredPicture:
        records: list[Scores] = []
        mattes = {}
        height, width = case.alpha.shape
        for run, made in {**predicted, **case.saved}.items():
            if isinstance(made, DataError):
                records.append({"name": case.name, "run": run, "error": str(made)})
                continue
            for name, protocol in self.protocols.items():
                pred = made if isinstance(made, np.ndarray) else made[name].alpha
                if run not in mattes:
                    mattes[run] = in_levels(pred, protocol.saved)
                record = {"name": case.name, "run": run, "protocol": name, "height": height, "width": width}
                scores = self.scores(case, pred, protocol)
                record |= scores
                if not scores:
                    record["error"] = no_score(case.name)
                if not isinstance(made, np.ndarray):
                    record["seconds"] = made[name].seconds
                records.append(cast(Scores, record))
        notices = [*case.notices, *case.doubts]
        return ScoredPicture(case.name, records, case, mattes, digest(case.image, case.trimap, case.alpha), notices)

    def scores(self, case: Case, pred: np.ndarray, protocol: Protocol) -> dict[str, float]:
        """All scores of a matte by a protocol, those over other regions as "sad_fine"; empty without its own."""
        scores = score(protocol, pred, case.alpha, case.trimap, self.metrics)
        if not scores:
            return {}
        for region in self.regions:
            over_region = score(protocol, pred, case.alpha, case.trimap, self.metrics, region)
            scores |= {f"{metric}_{region}": value for metric, value in over_region.items()}
        return scores


def _predict(case: Case, network: Network, protocols: Mapping[str, Protocol]) -> dict[str, _Matte]:
    """The network's alpha for each protocol. Protocols of one geometry share it."""
    made: list[tuple[Mapping[str, Any], _Matte]] = []
    mattes = {}
    for name, protocol in protocols.items():
        matte = next((matte for geometry, matte in made if geometry == protocol.geometry), None)
        if matte is None:
            begin = time.perf_counter()
            alpha = network(case.image, case.trimap, protocol.geometry)
            matte = _Matte(alpha, time.perf_counter() - begin)
            made.append((protocol.geometry, matte))
        mattes[name] = matte
    return mattes


def no_score(name: str) -> str:
    """The error of a picture without unknown pixels."""
    mend = "mark its edge as 128, or score whole pictures with --protocol whole"
    return f"{name}: no pixel of its trimap is unknown, so there is no score; {mend}"


def _failed(name: str, error: Exception) -> ScoredPicture:
    return ScoredPicture(name, [{"name": name, "error": _message(name, error)}])


def _message(name: str, error: Exception) -> str:
    return f"{name}: too large for the memory ({error})" if isinstance(error, MemoryError) else str(error)


def score_pictures(
    pictures: Sequence[Picture],
    networks: Mapping[str, Network] | None = None,
    saved: Mapping[str, Paths] | None = None,
    *,
    protocols: Mapping[str, Protocol] | None = None,
    metrics: Sequence[str] = tuple(METRICS),
    regions: Sequence[str] = (),
    keep: Callable[[ScoredPicture], None] = lambda scored: None,
    workers: int = 1,
) -> Iterator[ScoredPicture]:
    """Score every picture of every run by every protocol, in the order given.

    pictures: as `pairs.pictures_to_score` returns them. networks: by run. saved: mattes by picture and run, as
    `find_mattes` returns them; where one has the name of a network, it replaces the network's prediction. regions: of
    metrics.REGIONS, over which each score is computed in addition. keep: called with each scored picture in a thread,
    to write files of it. workers: threads that read and score; the networks run in the caller's thread.

    A CheckpointError of a network and any error of `keep` end the job. Another error fails its picture alone.
    """
    job = _Job(networks or {}, saved or {}, protocols or {DEFAULT: PROTOCOLS[DEFAULT]}, metrics, regions, keep)
    pool = ThreadPoolExecutor(workers)
    todo = iter(pictures)
    reading = deque(pool.submit(job.read, picture) for picture in islice(todo, workers))
    scoring: deque[Future[ScoredPicture] | ScoredPicture] = deque()
    with _threads_of_opencv(0 if networks else 1):
        try:
            while reading:
                case = reading.popleft().result()
                reading.extend(pool.submit(job.read, picture) for picture in islice(todo, 1))
                if isinstance(case, ScoredPicture):
                    scoring.append(case)
                else:
                    scoring.append(pool.submit(job.finish, case, job.predict(case)))
                while len(scoring) > workers:
                    yield _result(scoring.popleft())
            while scoring:
                yield _result(scoring.popleft())
        finally:
            for future in reading:
                future.cancel()
            pool.shutdown(wait=True)  # `keep` gets all that was predicted


@contextmanager
def _threads_of_opencv(number: int) -> Iterator[None]:
    """OpenCV with so many threads, 0 for its own number: one where pictures are scored in parallel anyway."""
    before = cv2.getNumThreads()
    if number:
        cv2.setNumThreads(number)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _result(item: "Future[ScoredPicture] | ScoredPicture") -> ScoredPicture:
    return item if isinstance(item, ScoredPicture) else item.result()
