"""Every default of deepmat, as pydantic models; YAML files and the command line only hold differences.

A config is layered: these defaults <- a YAML file <- named flags <- `--set key.sub=value`. All mistakes are reported
at once, each with the nearest valid key. Paths are relative to where the user stands.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Strict,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from deepmat.errors import ConfigError, did_you_mean


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-5 as text."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _ascending(ends: list[Any]) -> list[Any]:
    if ends[0] > ends[1]:
        raise ValueError(f"the lower end comes first: [{ends[1]}, {ends[0]}]")
    return ends


def _percentages(ends: list[int]) -> list[int]:
    if ends[1] > 100:
        raise ValueError(f"goes up to 100, not {ends[1]}")
    return ends


Float = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
PathIn = Annotated[Path, Strict(False)]
Range = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=2), AfterValidator(_ascending)]
FloatRange = Annotated[
    list[Annotated[Float, Field(gt=0)]], Field(min_length=2, max_length=2), AfterValidator(_ascending)
]
Share = Annotated[Float, Field(ge=0, le=1)]
NotNegative = Annotated[Float, Field(ge=0)]
Multiple32 = Annotated[int, Field(ge=32, multiple_of=32)]
Width = Annotated[Float, Field(gt=0, exclude_if=lambda width: width == 1)]
"""Channels of a network, as a share of the published ones; left out of files where it is 1."""


class Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", validate_default=True)


class ModelSection(Section):
    """The options of a network; each network has a section of its own."""

    arch: str

    @property
    def refines(self) -> bool:
        """Whether the network returns a coarse alpha beside the refined one."""
        return False


class DIMConfig(ModelSection):
    """Deep Image Matting and its public variants."""

    arch: Literal["dim"] = "dim"
    conv6: Literal[1, 3] = 3
    """Kernel size of conv6_1: 1 in weights released before 2019-09-09, 3 since."""
    skip: bool = True
    """Add the encoder's last feature map of each level in the decoder."""
    refine: bool = False
    """With the refinement network."""
    width: Width = 1.0

    @property
    def refines(self) -> bool:
        """Whether the network returns a coarse alpha beside the refined one."""
        return self.refine


class LiteConfig(ModelSection):
    """The small network that deepmat ships."""

    arch: Literal["lite"] = "lite"
    width: Width = 1.0


MODEL_CONFIGS: dict[str, type[ModelSection]] = {"dim": DIMConfig, "lite": LiteConfig}


def _arch(options: Any) -> str:
    return str(options.get("arch", "dim") if isinstance(options, Mapping) else getattr(options, "arch", "dim"))


ModelConfig = Annotated[Annotated[DIMConfig, Tag("dim")] | Annotated[LiteConfig, Tag("lite")], Discriminator(_arch)]
"""The options of any network of MODELS, told apart by `arch`; DIM's where none is named."""
model_options: TypeAdapter[ModelConfig] = TypeAdapter(ModelConfig)
"""model_options.validate_python({"arch": "lite"}) is a LiteConfig."""


class Affine(Section):
    """Turn, scale and shear a window around a pixel of fractional alpha."""

    probability: Share = 0.5
    rotate: NotNegative = 30
    """Degrees, either way."""
    scale: FloatRange = [0.8, 1.25]
    shear: NotNegative = 10
    """Degrees, either way."""
    window: Annotated[int, Field(ge=32)] = 768
    """Side of the window in pixels, at least the largest crop; the crop is cut from it."""


class Crop(Section):
    """A square window centred on a pixel of fractional alpha, as far as the border allows."""

    sizes: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] = [320, 480, 640]
    """Its side in pixels is one of these, or the picture's shorter side where that is less."""


class Resize(Section):
    size: Annotated[list[Multiple32], Field(min_length=2, max_length=2)] = [320, 320]
    """Height and width of the samples."""
    interpolation: Annotated[list[Literal["nearest", "linear", "cubic", "area", "lanczos"]], Field(min_length=1)] = [
        "linear"
    ]
    """One of these, drawn for each sample."""


class Flip(Section):
    """Left to right."""

    probability: Share = 0.5


class Combine(Section):
    """A second foreground behind the first: alpha = 1 - (1 - a1)(1 - a2)."""

    probability: Share = 0.5


class Jitter(Section):
    """Other colours for the foreground, in HSV."""

    probability: Share = 1.0
    hue: NotNegative = 40
    """Degrees, either way."""
    saturation: Share = 0.3
    value: Share = 0.3
    """Factors 1 - x ... 1 + x."""


