"""Write a training run for TensorBoard (`pip install 'deepmat[tensorboard]'`)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from deepmat.errors import ConfigError
from deepmat.report.records import TrainingRecord


def require_tensorboard() -> None:
    """Raise ConfigError if TensorBoard is not installed."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise ConfigError("--tensorboard needs TensorBoard: pip install 'deepmat[tensorboard]'") from error


def _scalars(record: TrainingRecord) -> Iterator[tuple[str, float | None]]:
    if record["event"] == "step":
        yield from ((f"loss/{name}", value) for name, value in record["loss"].items())
        yield "lr", record["lr"]
        yield "grad_norm", record["grad_norm"]
        yield "samples_per_s", record["samples_per_s"]
    elif record["event"] == "began" or record["event"] == "test":
        yield "test/sad", record["sad"]
        yield "test/mse", record["mse"]


class Board:
    """Event files in a folder. Those that an earlier process wrote for steps after `step` are hidden.

    Every method raises OSError if the files cannot be written; the board is then unusable.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder), purge_step=step + 1 if step else 0)

    def add(self, record: TrainingRecord, sheet: np.ndarray | None) -> None:
        """Add the numbers of a record, and a picture, uint8 RGB [H, W, 3]."""
        for name, value in _scalars(record):
            if value is not None:
                self.writer.add_scalar(name, value, record["step"])
        if sheet is not None:
            self.writer.add_image("samples", sheet, record["step"], dataformats="HWC")
        if record["event"] in ("checkpoint", "began", "test"):
            self.writer.flush()

    def close(self) -> None:
        """Write what is left and close the files."""
        self.writer.close()
