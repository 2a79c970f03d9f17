"""Functions compiled by numba (`pip install 'deepmat[fast]'`); imported only if it is installed."""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F, **options: Any) -> F:
    """Compile a function at its first call, and keep the result on disk where that can be done.

    options: those of `numba.njit`.
    """
    try:
        return njit(nogil=True, cache=True, **options)(function)
    except RuntimeError:  # neither the package nor the user's folder of caches can be written
        return njit(nogil=True, **options)(function)
