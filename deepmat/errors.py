"""The errors that deepmat raises for mistakes that a user can correct.

DeepmatError
  ConfigError       a wrong key, value or combination of options
  DataError         a picture, folder or list that is missing, broken or does not fit the others
    TooLarge        more pixels at once than the memory allows
  CheckpointError   weights that are missing, broken or of another model
  DeviceError       a device that this machine does not have
  TrainingError     a run that cannot continue (the loss is NaN, say)
DeepmatWarning      no error: a remark on a picture

Every message names the file or key, what is wrong with it and how to fix it. The command line prints it and exits with
code 1.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar


class DeepmatError(Exception):
    """Base class of all errors that a user can correct."""


class ConfigError(DeepmatError):
    """A wrong key, value or combination of options."""


class DataError(DeepmatError):
    """A picture, folder or list that is missing, broken or does not fit the others."""


class TooLarge(DataError):
    """More pixels at once than the memory allows."""


class CheckpointError(DeepmatError):
    """Weights that are missing, broken or of another model."""


class DeviceError(DeepmatError):
    """A device that this machine does not have."""


class TrainingError(DeepmatError):
    """A run that cannot continue."""


class DeepmatWarning(UserWarning):
    """A remark of `deepmat.predict` on a picture or trimap that looks wrong or was not taken as it is."""


T = TypeVar("T")


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Return ", did you mean X?" with the valid name nearest to `name`, or "" if none is near."""
    near = difflib.get_close_matches(name, list(valid), n=1)
    return f", did you mean {near[0]}?" if near else ""


def lookup(table: Mapping[str, T], name: str, what: str) -> T:
    """Return an entry of one of deepmat's tables. Raises ConfigError with the valid names if there is none."""
    if name not in table:
        raise ConfigError(f"{what} {name!r}: unknown{did_you_mean(name, table) or ','} known: {', '.join(table)}")
    return table[name]
