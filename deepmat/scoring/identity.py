"""What a test set is, so that a score can say of what: its compositor, its trimaps, a checksum of its pixels.

And whether scores on it compare with those published for Composition-1k: 1000 composites by Adobe's script of 50
foregrounds and VOC 2012's pictures, official trimaps, the benchmark's protocol.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepmat.data.compositing import MANIFEST, is_unchanged, read_manifest
from deepmat.errors import DataError

PICTURES, FOREGROUNDS = 1000, 50


class Identity(NamedTuple):
    """What is known of a test set without decoding it.

    compositor: as the manifest names it; trimaps: "given" where all come with the foregrounds, as Adobe's do, "from
    alphas" where `composite` made some; both "unknown" without a manifest. foregrounds: composite -> its foreground.
    These are the manifest's claims: `deepmat doctor` measures whether the pixels are so.
    """

    compositor: str
    trimaps: str
    foregrounds: dict[str, str]


def identify(folders: Mapping[str, Path]) -> tuple[Identity, list[str]]:
    """What the manifest says of the images, trimaps and alphas beside it, and a notice where it cannot be read.

    folders: of "image", "trimap" and "alpha". Where one lies elsewhere, the manifest tells nothing of it.
    """
    nothing = Identity("unknown", "unknown", {})
    home = folders["image"].parent
    if any(folder.resolve() != (home / kind).resolve() for kind, folder in folders.items()):
        return nothing, []
    try:
        entries = read_manifest(home / MANIFEST)
    except DataError as error:
        return nothing, [str(error)]
    if not entries:
        return nothing, []
    compositors = sorted({str(entry["compositor"]) for entry in entries})
    trimaps = "given" if all(entry["trimap"] for entry in entries) else "from alphas"
    foregrounds = {str(entry["name"]): str(entry["fg"]) for entry in entries}
    return Identity(" and ".join(compositors), trimaps, foregrounds), []


def changed_images(images: Path) -> list[str]:
    """Why the images are not those of their manifest: files whose checksum is another one; empty if they are."""
    changed = [
        entry["name"]
        for entry in read_manifest(images.parent / MANIFEST)
        if not is_unchanged(str(images.parent / entry["image"]), [entry["bytes"], None, entry["crc32"]])
    ]
    return [f"{_count(len(changed), 'image')} changed since composited, {changed[0]} for one"] if changed else []


def digest(*pictures: np.ndarray) -> str:
    """sha256 of pixels and sizes, in hexadecimal: the same however a file is packed."""
    total = hashlib.sha256()
    for pixels in pictures:
        total.update(repr(pixels.shape).encode())
        total.update(np.ascontiguousarray(pixels).data)
    return total.hexdigest()


def checksum(digests: Mapping[str, str]) -> str:
    """One checksum, 16 hexadecimal digits, of all pictures by name."""
    lines = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def differences_from_published(
    test: Identity, names: Iterable[str], settings: Mapping[str, Any], failed: int, odd: int, shrunk: int
) -> list[str]:
    """Why scores do not compare with those published for Composition-1k; empty if they do.

    names: the pictures scored; settings: "protocol" and, of networks, "precision", "fit" and "mode"; failed, odd,
    shrunk: how many pictures could not be scored, had trimaps with a notice, were shrunk for the network.
    """
    names = list(names)
    foregrounds = Counter(test.foregrounds[name] for name in names if name in test.foregrounds)
    unlisted = sum(name not in test.foregrounds for name in names)
    each = PICTURES // FOREGROUNDS
    reasons = {f"{len(names)} pictures, where Composition-1k has {PICTURES}": len(names) != PICTURES}
    if unlisted:
        reasons[f"{_count(unlisted, 'picture')} in no {MANIFEST}, which would tell compositor and trimaps"] = True
    else:
        reasons |= {
            f"{_count(len(foregrounds), 'foreground')}, where it has {FOREGROUNDS} with {each} backgrounds each": (
                len(foregrounds) != FOREGROUNDS or (len(names) == PICTURES and len(set(foregrounds.values())) > 1)
            ),
            f"composited by {test.compositor}, not by adobe": test.compositor != "adobe",
            f"trimaps {test.trimaps}, not the official ones": test.trimaps != "given",
        }
    mode, precision = settings.get("mode", "whole"), settings.get("precision", "fp32")
    reasons |= {
        f"protocol {settings['protocol']}, not matlab": settings["protocol"] != "matlab",
        f"precision {precision}, not fp32": precision != "fp32",
        f"mode {mode}, by which the network does not see a picture as it is": mode not in ("whole", "auto", "tile"),
        "each side stretched by itself (--fit stretch)": mode == "whole" and settings.get("fit", "keep") != "keep",
        f"{_count(shrunk, 'picture')} shrunk for the network; give a larger --max-size": bool(shrunk),
        f"{_count(odd, 'trimap')} that {'is' if odd == 1 else 'are'} odd, as noted": bool(odd),
        f"{_count(failed, 'picture')} not scored": bool(failed),
    }
    return [reason for reason, holds in reasons.items() if holds]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
