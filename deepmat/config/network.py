"""Config sections of the networks, one for each; `model.arch` names the one in use."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, SerializeAsAny, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from deepmat.config.fields import AtLeast1, Float, Positive, Section, Width


def _unless(default: Any) -> Any:
    """Leave a field out of files where it has its default."""
    return Field(exclude_if=lambda given: given == default)


class ModelSection(Section):
    """The options of a network. Each network has a subclass with its own `arch`."""

    arch: str

    @property
    def refines(self) -> bool:
        """Whether the network returns a coarse alpha beside the refined one."""
        return False

    @property
    def takes_matte(self) -> bool:
        """Whether samples need the alpha of closed-form matting."""
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
    fusion: Annotated[bool, _unless(False)] = False
    """Fuse its alpha with that of closed-form matting."""

    @property
    def takes_matte(self) -> bool:
        """Whether samples need the alpha of closed-form matting."""
        return self.fusion


class ClosedFormConfig(ModelSection):
    """Closed-form matting, which has nothing to train."""

    arch: Literal["closed-form"] = "closed-form"
    epsilon: Positive = 1e-7
    """Weight of the slope of alpha over colour."""


Levels = Annotated[list[Float], Field(min_length=3, max_length=3)]


class VitMatteConfig(ModelSection):
    """ViTMatte as transformers has it."""

    arch: Literal["vitmatte"] = "vitmatte"
    size: Literal["small", "base"] = "small"
    """The published networks, of 26 and 97 million parameters."""
    network: Annotated[dict[str, Any], _unless({})] = {}
    """What differs from the published network: keys of transformers' VitMatteConfig (config.json)."""
    mean: Annotated[Levels, _unless([0.5] * 3)] = [0.5] * 3
    std: Annotated[Levels, _unless([0.5] * 3)] = [0.5] * 3
    """Mean and standard deviation that normalise red, green and blue, as shares of 255."""
    divisor: Annotated[AtLeast1, _unless(32)] = 32
    """Sides are padded to multiples of it."""


MODEL_CONFIGS: dict[str, type[ModelSection]] = {
    "dim": DIMConfig,
    "lite": LiteConfig,
    "closed-form": ClosedFormConfig,
    "vitmatte": VitMatteConfig,
}
"""Section of each network by the name of its `arch`. The first one is the default."""


def _validate(options: Any) -> ModelSection:
    """Return a model section unchanged, a mapping as the section of MODEL_CONFIGS that its `arch` names."""
    if isinstance(options, ModelSection):
        return options
    if not isinstance(options, Mapping):
        raise PydanticCustomError("dict_type", "no section")
    arch = str(options.get("arch", next(iter(MODEL_CONFIGS))))
    if arch not in MODEL_CONFIGS:
        raise PydanticCustomError("unknown_arch", "unknown arch {arch}", {"arch": arch})
    try:
        return MODEL_CONFIGS[arch].model_validate(options)
    except ValidationError as error:
        # pydantic has no way to pass on several mistakes; config.mistakes unpacks them.
        mistakes = {"arch": arch, "mistakes": error.errors()}
        raise PydanticCustomError("model_options", "mistakes in the options of {arch}", mistakes) from error


ModelConfig = Annotated[SerializeAsAny[ModelSection], PlainValidator(_validate)]
"""The options of any network: an instance of its section, or a mapping with the section's keys."""
model_options: TypeAdapter[ModelSection] = TypeAdapter(ModelConfig)
"""model_options.validate_python({"arch": "lite"}) is a LiteConfig."""
