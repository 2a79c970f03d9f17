"""The records of a training run: what `deepmat.train` yields and what a run's log.jsonl holds, one JSON object a line.

Each record has "event" and "step", the number of steps taken. The log holds all records but those of UNLOGGED.
"""

from typing import Literal, TypedDict

import numpy as np

LOG, SAMPLES, BOARD = "log.jsonl", "samples", "tensorboard"
"""Names in a run's folder: the log, the folder of sample sheets, the folder of TensorBoard's files."""
UNLOGGED = ("caching", "testing", "sample")


class Start(TypedDict):
    """The run begins or continues, at "step"."""

    event: Literal["start"]
    step: int
    device: str
    precision: str
    processes: int
    batch: int
    """Samples per step, of all processes."""
    steps: int
    """Steps of the whole run."""
    steps_per_epoch: int
    parameters: int
    """Number of trained parameters."""
    pictures: int
    """Samples per epoch."""
    tests: int
    """Number of test pictures."""
    notices: list[str]


class Caching(TypedDict):
    """Progress of decoding into the cache, before the first step."""

    event: Literal["caching"]
    step: int
    done: int
    of: int


class Began(TypedDict):
    """Scores of the initial weights, if they are of a whole network."""

    event: Literal["began"]
    step: int
    sad: float
    mse: float
    path: str


class Step(TypedDict):
    """Means since the last record of this kind."""

    event: Literal["step"]
    step: int
    epoch: int
    """From 1."""
    lr: float
    grad_norm: float | None
    """None if no step was finite."""
    loss: dict[str, float]
    """By term, and their weighted sum as "total"; empty if no step was finite."""
    skipped: int
    """Steps skipped since the run began."""
    samples_per_s: float
    waiting: float
    """Share of the time spent waiting for data."""


class Warned(TypedDict):
    """Something went wrong that does not end the run."""

    event: Literal["warning"]
    step: int
    text: str


class Checkpoint(TypedDict):
    """The state was saved."""

    event: Literal["checkpoint"]
    step: int
    path: str


class Testing(TypedDict):
    """Progress of a test."""

    event: Literal["testing"]
    step: int
    done: int
    of: int


class Sample(TypedDict):
    """A test picture and its alpha, uint8; the same few pictures before each test record."""

    event: Literal["sample"]
    step: int
    name: str
    image: np.ndarray
    trimap: np.ndarray
    alpha: np.ndarray
    prediction: np.ndarray


class Tested(TypedDict):
    """Mean scores over the test pictures."""

    event: Literal["test"]
    step: int
    sad: float
    mse: float
    best: bool
    """Whether these weights are now kept as best.safetensors."""
    pictures: int
    """Pictures scored."""
    failed: list[str]
    """Why other pictures were not."""


class Stopped(TypedDict):
    """The run was asked to stop, and is saved."""

    event: Literal["stopped"]
    step: int


class End(TypedDict):
    """The run is finished."""

    event: Literal["end"]
    step: int
    best_sad: float
    path: str
    """File of the best weights."""


TrainingRecord = Start | Caching | Began | Step | Warned | Checkpoint | Testing | Sample | Tested | Stopped | End
