"""Which finder."""

import numpy as np

from deepmat.errors import DataError, lookup
from deepmat.imaging.layers import is_opaque
from deepmat.subject.finders import FINDERS, Found, Prompts


def find(
    image: np.ndarray, prompts: Prompts, finder: str | None = None, own_alpha: np.ndarray | None = None
) -> tuple[Found, str, str]:
    """Find the subject. Returns what was found, the name of the finder and why it was used."""
    if finder:
        return lookup(FINDERS, finder, "finder")(image, prompts), finder, "asked for"
    if own_alpha is not None and not is_opaque(own_alpha):
        return Found(own_alpha, 1.0, max(own_alpha.shape), []), "alpha", "the picture has an alpha channel"
    for name, each in FINDERS.items():
        return each(image, prompts), name, "the first"
    raise DataError("no finder")


def list_finders() -> list[dict[str, object]]:
    """Return a row for each finder."""
    return [{"name": name} for name in FINDERS]
