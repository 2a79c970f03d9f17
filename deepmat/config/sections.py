"""Config sections: data, test, train, and the whole config."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from deepmat.config.augment import AugmentConfig
from deepmat.config.fields import (
    AtLeast1,
    Count,
    Float,
    Multiple32,
    Name,
    NotNegative,
    Pair32,
    PathIn,
    Positive,
    Section,
    Seed,
    Share,
)
from deepmat.config.network import DIMConfig, ModelConfig


class Large(Section):
    """Larger samples in some steps, as many per batch, for wide context and wide unknown regions."""

    every: AtLeast1 = 8
    """One step in so many has large samples."""
    times: Annotated[int, Field(ge=2)] = 2
    """Factor for the size of sample, crop and affine's window, distance_trimap's widths and blots' radius."""


class DataConfig(Section):
    """The training data and how samples are made of it."""

    root: PathIn | None = None
    """Training data in any layout of deepmat.data.layouts: foregrounds and backgrounds, or their composites."""
    fg: PathIn | None = None
    alpha: PathIn | None = None
    bg: PathIn | None = None
    """Folders in place of root's: foregrounds, their alphas (an RGBA foreground needs none), backgrounds."""
    image: PathIn | None = None
    """Folder of ready composites with the same names as those in fg, alpha and bg."""
    per_foreground: AtLeast1 = 100
    """Samples per foreground and epoch, each over another background; a ready composite gives one."""
    synth: Count = 0
    """Procedural samples per epoch, in addition to those of the folders."""
    photos: PathIn | None = None
    """Folder of photographs, without foregrounds to cut out, for backgrounds and textures of procedural samples."""
    cache: PathIn | None = Path("cache")
    """Folder for decoded foregrounds, 4 bytes per pixel, of which a crop reads its part; null decodes each time."""
    cache_backgrounds: bool = False
    """Cache backgrounds too, 3 bytes per pixel."""
    augment: AugmentConfig = AugmentConfig()
    large: Large | None = None
    doubled: Share = 0
    """Share of samples made at half size and doubled by repeating pixels, as lite sees small pictures."""


class SweepConfig(Section):
    """Levels of the degradations that `deepmat eval` sweeps over."""

    trimap: Annotated[list[AtLeast1], Field(min_length=1)] = [2, 5, 10, 20, 40, 80]
    """Width of the unknown band around fractional alpha, in pixels, both ways."""
    jpeg: Annotated[list[Annotated[int, Field(ge=1, le=100)]], Field(min_length=1)] = [95, 75, 50, 25, 10]
    """Quality of the JPEG compression of the image."""
    noise: Annotated[list[AtLeast1], Field(min_length=1)] = [2, 5, 10, 20, 40]
    """Standard deviation of Gaussian noise on the image, in levels of 255."""


class TestConfig(Section):
    """The test set, and how the network is applied to a whole picture (predict uses the same keys)."""

    __test__ = False  # no test class of pytest

    root: PathIn | None = None
    """A test set with image/, trimap/ and alpha/, or the folder above one named test; in place of data.root's."""
    image: PathIn | None = None
    trimap: PathIn | None = None
    alpha: PathIn | None = None
    """The three test folders, in place of root's."""
    mode: str = "whole"
    max_size: Multiple32 = 1600
    """Mode whole: larger pictures are shrunk to this longer side."""
    fit: Literal["keep", "stretch"] = "keep"
    """Mode whole: keep the aspect ratio and pad, or clip and stretch each side on its own as the old tool did."""
    size: Pair32 = [320, 320]
    """Modes crop and resize: height and width of the network's input."""
    tile: Multiple32 = 1024
    overlap: Annotated[int, Field(ge=0, multiple_of=32)] = 256
    """Mode tile: side of a tile, and width of the band shared with its neighbour. Mode auto uses overlap too."""
    memory: Positive | None = None
    """Mode auto: GB that the process may use in all; None is half of the free memory."""
    double: Count | None = None
    """Pictures of up to so many pixels a side are seen at twice their size, in three to four times the time. None
    leaves it to the network: 1024 for lite, whose alphas improve; 0 for others."""
    correct: bool | None = None
    """Let closed-form matting correct the alpha, so that it follows the picture. None leaves it to the network: lite's
    is corrected, others' are not."""
    narrow: bool | None = None
    """Narrow a wide trimap by what a first look at half the size is sure of. None leaves it to the network: lite does
    so in mode auto, others do not."""
    sweep: SweepConfig = SweepConfig()

    @model_validator(mode="after")
    def _overlap_fits(self) -> "TestConfig":
        if self.overlap > self.tile // 2:
            raise ValueError(f"overlap {self.overlap} is over half of tile {self.tile}; lower overlap or raise tile")
        return self


