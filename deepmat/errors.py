"""What can go wrong through no fault of deepmat's own; the command line shows the message and exits with 1.

DeepmatError
  ConfigError       a wrong key, value or combination of options
  DataError         a picture, folder or list that is missing, broken or does not fit its partners
  CheckpointError   weights that are missing, broken or of another model
  DeviceError       a device that this machine does not have
  TrainingError     a run that cannot go on (the loss became NaN, say)

Every message names the file or key, says what is wrong with it and how to mend it.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar


class DeepmatError(Exception):
    """Root of all errors that a user can mend."""


class ConfigError(DeepmatError):
    pass


class DataError(DeepmatError):
    pass


class TooLarge(DataError):
    """More pixels at once than there is memory for."""


class CheckpointError(DeepmatError):
    pass


class DeviceError(DeepmatError):
    pass


class TrainingError(DeepmatError):
    pass


T = TypeVar("T")


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """ ", did you mean X?" for the valid name nearest to `name`, or "" where none is near."""
    near = difflib.get_close_matches(name, list(valid), n=1)
    return f", did you mean {near[0]}?" if near else ""


def lookup(table: Mapping[str, T], name: str, what: str) -> T:
    """The entry `name` of one of deepmat's tables; ConfigError with the valid names if there is none."""
    if name not in table:
        raise ConfigError(f"{what} {name!r}: unknown{did_you_mean(name, table) or ','} known: {', '.join(table)}")
    return table[name]
