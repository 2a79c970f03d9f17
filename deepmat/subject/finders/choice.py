"""Which finder finds the subject of a photo: the one asked for, or the first that fits."""

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepmat.errors import ConfigError, DataError, NoSubject, lookup
from deepmat.imaging.layers import is_opaque
from deepmat.runtime.fetching import Progress
from deepmat.subject.finders import Finder, Found, Prompts, network
from deepmat.subject.finders.known import NETWORKS, FinderRecord, describe, obtain
from deepmat.subject.finders.plain import find_plain
from deepmat.subject.finders.prompts import find_prompted
from deepmat.subject.finders.settings import Settings, parse_settings

FINDERS: dict[str, Finder] = {"plain": find_plain, "prompts": find_prompted}
"""Finders without a network. Those with one are `known.NETWORKS`, and any ONNX file."""
DEFAULT = "u2netp"
ALPHA = "alpha"
"""Name of what is no finder: the alpha channel that the photo has."""
NO_NETWORK = "is no network, so has no settings of one; leave them out"
WAYS = "box", "point", "mask", "trimap", "finder"
"""What helps where no finder finds the subject (`errors.NoSubject`)."""


class Choice(NamedTuple):
    """A rough mask, and where it comes from."""

    found: Found
    name: str
    """The finder's name, the path of an ONNX file, or "alpha" for the photo's own alpha channel."""
    why: str
    """In a few words, for one line: "u2netp: the border is not plain"."""


def find(
    image: np.ndarray,
    prompts: Prompts | None = None,
    finder: str | Path | None = None,
    own_alpha: np.ndarray | None = None,
    *,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Choice:
    """Find the subject of a photo, uint8 RGB [H, W, 3], by the finder of that name or in that ONNX file.

    finder None: the first that applies of the photo's own alpha, uint8 [H, W], unless it is opaque or empty; `plain`,
    without a box or a point of the subject, if the border is plain; `u2netp`, if it is there or can be fetched;
    `prompts`, with a box or a point.
    settings, progress: of networks (see `network.find`, `known.obtain`). Raises NoSubject where no subject is found,
    ConfigError for an unknown finder or settings that do not fit.
    """
    prompts = prompts or Prompts()
    if finder is not None:
        return Choice(_find(finder, image, prompts, settings, progress), str(finder), "asked for")
    if own_alpha is not None and own_alpha.any() and not is_opaque(own_alpha):
        found = Found(own_alpha, 1.0, max(own_alpha.shape), [])
        if any(prompts):
            found.notices.append("the photo has an alpha channel, which is used, and the prompts are not")
        return Choice(found, ALPHA, "the photo has an alpha channel")
    shown, why = prompts.box or prompts.points, "a box or points are given"
    if not shown:
        try:
            return Choice(_find("plain", image, prompts), "plain", "the border is plain")
        except NoSubject as error:
            why = error.missing
    ways, lacking = WAYS, ""
    try:
        return Choice(_find(DEFAULT, image, prompts, settings, progress), DEFAULT, why)
    except NoSubject as error:
        why, ways = f"{why}; {error.missing}", (*WAYS[:-1], "others")
    except (DataError, ConfigError) as error:
        if settings and isinstance(error, ConfigError):
            raise  # they were set for this network
        ways, lacking = (*WAYS[:-1], "network"), str(error)
    if shown:
        return Choice(_find("prompts", image, prompts), "prompts", "; ".join(filter(None, (why, lacking))))
    raise NoSubject(f"no finder finds the subject: {why}", ways, lacking)


def _find(
    finder: str | Path,
    image: np.ndarray,
    prompts: Prompts,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Found:
    name = str(finder)
    if name in NETWORKS:
        path = obtain(name, progress=progress)
        return network.find(path, image, prompts, settings or NETWORKS[name].settings)
    if network.is_file_of_network(finder):
        return network.find(finder, image, prompts, settings)
    check_name(name)
    if settings is not None:
        raise ConfigError(f"finder {name!r}: {NO_NETWORK}")
    return FINDERS[name](image, prompts)


def finder_names() -> list[str]:
    """Return the names of all finders, with a network and without."""
    return [*FINDERS, *NETWORKS]


def check_name(name: str) -> None:
    """Raise ConfigError unless a finder has that name."""
    lookup(dict.fromkeys(finder_names()), name, "finder")


def settings_for(finder: str | Path | None, pairs: Iterable[str]) -> Settings | None:
    """Return the settings of a finder, changed by "side=512" and so on; None where nothing is to be changed.

    Raises ConfigError for what is wrong.
    """
    known = NETWORKS.get(DEFAULT if finder is None else str(finder))
    changes = [*pairs]
    if changes and not known and str(finder) in FINDERS:
        raise ConfigError(f"finder {str(finder)!r}: {NO_NETWORK}")
    return parse_settings(changes, known.settings if known else None) if changes else None


def list_finders() -> list[FinderRecord]:
    """Return what is to be shown of each finder, for `--finder list`."""
    return [*map(_describe, FINDERS), *map(describe, NETWORKS)]


def _describe(name: str) -> FinderRecord:
    """Return what is shown of a finder without a network: the first line of its docstring."""
    finds = (inspect.getdoc(FINDERS[name]) or "").partition("\n")[0]
    return {"name": name, "finds": finds, "megabytes": 0, "licence": "", "trained_on": "", "side": 0, "path": ""}
