"""Names of pictures that mean the same and are written differently."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

ROLES = "alpha pha matte mask trimap pred prediction out output result".split()
"""Endings that tools add to the name of a picture, as in cat_pha.png."""
ROLE = re.compile(rf"[-_. ]({'|'.join(ROLES)})$", re.IGNORECASE)
SEPARATOR = re.compile(r"[-_. (]")


def composed(name: str) -> str:
    """Return a name in Unicode's composed form (NFC). macOS writes accents apart, other systems mostly not."""
    return unicodedata.normalize("NFC", name)


def without_role(name: str) -> str:
    """Return a name without one of ROLES at its end."""
    return ROLE.sub("", name)


class NearNames:
    """Files by what their names have in common with others: all but case, separators and endings."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._whole: dict[str, Path] = {}
        self._begun: dict[str, Path] = {}
        for path in paths:
            first, *shorter = _beginnings(path.stem)
            self._whole.setdefault(first, path)
            for each in shorter:
                self._begun.setdefault(each, path)

    def find(self, name: str) -> Path | None:
        """Return the file whose name is nearest to `name`, or None if none is near."""
        first, *shorter = _beginnings(name)
        near = self._whole.get(first) or self._begun.get(first)
        return near or next((self._whole[each] for each in shorter if each in self._whole), None)


def _beginnings(name: str) -> Iterator[str]:
    """Yield the name, then its beginnings up to each separator, longest first; of each only letters and digits.

    A name that has none stands for itself.
    """
    ends = [len(name), *(each.start() for each in reversed(list(SEPARATOR.finditer(name))))]
    plain = [re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", name[:end]).casefold()) for end in ends]
    yield plain[0] or name
    yield from filter(None, plain[1:])
