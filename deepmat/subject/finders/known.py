"""Segmentation networks known by name: fetched at the first use, checked, and run by finder `network`."""

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypedDict

from deepmat.errors import DataError, lookup
from deepmat.runtime.fetching import Progress, Remote, cache_folder, fetch, holds
from deepmat.runtime.onnx import runtime
from deepmat.runtime.paths import is_file
from deepmat.subject.finders.settings import Settings

RELEASE = "https://github.com/danielgatis/rembg/releases/download/v0.0.0/"
"""Release of the rembg project that holds the files."""


class Known(NamedTuple):
    """A segmentation network known by name."""

    remote: Remote
    licence: str
    """Of the weights, as their authors state it."""
    trained_on: str
    """Its training data, which has terms of its own."""
    finds: str
    settings: Settings


class FinderRecord(TypedDict):
    """What is shown of a finder."""

    name: str
    finds: str
    megabytes: float
    """0 for finders without a network."""
    licence: str
    trained_on: str
    side: int
    """Pixels of the network's input; 0 without one."""
    path: str
    """Where the file is; "" before it is fetched."""


_SALIENT = "what stands out in a photo"
_GENERAL = "DIS5K, DUTS, HRSOD, UHRSD, HRS10K, P3M-10k, humans"

NETWORKS: dict[str, Known] = {
    "u2netp": Known(
        Remote(
            f"{RELEASE}u2netp.onnx",
            "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
            4_574_861,
        ),
        "Apache-2.0",
        "DUTS",
        f"{_SALIENT}; small and fast",
        Settings(320, divisor="max", output="minmax"),
    ),
    "u2net": Known(
        Remote(
            f"{RELEASE}u2net.onnx",
            "8d10d2f3bb75ae3b6d527c77944fc5e7dcd94b29809d47a739a7a728a912b491",
            175_997_641,
        ),
        "Apache-2.0",
        "DUTS",
        _SALIENT,
        Settings(320, divisor="max", output="minmax"),
    ),
    "isnet-general-use": Known(
        Remote(
            f"{RELEASE}isnet-general-use.onnx",
            "60920e99c45464f2ba57bee2ad08c919a52bbf852739e96947fbb4358c0d964a",
            178_648_008,
        ),
        "Apache-2.0",
        "DIS5K and more that its authors do not name",
        "people, animals, things; fine parts",
        # The normalisation of its training, by the inference code of its authors (xuebinqin/DIS).
        Settings(1024, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0), output="minmax"),
    ),
    "birefnet-general": Known(
        Remote(
            f"{RELEASE}BiRefNet-general-epoch_244.onnx",
            "58f621f00f5d756097615970a88a791584600dcf7c45b18a0a6267535a1ebd3c",
            972_666_916,
        ),
        "MIT",
        _GENERAL,
        "people, animals, things; finest parts; needs gigabytes of memory",
        Settings(1024, output="sigmoid"),
    ),
    "birefnet-general-lite": Known(
        Remote(
            f"{RELEASE}BiRefNet-general-bb_swin_v1_tiny-epoch_232.onnx",
            "5600024376f572a557870a5eb0afb1e5961636bef4e1e22132025467d0f03333",
            224_005_088,
        ),
        "MIT",
        _GENERAL,
        "people, animals, things; fine parts; needs gigabytes of memory",
        Settings(1024, output="sigmoid"),
    ),
}
"""By the names that rembg gives them. The checksums are those of the files of that release."""


def place_of(name: str) -> Path:
    """Return where the cache has the file of a network, or would have it."""
    return cache_folder() / "finders" / f"{name}.onnx"


def _of_rembg(name: str) -> list[Path]:
    """Return where rembg keeps the file of a network, by its settings and by default, in its versions up to now."""
    folders = [
        os.environ.get("U2NET_HOME"),
        os.path.join(os.environ.get("REMBG_HOME") or "~/.rembg", "models"),
        os.path.join(os.environ.get("XDG_DATA_HOME") or "~", ".u2net"),
        "~/.u2net",
    ]
    homes = [Path(os.path.expanduser(folder)) for folder in folders if folder]
    return [home / inside for home in homes for inside in (f"{name}.onnx", f"{name}/{name}.onnx")]


def locate(name: str) -> Path | None:
    """Return the file of a network with the right checksum, in the cache or in rembg's; None where there is none.

    Raises ConfigError for an unknown name.
    """
    remote = lookup(NETWORKS, name, "finder").remote
    for path in [place_of(name), *_of_rembg(name)]:
        with suppress(DataError):  # one that may not be read
            if holds(path, remote):
                return path
    return None


def obtain(name: str, *, offline: bool | None = None, progress: Progress | None = None) -> Path:
    """Return the file of a network with the right checksum; fetch it into the cache if need be.

    offline: fetch nothing; None for what DEEPMAT_OFFLINE says. Raises DataError where it cannot be had (see `fetch`),
    ConfigError for an unknown name, or without onnxruntime, which the file is of no use without.
    """
    runtime()
    return locate(name) or fetch(NETWORKS[name].remote, place_of(name), offline=offline, progress=progress)


def _size_fits(path: Path, remote: Remote) -> bool:
    with suppress(DataError, OSError):
        return is_file(path) and path.stat().st_size == remote.size
    return False


def describe(name: str) -> FinderRecord:
    """Return what is shown of a network; its file is not read but for its size."""
    known = NETWORKS[name]
    paths = [place_of(name), *_of_rembg(name)]
    return {
        "name": name,
        "finds": known.finds,
        "megabytes": round(known.remote.size / 1e6, 1),
        "licence": known.licence,
        "trained_on": known.trained_on,
        "side": known.settings.side or 0,
        "path": next((str(path) for path in paths if _size_fits(path, known.remote)), ""),
    }
