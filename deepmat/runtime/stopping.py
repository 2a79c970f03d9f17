"""Stopping work whose result nobody wants any more: long loops ask, whoever began the work answers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_CHECK: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)


@contextmanager
def stopping(check: Callable[[], None]) -> Iterator[None]:
    """Within it, `check_stop` calls `check` in this thread, which raises to end the work."""
    token = _CHECK.set(check)
    try:
        yield
    finally:
        _CHECK.reset(token)


def check_stop(*_: object) -> None:
    """Raise what `stopping` was given to raise, if the work is to end. Takes what a solver passes to its callback."""
    check = _CHECK.get()
    if check:
        check()
