"""A training run for TensorBoard (`pip install 'deepmat[tensorboard]'`)."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepmat.errors import ConfigError


def require_tensorboard() -> None:
    """ConfigError, which says what installs it, where TensorBoard is not there."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise ConfigError("--tensorboard needs TensorBoard: pip install 'deepmat[tensorboard]'") from error


def _scalars(record: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    if record["event"] == "step":
        yield from ((f"loss/{name}", value) for name, value in record["loss"].items())
        yield from ((name, record.get(name)) for name in ("lr", "grad_norm", "samples_per_s"))
    elif record["event"] in ("began", "test"):
        yield from ((f"test/{name}", record[name]) for name in ("sad", "mse"))


class Board:
    """Event files in a folder. What an earlier process wrote for steps after `step`, where this one begins, is hidden.

    OSError from any method if the files cannot be written; then the board is to be left.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder), purge_step=step + 1 if step else 0)

    def show(self, record: Mapping[str, Any], grid: np.ndarray | None) -> None:
        """The numbers of a record of `training.loop.train`, and a picture, uint8 RGB [H, W, 3], beside them."""
        for name, value in _scalars(record):
            if value is not None:
                self.writer.add_scalar(name, value, record["step"])
        if grid is not None:
            self.writer.add_image("samples", grid, record["step"], dataformats="HWC")
        if record["event"] in ("checkpoint", "began", "test"):
            self.writer.flush()

    def close(self) -> None:
        self.writer.close()
