"""A sheet of training samples: what `deepmat data show` does."""

from collections.abc import Sequence
from typing import TypedDict, cast

import numpy as np

from deepmat import config as configs
from deepmat import imaging
from deepmat.data.origins import find_origins
from deepmat.data.samples import TrainingSet, times_at
from deepmat.errors import as_texts
from deepmat.imaging.sheets import sheet
from deepmat.runtime.files import AnyPath, as_path, as_path_or_none, refuse_inside

KINDS = {"image": "input", "trimap": "trimap", "alpha": "alpha", "fg": "foreground", "bg": "background"}
"""The pictures of a sample on the sheet, with their titles."""


class Shown(TypedDict):
    """The result of `show_samples`."""

    shown: int
    """Number of samples on the sheet; without any, no sheet is written."""
    samples: int
    """Number of samples in an epoch."""
    failures: dict[str, str]
    """Error messages by the number of the sample."""
    notices: list[str]


def show_samples(
    data: AnyPath | None = None,
    out: AnyPath = "samples.png",
    *,
    bg: AnyPath | None = None,
    augment: AnyPath | None = None,
    count: int = 12,
    seed: int = 0,
    settings: str | Sequence[str] = (),
) -> Shown:
    """Write a sheet of training samples to the picture `out`: input, trimap, alpha, foreground, background.

    The samples are those that `train` makes with the same data, bg, augment and settings (config keys such as
    "data.augment.flip=null"). seed: chooses the samples. Raises ConfigError and DataError; a sample that cannot be made
    is listed in failures.
    """
    augment = str(as_path(augment, "augment")) if augment else None
    place, data, bg = as_path(out, "out"), as_path_or_none(data, "data"), as_path_or_none(bg, "bg")
    refuse_inside("--out", place, [data, bg])
    flags = configs.flags({"data.root": str(data) if data else None, "data.bg": str(bg) if bg else None})
    flags = configs.merge(flags, {"data": {"cache": None}})  # a sheet needs no cache
    config = configs.load(configs.layer("augment", augment), flags=flags, overrides=as_texts(settings, "settings"))
    origins, notices = find_origins(config.data)
    samples = TrainingSet(origins, config.data, seed)
    rows: list[tuple[str, list[np.ndarray]]] = []
    failures = {}
    for row, index in enumerate(np.random.default_rng(seed).permutation(len(samples))[:count]):
        sample = samples[0, int(index), times_at(row, config.data.large)]
        if isinstance(sample, dict):
            pictures = cast(dict[str, np.ndarray], sample)
            rows.append((sample["name"], [pictures[kind] for kind in KINDS]))
        else:
            failures[str(index)] = str(sample)
    if rows:
        imaging.write_image(place, sheet(rows, tuple(KINDS.values()), side=256))
    return {"shown": len(rows), "samples": len(samples), "failures": failures, "notices": notices}