class Background(Section):
    fit: Literal["cover", "window"] = "cover"
    """cover: at the scale at which it covers the foreground, as composite does; window: any part, at any scale."""


class Blur(Section):
    """Gaussian blur of what the network sees."""

    probability: Share = 0.2
    sigma: FloatRange = [0.3, 1.5]
    """Pixels."""


class Noise(Section):
    """Gaussian noise on what the network sees."""

    probability: Share = 0.3
    sigma: FloatRange = [1, 10]
    """Of 255 levels."""


class Jpeg(Section):
    """What the network sees went through a JPEG file."""

    probability: Share = 0.5
    quality: Annotated[Range, AfterValidator(_percentages)] = [40, 95]


class Trimap(Section):
    """The trimap by erosion and dilation of alpha; sizes and times are drawn from these ranges, ends included."""

    kernel: Range = [2, 4]
    """Size in pixels of the elliptical kernel."""
    iterations: Range = [5, 14]
    independent: bool = False
    """Draw for the foreground's and the background's border apart."""


class DistanceTrimap(Section):
    """Some of the trimaps, by distance instead: all within a drawn width of fractional alpha is unknown."""

    probability: Share = 0.5
    width: Range = [1, 40]
    """Pixels, drawn for the foreground's and the background's border apart, each octave as likely."""
    uneven: Share = 0.0
    """How many of them vary along the edge, by up to a few times, as if painted by hand."""


class Blots(Section):
    """Ellipses of the trimap, anywhere, that are unknown too."""

    probability: Share = 0.3
    count: Range = [1, 4]
    radius: Range = [5, 80]
    """Pixels, both half axes, each octave as likely."""


class Forget(Section):
    """What has the colour of a known pixel is unknown, on its side."""

    probability: Share = 0.2
    levels: Range = [15, 50]
    """How near a colour must be, of 255 levels in each channel."""


class Untold(Section):
    """All that `combine` put behind is unknown: a part with colours of its own, of which nothing is known."""

    probability: Share = 0.5


class AugmentConfig(Section):
    """What makes a sample of a picture, in this order; null leaves a step out (functions: deepmat.data.augment)."""

    affine: Affine | None = None
    crop: Crop = Crop()
    resize: Resize = Resize()
    flip: Flip | None = Flip()
    combine: Combine | None = None
    jitter: Jitter | None = None
    background: Background = Background()
    blur: Blur | None = None
    noise: Noise | None = None
    jpeg: Jpeg | None = None
    trimap: Trimap = Trimap()
    distance_trimap: DistanceTrimap | None = None
    blots: Blots | None = None
    forget: Forget | None = None
    untold: Untold | None = None

    @model_validator(mode="after")
    def _window_fits(self) -> "AugmentConfig":
        if self.affine and self.affine.window < max(self.crop.sizes):
            raise ValueError(f"affine.window {self.affine.window} is under crop.sizes {self.crop.sizes}; raise it")
        return self


class Large(Section):
    """Some steps on samples that are larger, as many a batch: what is seen from far, and wide unknown regions."""

    every: Annotated[int, Field(ge=1)] = 8
    """One step in so many."""
    times: Annotated[int, Field(ge=2)] = 2
    """How much larger: sample, crop and affine's window, and with them distance_trimap's widths and blots' radius."""


class DataConfig(Section):
    root: PathIn | None = None
    """Training data in any layout of deepmat.data.layouts: foregrounds and backgrounds, or composites of them."""
    fg: PathIn | None = None
    alpha: PathIn | None = None
    bg: PathIn | None = None
    """Folders by themselves, in place of root's: foregrounds (without alpha, RGBA), their alphas, backgrounds."""
    image: PathIn | None = None
    """With fg, alpha and bg: ready composites of the same names."""
    per_foreground: Annotated[int, Field(ge=1)] = 100
    """Samples, each over another background, that a foreground gives in an epoch; a composite gives one."""
    synth: Annotated[int, Field(ge=0)] = 0
    """Procedural samples in an epoch, besides those of the folders."""
    cache: PathIn | None = Path("cache")
    """Folder for decoded foregrounds, 4 bytes a pixel, from which a crop reads only its own; null decodes each time."""
    cache_backgrounds: bool = False
    """Backgrounds too, 3 bytes a pixel."""
    augment: AugmentConfig = AugmentConfig()
    large: Large | None = None
    doubled: Annotated[float, Field(ge=0, le=1)] = 0
    """Share of the samples that are made at half their size, then doubled by repeating pixels, as lite sees small
    pictures."""


