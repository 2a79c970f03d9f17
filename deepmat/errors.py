"""The errors that deepmat raises for mistakes that a user can correct.

DeepmatError
  ConfigError       a wrong key, value or combination of options
  DataError         a picture, folder or list that is missing, broken or does not fit the others
    TooLarge        more pixels at once than the memory allows
    NoSubject       a photo in which no subject is found
  CheckpointError   weights that are missing, broken or of another model
  DeviceError       a device that this machine does not have
  TrainingError     a run that cannot continue (the loss is NaN, say)
DeepmatWarning      no error: a remark on a picture

Every message names the file or key, what is wrong with it and how to fix it. The command line prints it and exits with
code 1.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar


class DeepmatError(Exception):
    """Base class of all errors that a user can correct."""


class ConfigError(DeepmatError):
    """A wrong key, value or combination of options."""


class DataError(DeepmatError):
    """A picture, folder or list that is missing, broken or does not fit the others."""


class TooLarge(DataError):
    """More pixels at once than the memory allows."""


REMEDIES = {
    "trimap": "a trimap (deepmat predict --trimaps)",
    "mask": "a rough mask (--masks)",
    "box": "a box around the subject (--box LEFT,TOP,RIGHT,BOTTOM)",
    "point": "a point on the subject (--point X,Y)",
    "not_point": "a point beside it (--not-point X,Y)",
    "finder": "another finder (--finder u2netp; --finder list names all)",
    "others": "another finder (--finder list names all)",
    "network": "a network's file (--finder model.onnx)",
}
"""What helps where no subject is found, in the words of the command line."""


class NoSubject(DataError):
    """A photo in which no subject is found. The message is in the words of the command line.

    missing: what the photo lacks; remedies: what helps, of REMEDIES; lacking: what this machine lacks, if anything;
    name: of the photo.
    """

    def __init__(self, missing: str, remedies: Sequence[str], lacking: str = "", name: str = "") -> None:
        self.missing, self.remedies, self.lacking, self.name = missing, tuple(remedies), lacking, name
        *most, last = (REMEDIES[each] for each in remedies)
        helps = f"{', '.join(most)} or {last}" if most else last
        super().__init__(f"{name}: " * bool(name) + "; ".join(filter(None, (missing, f"give {helps}", lacking))))

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (self.missing, self.remedies, self.lacking, self.name)

    def of(self, name: str) -> "NoSubject":
        """Return the same error of a photo of that name."""
        return NoSubject(self.missing, self.remedies, self.lacking, name)


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
    """Return ", did you mean X?" with a valid name that begins with `name`, or else the nearest; "" if none is near."""
    names = list(valid)
    begun = [each for each in names if len(name) > 2 and each.startswith(name)]
    near = begun or difflib.get_close_matches(name, names, n=1)
    return f", did you mean {near[0]}?" if near else ""


def as_texts(given: object, name: str) -> list[str]:
    """Return the texts that a caller from Python gave: one, or any iterable of them; none for None and "".

    name: of the argument, for messages. Raises ConfigError for anything else.
    """
    texts = [given] if isinstance(given, str) else given
    if isinstance(texts, Iterable) and not isinstance(texts, bytes):
        texts = list(texts)
        if all(isinstance(each, str) for each in texts):
            return [] if given == "" else texts
    if given is None:
        return []
    raise ConfigError(f"{name}: {given!r:.60} is no text; give a str or a list of them")


def lookup(table: Mapping[str, T], name: str, what: str) -> T:
    """Return an entry of one of deepmat's tables. Raises ConfigError with the valid names if there is none."""
    if not isinstance(name, str) or name not in table:
        near = did_you_mean(str(name), table) or ","
        raise ConfigError(f"{what} {name!r:.60}: unknown{near} known: {', '.join(table)}")
    return table[name]