class OptimizerConfig(Section):
    """The optimiser."""

    name: str = "adam"
    """One of deepmat.training.optimisers.OPTIMIZERS: adam, adamw."""
    betas: Annotated[list[Annotated[Float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)] = [0.9, 0.999]
    eps: Positive = 1e-8
    weight_decay: NotNegative = 0.0
    layer_decay: Annotated[Share, Field(gt=0)] = 1.0
    """The learning rate of each layer of a transformer as a share of that of the layer above it; for networks that say
    how deep their layers are (vitmatte)."""


class ScheduleConfig(Section):
    """The learning rate over the run, as a share of train.lr."""

    name: str = "constant"
    """One of deepmat.training.optimisers.SCHEDULES: constant, step, cosine, poly, piecewise."""
    warmup: Count = 0
    """Steps over which the rate rises linearly from 0."""
    every: AtLeast1 = 10
    """step: epochs between multiplications by gamma."""
    gamma: Positive = 0.1
    power: Positive = 0.9
    """poly: exponent of the share of steps left."""
    floor: Share = 0.0
    """cosine and poly: final value."""
    pieces: list[Annotated[list[NotNegative], Field(min_length=2, max_length=2)]] = []
    """piecewise: [epochs done, value from then on] of each piece but the first, which is 1."""

    @model_validator(mode="after")
    def _has_pieces(self) -> "ScheduleConfig":
        if self.name == "piecewise" and not self.pieces:
            raise ValueError(
                "piecewise has no pieces, so the rate would be constant; give some, say pieces=[[10, 0.1]]"
            )
        return self


class TrainConfig(Section):
    """A training run."""

    name: Name = "run"
    runs: PathIn = Path("runs")
    """The run's folder is runs/name."""
    pretrain: str | None = None
    """Initial weights: a file, in whose path {runs} stands for the value of runs, the name of shipped weights (lite), a
    folder of transformers or a model of the hub (USER/NAME). None starts from random weights."""
    device: str = "auto"
    precision: str = "auto"
    """fp32, bf16 (autocast) or fp16 (autocast, scaled loss); auto is the fastest on the device."""
    compile: bool = False
    """Compile with torch.compile: takes minutes at the start, makes steps faster on a GPU."""
    recompute: bool = False
    """Gradient checkpointing: less memory, longer steps."""
    seed: Seed = 0
    workers: Count | None = None
    """Processes that load data, per training process. None is its share of the cores, up to four (eight beside a
    GPU). Samples do not depend on it."""
    batch_size: AtLeast1 = 1
    """Samples per forward pass and process."""
    accumulate: AtLeast1 = 1
    """Forward passes per step: a step takes batch_size x accumulate x processes samples."""
    epochs: AtLeast1 = 12
    iterations: AtLeast1 | None = None
    """Number of steps, in place of epochs."""
    optimizer: OptimizerConfig = OptimizerConfig()
    lr: Positive = 1e-5
    schedule: ScheduleConfig = ScheduleConfig()
    clip: Positive | None = None
    """Largest norm of the gradient; larger gradients are scaled down to it."""
    ema: Annotated[Float, Field(gt=0, lt=1)] | None = None
    """Decay per step of the moving average of the weights (0.999, say), which is then tested and kept as best."""
    max_skipped: Count = 5
    """Consecutive steps that may be skipped because loss or gradient is not finite; one more ends the run."""
    freeze: list[str] = []
    """Parts of the model that are not trained (encoder, decoder; DIM: refinement too)."""
    print_every: AtLeast1 = 10
    test_every: AtLeast1 | None = None
    checkpoint_every: AtLeast1 | None = None
    """In steps; None is once per epoch. The last step always tests and saves."""
    test_first: bool = True
    """Score the initial weights, if they are of a whole network, for comparison."""
    keep: AtLeast1 = 2
    """Number of saved states to keep; older ones are deleted."""


class Config(Section):
    """The whole config of a run. Raises ConfigError with all unknown keys and wrong values, as a YAML file does.

    Names of losses, optimisers, schedules, modes, precisions, devices and parts to freeze are looked up where they are
    used.
    """

    model: ModelConfig = DIMConfig()
    data: DataConfig = DataConfig()
    loss: dict[str, NotNegative] = {"alpha": 0.5, "composition": 0.5}
    """Weights of the named loss terms (deepmat.training.losses.LOSSES)."""
    train: TrainConfig = TrainConfig()
    test: TestConfig = TestConfig()

    def __init__(self, **values: Any) -> None:
        from deepmat.config.mistakes import as_config_error  # which knows the keys of this class

        try:
            super().__init__(**values)
        except ValidationError as error:
            raise as_config_error(error, "Config") from error

    @model_validator(mode="after")
    def _loss_fits(self) -> "Config":
        if not any(self.loss.values()):
            raise ValueError("loss: give at least one term a weight over 0, say loss.alpha=1")
        if self.loss.get("refined") and not self.model.refines:
            raise ValueError("loss.refined: there is no refined alpha without model.refine=true")
        return self

    @property
    def run_folder(self) -> Path:
        """The folder of the run: runs/name."""
        return self.train.runs / self.train.name