class SweepConfig(Section):
    """What `eval` makes harder, step by step, to see how scores follow."""

    trimap: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] = [2, 5, 10, 20, 40, 80]
    """Pixels around fractional alpha, both ways, that are unknown."""
    jpeg: Annotated[list[Annotated[int, Field(ge=1, le=100)]], Field(min_length=1)] = [95, 75, 50, 25, 10]
    """Quality of a JPEG file that the image went through."""
    noise: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] = [2, 5, 10, 20, 40]
    """Standard deviation of Gaussian noise on the image, of 255 levels."""


class TestConfig(Section):
    """Pictures to score on, and how the network is applied to a whole picture (predict uses the same keys)."""

    __test__ = False

    root: PathIn | None = None
    """A test set, image/, trimap/ and alpha/, or the folder above one named test; in place of data.root's."""
    image: PathIn | None = None
    trimap: PathIn | None = None
    alpha: PathIn | None = None
    """The three test folders by themselves, in place of root's."""
    mode: str = "whole"
    max_size: Multiple32 = 1600
    """Mode whole: the longer side is shrunk to this, never enlarged."""
    fit: Literal["keep", "stretch"] = "keep"
    """Mode whole: keep the aspect ratio and pad, or clip and stretch each side on its own as the old tool did."""
    size: Annotated[list[Multiple32], Field(min_length=2, max_length=2)] = [320, 320]
    """Modes crop and resize: height and width of what the network sees."""
    tile: Multiple32 = 1024
    overlap: Annotated[int, Field(ge=0, multiple_of=32)] = 256
    """Mode tile: side of a tile and the band that it shares with its neighbour. Mode auto takes the overlap too."""
    memory: Annotated[Float, Field(gt=0)] | None = None
    """Mode auto: GB that the process may take in all; None is half of what is free."""
    double: Annotated[int, Field(ge=0)] | None = None
    """Pictures of up to so many pixels a side are seen at twice their size, in three to four times the time;
    None leaves it to the network: 1024 for lite, whose alphas are better then, no picture for others."""
    sweep: SweepConfig = SweepConfig()

    @model_validator(mode="after")
    def _overlap_fits(self) -> "TestConfig":
        if self.overlap > self.tile // 2:
            raise ValueError(f"overlap {self.overlap} is over half of tile {self.tile}; lower overlap or raise tile")
        return self


