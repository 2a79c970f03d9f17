"""A job that is ready to be done: what every function behind a command returns."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Work(Generic[T]):
    """A job whose arguments are checked and whose files are found. Iterating over it does the job.

    Making it raises the errors that can be known beforehand and writes nothing. Iterating yields a typed record for
    each item (a picture, a step) as it is done; an item that fails gives a record with "error", and the rest goes on.
    """

    total: int
    """Number of records to expect, for a progress bar."""
    steps: Callable[[], Iterator[T]] = lambda: iter(())
    """Does the job from its beginning; a subclass may override __iter__ in its place."""
    notices: list[str] = field(default_factory=list)
    """Remarks on the input, to be shown before the job begins."""
    about: str = ""
    """One line on what the job uses (network, device, precision); empty where there is nothing to say."""

    def __iter__(self) -> Iterator[T]:
        return self.steps()

    def run(self) -> list[T]:
        """Do the whole job. Returns its records."""
        return list(self)
