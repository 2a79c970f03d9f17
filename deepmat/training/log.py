"""Write the records of a training run into its folder: the log, sheets of test pictures, TensorBoard's files."""

from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

from deepmat.errors import DataError
from deepmat.imaging import encode_lossy
from deepmat.imaging.sheets import sheet
from deepmat.report.records import BOARD, LOG, SAMPLES, UNLOGGED, Sample, TrainingRecord
from deepmat.runtime.files import append_line, write_bytes
from deepmat.runtime.records import to_json
from deepmat.training.board import Board

SIDE, QUALITY = 320, 75
"""Side of a picture in a sheet in pixels, and JPEG quality: a row of four pictures takes 40 kB."""

Records = Generator[TrainingRecord, None, None]


def logged(records: Records, folder: Path, tensorboard: bool = False) -> Records:
    """Yield the records; write each into the run's folder before.

    All but UNLOGGED go to FOLDER/log.jsonl; the samples before a test become a sheet in FOLDER/samples; with
    `tensorboard`, scores, losses and sheets go to FOLDER/tensorboard. Raises DataError if the log cannot be written;
    a sheet or board that cannot be written gives a warning record.
    """
    with closing(records), closing(_Pictures(folder, tensorboard)) as pictures:
        for record in records:
            _log(folder, record)
            yield record
            for text in pictures.write(record):
                warning: TrainingRecord = {"event": "warning", "step": record["step"], "text": text}
                _log(folder, warning)
                yield warning


def _log(folder: Path, record: TrainingRecord) -> None:
    if record["event"] not in UNLOGGED:
        append_line(folder / LOG, to_json(record))


class _Pictures:
    """Sheets of test pictures, and the TensorBoard files."""

    def __init__(self, folder: Path, tensorboard: bool) -> None:
        self.folder, self.tensorboard = folder, tensorboard
        self.samples: list[Sample] = []
        self.board: Board | None = None

    def write(self, record: TrainingRecord) -> Iterator[str]:
        """Write what the record adds. Yields what could not be written and why."""
        drawn = None
        if record["event"] == "start":
            _remove_sheets(self.folder / SAMPLES, record["step"])
        elif record["event"] == "sample":
            self.samples.append(record)
        elif record["event"] in ("began", "test") and self.samples:
            drawn = _draw(self.samples)
            self.samples = []
            path = self.folder / SAMPLES / f"step-{record['step']:07}.jpg"
            try:
                write_bytes(path, encode_lossy(drawn, path.suffix, QUALITY))
            except DataError as error:
                yield str(error)
        if self.tensorboard:
            yield from self._to_board(record, drawn)

    def _to_board(self, record: TrainingRecord, drawn: np.ndarray | None) -> Iterator[str]:
        try:
            if record["event"] == "start":
                self.board = Board(self.folder / BOARD, record["step"])
            if self.board:
                self.board.add(record, drawn)
        except (OSError, UnicodeEncodeError) as error:  # TensorBoard writes to UTF-8 names only
            self.board = None
            yield f"{self.folder / BOARD}: {getattr(error, 'strerror', None) or error}; continues without TensorBoard"

    def close(self) -> None:
        if self.board:
            with suppress(OSError):
                self.board.close()


def _draw(samples: list[Sample]) -> np.ndarray:
    """Draw image, trimap, ground truth and prediction of each sample in a row. Returns uint8 RGB."""
    rows = [(each["name"], [each["image"], each["trimap"], each["alpha"], each["prediction"]]) for each in samples]
    return sheet(rows, side=SIDE)


def _remove_sheets(folder: Path, step: int) -> None:
    """Remove the sheets of tests that the run repeats: those after `step`; all at step 0."""
    for path in folder.glob("step-*.jpg"):
        with suppress(ValueError, OSError):
            if not step or int(path.stem.removeprefix("step-")) > step:
                path.unlink()