class OptimizerConfig(Section):
    name: str = "adam"
    """One of deepmat.training.optimisers.OPTIMIZERS: adam, adamw."""
    betas: Annotated[list[Annotated[Float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)] = [0.9, 0.999]
    eps: Annotated[Float, Field(gt=0)] = 1e-8
    weight_decay: NotNegative = 0.0


class ScheduleConfig(Section):
    """The learning rate over the run, as a share of train.lr."""

    name: str = "constant"
    """One of deepmat.training.optimisers.SCHEDULES: constant, step, cosine, poly."""
    warmup: Annotated[int, Field(ge=0)] = 0
    """Steps over which it first rises from 0."""
    every: Annotated[int, Field(ge=1)] = 10
    """step: epochs after which it is multiplied by gamma, each time."""
    gamma: Annotated[Float, Field(gt=0)] = 0.1
    power: Annotated[Float, Field(gt=0)] = 0.9
    """poly: (share of the steps that is left) ** power."""
    floor: Share = 0.0
    """cosine and poly: where they end."""


class TrainConfig(Section):
    name: Annotated[str, Field(pattern=r"^\w[\w .-]*$")] = "run"
    runs: PathIn = Path("runs")
    """The run's folder is runs/name."""
    pretrain: str | None = None
    """Weights to begin with: a file, in whose path {runs} stands for the folder above, or lite, deepmat's own. None
    begins with random weights."""
    device: str = "auto"
    precision: str = "auto"
    """fp32, bf16 (autocast) or fp16 (autocast, scaled loss); auto is what the device computes with fastest."""
    compile: bool = False
    """torch.compile: minutes at the start, faster steps on a GPU."""
    recompute: bool = False
    """Gradient checkpointing: keeps less of each forward pass and computes it again; less memory, longer steps."""
    seed: Annotated[int, Field(ge=0)] = 0
    workers: Annotated[int, Field(ge=0)] | None = None
    """Processes that load data, for each that trains; None takes its share of the cores, up to four (eight beside a
    GPU). Samples do not depend on it."""
    batch_size: Annotated[int, Field(ge=1)] = 1
    """Samples in a forward pass of each process."""
    accumulate: Annotated[int, Field(ge=1)] = 1
    """Forward passes in a step: a step takes batch_size x accumulate x processes samples."""
    epochs: Annotated[int, Field(ge=1)] = 12
    iterations: Annotated[int, Field(ge=1)] | None = None
    """Number of steps; in place of epochs where given."""
    optimizer: OptimizerConfig = OptimizerConfig()
    lr: Annotated[Float, Field(gt=0)] = 1e-5
    schedule: ScheduleConfig = ScheduleConfig()
    clip: Annotated[Float, Field(gt=0)] | None = None
    """Largest norm of the gradient; a longer one is scaled down to it."""
    ema: Annotated[Float, Field(gt=0, lt=1)] | None = None
    """Decay a step of the moving average of weights (0.999, say), which is then what is tested and kept as best."""
    max_skipped: Annotated[int, Field(ge=0)] = 5
    """Steps in a row that may be skipped since loss or gradient is not finite; one more ends the run."""
    freeze: list[str] = []
    """Parts of the model that are not trained (encoder, decoder; DIM: refinement too)."""
    print_every: Annotated[int, Field(ge=1)] = 10
    test_every: Annotated[int, Field(ge=1)] | None = None
    checkpoint_every: Annotated[int, Field(ge=1)] | None = None
    """In steps; None is once an epoch. The last step always tests and saves."""
    test_first: bool = True
    """Score the weights that the run begins with, if a whole network's, to compare with at its end."""
    keep: Annotated[int, Field(ge=1)] = 2
    """Saved states that stay, the newest ones."""


class Config(Section):
    model: ModelConfig = DIMConfig()
    data: DataConfig = DataConfig()
    loss: dict[str, Annotated[Float, Field(ge=0)]] = {"alpha": 0.5, "composition": 0.5}
    """Weights of the named loss terms (deepmat.training.losses.LOSSES)."""
    train: TrainConfig = TrainConfig()
    test: TestConfig = TestConfig()

    @model_validator(mode="after")
    def _loss_fits(self) -> "Config":
        if not any(self.loss.values()):
            raise ValueError("loss: give at least one term a weight over 0, say loss.alpha=1")
        if self.loss.get("refined") and not self.model.refines:
            raise ValueError("loss.refined: there is no refined alpha without model.refine=true")
        return self

    @property
    def run_folder(self) -> Path:
        return self.train.runs / self.train.name


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`, section by section. ConfigError if a section would take the place of a plain value."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if not isinstance(value, Mapping) or below is None:
            merged[key] = value
        elif isinstance(below, Mapping):
            merged[key] = merge(below, value)
        else:
            raise ConfigError(f"{key}: holds {below!r} where a section of `key: value` lines belongs")
    return merged


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; ConfigError if there is none."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds no `key: value` lines")
    return values


def parse_overrides(assignments: Iterable[str]) -> dict[str, Any]:
    """["train.lr=3e-5"] to {"train": {"lr": "3e-5"}}, the values read as YAML; ConfigError on another form."""
    values: dict[str, Any] = {}
    for assignment in assignments:
        dotted, equals, text = assignment.partition("=")
        if not equals or not dotted:
            raise ConfigError(f"--set {assignment}: write it as key=value, say train.lr=3e-5")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {assignment}: the value is not valid YAML") from error
        for part in reversed(dotted.split(".")):
            value = {part: value}
        values = merge(values, value)
    return values


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a key may hold: none, one, or of `model` one for each arch."""
    if within := get_args(annotation):
        return [section for each in within for section in _sections(each)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def _keys(section: type[BaseModel]) -> dict[str, list[type[BaseModel]]]:
    return {name: _sections(field.annotation) for name, field in section.model_fields.items()}


def _all_keys(section: type[BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, nested in _keys(section).items():
        keys += [key for each in nested for key in _all_keys(each, f"{prefix}{name}.")] or [prefix + name]
    return keys


def _suggest(location: Sequence[Any], arch: str) -> str:
    """The nearest valid dotted key: in the same section first, then the same name anywhere. arch: that of `model`."""
    section: type[BaseModel] | None = MODEL_CONFIGS[arch] if arch else Config
    for part in location[bool(arch) : -1]:
        section = next(iter(_keys(section).get(part, [])), None) if section else None
    name, prefix = str(location[-1]), "".join(f"{part}." for part in location[:-1])
    if arch and (others := [other for other, options in MODEL_CONFIGS.items() if name in options.model_fields]):
        return f" of arch {arch}; {others[0]} has it"
    near = did_you_mean(name, _keys(section)) if section else ""
    if near:
        return near.replace("did you mean ", f"did you mean {prefix}")
    everywhere = {key.rsplit(".", 1)[-1]: key for key in _all_keys(Config)}
    near = did_you_mean(name, everywhere)
    found = near.removeprefix(", did you mean ").removesuffix("?")
    return near.replace(found, everywhere[found]) if near else f"; known here: {', '.join(_keys(section or Config))}"


def _explain(mistake: Mapping[str, Any]) -> str:
    location = [part for part in mistake["loc"] if part != "[key]"]
    arch = location.pop(1) if location[:1] == ["model"] and len(location) > 1 else ""  # how pydantic tells it
    dotted = ".".join(str(part) for part in location)
    if mistake["type"] == "extra_forbidden":
        return f"{dotted}: unknown key{_suggest(location, arch)}"
    if mistake["type"] == "union_tag_invalid":
        name = mistake["ctx"]["tag"]
        near = did_you_mean(name, MODEL_CONFIGS) or ","
        return f"{dotted}.arch {name!r}: unknown{near} known: {', '.join(MODEL_CONFIGS)}"
    message = mistake["msg"].removeprefix("Value error, ")
    got = "" if mistake["type"] == "value_error" else f" (got {mistake['input']!r})"
    return f"{dotted}: {message}{got}" if dotted else message


def build(values: Mapping[str, Any], source: str) -> Config:
    """Validate one merged mapping; ConfigError that lists every mistake. `source` names where it came from."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        mistakes = [_explain(mistake) for mistake in error.errors()]
        head = f"{source}: {len(mistakes)} mistakes:\n  " if len(mistakes) > 1 else f"{source}: "
        raise ConfigError(head + "\n  ".join(mistakes)) from error


def load(
    path: Path | Sequence[Path] | None = None, *, flags: Mapping[str, Any] | None = None, overrides: Iterable[str] = ()
) -> Config:
    """Defaults <- YAML files in order <- flags <- overrides, validated. ConfigError lists every mistake at once."""
    paths = [path] if isinstance(path, (str, Path)) else list(path or ())
    values: dict[str, Any] = {}
    for each in paths:
        values = merge(values, read_yaml(Path(each)))
    flags = flags or {}
    dotted = parse_overrides(overrides)
    sources = [str(each) for each in paths]
    if flags or dotted or not sources:
        sources.append("command line")
    return build(merge(merge(values, flags), dotted), " and ".join(sources))


def dump(config: Config) -> str:
    """The resolved config as YAML that `load` reads back."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def recipe(name: str) -> Path:
    """The YAML file `name` that deepmat ships (configs/NAME.yaml); ConfigError with the known names if none."""
    packaged = Path(str(resources.files("deepmat"))) / "configs"
    folder = packaged if packaged.is_dir() else packaged.parents[1] / "configs"
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml")))
        raise ConfigError(f"{name}: deepmat ships no such recipe; known: {known}")
    return path


def layer(kind: str, name: str | None) -> list[Path]:
    """The file of the config layer that --recipe or --augment names: configs/KIND/NAME.yaml, or a YAML file."""
    if name is None:
        return []
    return [Path(name) if Path(name).suffix in (".yaml", ".yml") else recipe(f"{kind}/{name}")]


def flags(values: Mapping[str, Any]) -> dict[str, Any]:
    """The given flags as a config layer: {"train.lr": 3e-5, "train.seed": None} -> {"train": {"lr": 3e-5}}."""
    nested: dict[str, Any] = {}
    for dotted, value in values.items():
        if value is not None:
            for part in reversed(dotted.split(".")):
                value = {part: value}
            nested = merge(nested, value)
    return nested


def refuse_unused(given: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Raise ConfigError for a flag that was given and that the chosen mode does not take."""
    for flag, value in given.items():
        if value is not None and flag.removeprefix("--").replace("-", "_") not in options:
            raise ConfigError(f"{flag}: mode {options['mode']} does not use it; leave it out")


def refuse_keys(overrides: Iterable[str], sections: tuple[str, ...]) -> None:
    """Raise ConfigError for a setting ("test.tile=512") of a section that is not used."""
    for override in overrides:
        if not override.startswith(tuple(f"{section}." for section in sections)):
            raise ConfigError(
                f"--set {override}: only {', '.join(sections)} keys count here; weights say their own model"
            )
