"""--crop, an option whose value may be left out."""

import os
import re
from collections.abc import Sequence

NO_MARGIN, WIDTHS = "0", re.compile(r"[\d.]+%?")
"""The margin of --crop alone, and what a margin looks like."""


def with_margins(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with a margin of 0 after each --crop that stands without one.

    The word after it is its margin, unless that is an option, or no width but a file, a folder or an address. Typer
    has no options whose value may be left out.
    """
    filled: list[str] = []
    for word, following in zip(words, [*words, "--"][1:], strict=True):
        filled.append(word)
        if word == "--crop" and (following.startswith("-") and not following[1:2].isdigit() or _is_input(following)):
            filled.append(NO_MARGIN)
    return filled


def _is_input(word: str) -> bool:
    return not WIDTHS.fullmatch(word) and ("://" in word or os.path.lexists(word))
