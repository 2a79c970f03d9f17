"""Mattes against the truth: pictures are read, predicted and scored at the same time, each in its turn.

What makes the mattes is a network, given as a plain function, or files that any tool wrote; both are scored alike.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from deepmat import imaging
from deepmat.errors import CheckpointError, DataError
from deepmat.imaging import trimap
from deepmat.runtime.files import pair
from deepmat.scoring.identity import digest
from deepmat.scoring.metrics import METRICS
from deepmat.scoring.metrics.scores import fraction
from deepmat.scoring.protocols import DEFAULT, PROTOCOLS, Protocol, in_levels, score

Record = dict[str, Any]
Network = Callable[[np.ndarray, np.ndarray, Mapping[str, Any]], np.ndarray]
"""image (uint8 RGB [H, W, 3]), trimap (uint8 [H, W]), the protocol's geometry -> alpha (float32 [H, W])."""


DOUBTFUL = 0.1
"""Mean error in the known regions from which on a matte is odd."""


class Case(NamedTuple):
    """A picture to score on: image, uint8 RGB [H, W, 3]; trimap, alpha, uint8 [H, W].

    saved: mattes of other tools by run, uint8, or float32 in [0, 1] where a file has over 8 bits, or why there is none.
    """

    name: str
    image: np.ndarray
    trimap: np.ndarray
    alpha: np.ndarray
    saved: dict[str, np.ndarray | DataError]
    notices: list[str]
    doubts: list[str] = []
    """What is odd about mattes, as against the notices of trimaps."""


class Scored(NamedTuple):
    """A picture's scores. A picture that cannot be used has no case, and a record with its error.

    records: one for each run and protocol, {"name", "run", "protocol", "height", "width", a score for each metric, and
    "seconds" of a network}, or {"name", "run", "error"}; mattes: by run, as the first protocol's files have them, uint8
    [H, W]; digest: of the pixels of image, trimap and alpha.
    """

    name: str
    records: list[Record]
    case: Case | None = None
    mattes: dict[str, np.ndarray] = {}
    digest: str = ""


def find_mattes(names: Sequence[str], folders: Mapping[str, Path]) -> dict[str, dict[str, Path | DataError]]:
    """For each picture, each run's file in its folder, or why there is none. DataError if a folder holds no picture."""
    found = {run: pair(names, folder, "prediction")[0] for run, folder in folders.items()}
    return {name: {run: files[name] for run, files in found.items()} for name in names}


def read_case(name: str, paths: Mapping[str, Path] | DataError, saved: Mapping[str, Path | DataError]) -> Case:
    """Decode what belongs to one picture. DataError if it cannot be used; a run's matte that cannot is kept as such."""
    if isinstance(paths, DataError):
        raise paths
    image, alpha = imaging.read_image(paths["image"]), imaging.read_grey(paths["alpha"])
    levels, notices = trimap.read_trimap(paths["trimap"])
    for kind, pixels in (("trimap", levels), ("alpha", alpha)):
        imaging.check_same_size(paths[kind], pixels, paths["image"], image)

    mattes = {run: _read_matte(path, paths["trimap"], levels) for run, path in saved.items()}
    doubts = [doubt for run, matte in mattes.items() if (doubt := _doubt(saved[run], matte, levels))]
    return Case(name, image, levels, alpha, mattes, notices, doubts)


def _read_matte(path: Path | DataError, partner: Path, levels: np.ndarray) -> np.ndarray | DataError:
    try:
        if isinstance(path, DataError):
            return path
        matte = imaging.read_matte(path)
        imaging.check_same_size(path, matte, partner, levels)
        return matte
    except DataError as error:
        return error


def _doubt(path: Path | DataError, matte: np.ndarray | DataError, levels: np.ndarray) -> str:
    """What is odd about a matte, where the trimap knows: it is inverted, of another scale, no matte at all."""
    known = levels != trimap.UNKNOWN
    if isinstance(matte, DataError) or not known.any():
        return ""
    off = float(np.abs(fraction(matte)[known] - levels[known] / 255.0).mean())
    if off < DOUBTFUL:
        return ""
    return f"{path}: {off:.2f} off in the mean where the trimap knows; inverted, of 0 and 1, or of another picture?"


def _predict(case: Case, network: Network, protocols: Mapping[str, Protocol]) -> dict[str, tuple[np.ndarray, float]]:
    """The network's alpha and seconds for each protocol; protocols of one geometry share them."""
    made: list[tuple[Mapping[str, Any], np.ndarray, float]] = []
    mattes = {}
    for name, protocol in protocols.items():
        found = next((each for each in made if each[0] == protocol.geometry), None)
        if found is None:
            begin = time.perf_counter()
            alpha = network(case.image, case.trimap, protocol.geometry)
            found = protocol.geometry, alpha, time.perf_counter() - begin
            made.append(found)
        mattes[name] = found[1:]
    return mattes


