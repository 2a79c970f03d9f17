"""Types of config values, and the base class of config sections."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict


class Section(BaseModel):
    """A section of the config: strict types, no unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid", validate_default=True)


def _number(value: Any) -> Any:
    """Convert text to a number where it is one: YAML 1.1 reads 1e-5 as text."""
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


def _folder_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w .-]*", name):
        raise ValueError(f"{name!r}: use letters, digits, _, and after the first of them also space . -")
    return name


def _seed(value: int) -> int:
    if value >= 2**64:
        raise ValueError(f"give a number under 2**64, which is what torch takes (got {value!r:.60})")
    return value


Float = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Positive = Annotated[Float, Field(gt=0)]
NotNegative = Annotated[Float, Field(ge=0)]
Share = Annotated[Float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Seed = Annotated[Count, AfterValidator(_seed)]
AtLeast1 = Annotated[int, Field(ge=1)]
Multiple32 = Annotated[int, Field(ge=32, multiple_of=32)]
Pair32 = Annotated[list[Multiple32], Field(min_length=2, max_length=2)]
Range = Annotated[list[AtLeast1], Field(min_length=2, max_length=2), AfterValidator(_ascending)]
"""Lower and upper end of integers, both included."""
Percentages = Annotated[Range, AfterValidator(_percentages)]
FloatRange = Annotated[list[Positive], Field(min_length=2, max_length=2), AfterValidator(_ascending)]
Width = Annotated[Float, Field(gt=0, exclude_if=lambda width: width == 1)]
"""Channels of a network as a share of the published number; left out of files where it is 1."""
Name = Annotated[str, AfterValidator(_folder_name)]
PathIn = Annotated[Path, Strict(False)]