def _score_case(
    case: Case,
    predicted: Mapping[str, Mapping[str, tuple[np.ndarray, float]] | DataError],
    protocols: Mapping[str, Protocol],
    metrics: Sequence[str],
    regions: Sequence[str],
) -> Scored:
    """predicted: by run, then by protocol: alpha and seconds, or why there is none."""
    records: list[Record] = []
    mattes = {}
    height, width = case.alpha.shape
    runs: dict[str, Any] = {**predicted, **case.saved}
    for run, made in runs.items():
        if isinstance(made, DataError):
            records.append({"name": case.name, "run": run, "error": str(made)})
            continue
        for name, protocol in protocols.items():
            pred, seconds = made[name] if isinstance(made, Mapping) else (made, None)
            record = {"name": case.name, "run": run, "protocol": name, "height": height, "width": width}
            record |= score(protocol, pred, case.alpha, case.trimap, metrics)
            for region in regions:
                apart = score(protocol, pred, case.alpha, case.trimap, metrics, region)
                record |= {f"{metric}_{region}": value for metric, value in apart.items()}
            records.append(record if seconds is None else {**record, "seconds": seconds})
            if run not in mattes:
                mattes[run] = in_levels(pred, protocol.saved)
    return Scored(case.name, records, case, mattes, digest(case.image, case.trimap, case.alpha))


def score_pictures(
    pictures: Sequence[tuple[str, Mapping[str, Path] | DataError]],
    networks: Mapping[str, Network] | None = None,
    saved: Mapping[str, Mapping[str, Path | DataError]] | None = None,
    *,
    protocols: Mapping[str, Protocol] | None = None,
    metrics: Sequence[str] = tuple(METRICS),
    regions: Sequence[str] = (),
    keep: Callable[[Scored], None] = lambda scored: None,
    workers: int = 1,
) -> Iterator[Scored]:
    """Score every picture of every run by every protocol, in the order given.

    pictures: names and files as `paired.pictures_to_score` gives them; networks: by run; saved: as `find_mattes` gives
    them, also of a network's run, which is not asked then; regions: of metrics.REGIONS, in which each score is taken
    once more, as "sad_fine"; keep: called in a thread with each picture scored, for what is to be written of it. So
    many threads read and score while a network works in the caller's. CheckpointError from a network and whatever
    `keep` raises end it all; what else goes wrong with a picture fails that one alone.
    """
    networks, saved = networks or {}, saved or {}
    protocols = protocols or {DEFAULT: PROTOCOLS[DEFAULT]}

    def read(item: tuple[str, Mapping[str, Path] | DataError]) -> Case | Scored:
        name, paths = item
        try:
            return read_case(name, paths, saved.get(name, {}))
        except (DataError, MemoryError) as error:
            return Scored(name, [{"name": name, "error": _told(name, error)}])

    def finish(case: Case, predicted: dict[str, Any]) -> Scored:
        try:
            scored = _score_case(case, predicted, protocols, metrics, regions)
        except MemoryError as error:
            return Scored(case.name, [{"name": case.name, "error": _told(case.name, error)}])
        keep(scored)
        return scored

    def through(case: Case) -> dict[str, Any]:
        predicted: dict[str, Any] = {}
        for run, network in networks.items():
            if run in case.saved:
                continue
            try:
                predicted[run] = _predict(case, network, protocols)
            except CheckpointError:
                raise  # as it would be for all of them
            except (DataError, MemoryError) as error:
                predicted[run] = DataError(_told(case.name, error))
        return predicted

    threads = cv2.getNumThreads()
    if not networks:
        cv2.setNumThreads(1)  # pictures are scored in parallel already
    pool = ThreadPoolExecutor(workers)
    todo = iter(pictures)
    reading = deque(pool.submit(read, item) for item in islice(todo, workers))
    scoring: deque[Future[Scored] | Scored] = deque()
    try:
        while reading:
            case = reading.popleft().result()
            reading.extend(pool.submit(read, item) for item in islice(todo, 1))
            scoring.append(case if isinstance(case, Scored) else pool.submit(finish, case, through(case)))
            while len(scoring) > workers:
                yield _result(scoring.popleft())
        while scoring:
            yield _result(scoring.popleft())
    finally:
        for future in reading:
            future.cancel()
        pool.shutdown(wait=True)  # what was predicted is kept
        cv2.setNumThreads(threads)


def _result(item: "Future[Scored] | Scored") -> Scored:
    return item if isinstance(item, Scored) else item.result()


def _told(name: str, error: Exception) -> str:
    return f"{name}: too large for the memory ({error})" if isinstance(error, MemoryError) else str(error)
