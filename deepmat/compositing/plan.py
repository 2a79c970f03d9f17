"""Which foreground goes over which background: by Adobe's lists, or by a seed."""

import math
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepmat.compositing.pixels import COMPOSITORS
from deepmat.errors import DataError, lookup
from deepmat.files import find_pictures, list_pictures, pair

ADOBE_FOLDERS = {
    "train": ("Training_set", ("Adobe-licensed images", "Other"), "training"),
    "test": ("Test_set", ("Adobe-licensed images",), "test"),
}
BACKGROUNDS_PER_FOREGROUND = {"train": 100, "test": 20}
COCO_2014_PREFIX = len("COCO_train2014_")

Entry = dict[str, Any]
"""One composite of a plan: name, split, fg, alpha (None: fg's own alpha channel), bg, trimap, compositor."""


def _names(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); Adobe's data set has it at this place") from error


def _find(name: str, by_name: Mapping[str, Path], folder: Path) -> str:
    """The background file, or where it should be (reading it then gives an error for this composite alone)."""
    for candidate in (name, name[COCO_2014_PREFIX:] if name.startswith("COCO_") else name):
        if candidate in by_name:
            return str(by_name[candidate])
    return str(folder / name)


def plan_adobe(
    root: Path, split: str, backgrounds: Path, per_foreground: int, compositor: str = "adobe"
) -> list[Entry]:
    """All composites of one split of Adobe's layout, in the order of its names lists.

    COCO-2014 names are also found in a COCO-2017 folder. DataError if a list is missing or too short, or none of the
    backgrounds is in `backgrounds`; a single missing picture fails later, for its own composites.
    """
    lookup(COMPOSITORS, compositor, "compositor")
    root, backgrounds = Path(os.path.abspath(root)), Path(os.path.abspath(backgrounds))
    folder, parts, prefix = ADOBE_FOLDERS[split]
    fg_names = _names(root / folder / f"{prefix}_fg_names.txt")
    bg_list = root / folder / f"{prefix}_bg_names.txt"
    bg_names = _names(bg_list)
    if len(bg_names) < len(fg_names) * per_foreground:
        raise DataError(
            f"{bg_list}: {len(bg_names)} names are too few for {len(fg_names)} foregrounds x {per_foreground}; "
            f"lower --per-foreground to {len(bg_names) // max(len(fg_names), 1)}"
        )
    by_name = {path.name: path for path in find_pictures(backgrounds)[0]}
    entries: list[Entry] = []
    for index, fg_name in enumerate(fg_names):
        homes = [root / folder / part for part in parts if (root / folder / part / "fg" / fg_name).is_file()]
        home = homes[0] if homes else root / folder / parts[0]
        alpha = home / "alpha" / fg_name
        stem = Path(fg_name).stem
        for k in range(per_foreground):
            trimaps = [home / "trimaps" / f"{name}.png" for name in (f"{stem}_{k}", stem)]
            entries.append(
                {
                    "name": f"{stem}_{k}",
                    "split": split,
                    "fg": str(home / "fg" / fg_name),
                    "alpha": str(alpha if alpha.is_file() else alpha.with_suffix(".png")),
                    "bg": _find(bg_names[index * per_foreground + k], by_name, backgrounds),
                    "trimap": str(next(filter(Path.is_file, trimaps), trimaps[0])) if split == "test" else None,
                    "compositor": compositor,
                }
            )
    if not any(Path(entry["bg"]).is_file() for entry in entries):
        raise DataError(f"{backgrounds}: holds none of the pictures named in {bg_list}; check --bg and --test-bg")
    return entries


def plan_folders(
    foregrounds: Path,
    alphas: Path | None,
    backgrounds: Path,
    split: str,
    per_foreground: int,
    seed: int = 0,
    compositor: str = "adobe",
) -> tuple[list[Entry], list[str]]:
    """Composites of any folder of foregrounds (RGBA, or with `alphas` paired by name), and notices.

    The backgrounds of a foreground depend on the seed and its name alone. Test trimaps are made from the alphas.
    DataError if a folder is missing or empty.
    """
    lookup(COMPOSITORS, compositor, "compositor")
    fgs, notices = list_pictures(Path(os.path.abspath(foregrounds)))
    bgs, more = find_pictures(Path(os.path.abspath(backgrounds)))
    notices += more
    partners: dict[str, Path | DataError] = {}
    if alphas:
        alphas = Path(os.path.abspath(alphas))
        partners, more = pair(list(fgs), alphas, "alpha")
        notices += more
    if per_foreground > len(bgs):
        notices.append(f"{backgrounds}: {len(bgs)} pictures for {per_foreground} a foreground, so some come again")
    entries = []
    for key, fg in fgs.items():
        rng = np.random.default_rng([seed, zlib.crc32(key.encode())])
        rounds = math.ceil(per_foreground / len(bgs))
        order = np.concatenate([rng.permutation(len(bgs)) for _ in range(rounds)])[:per_foreground]
        found = partners.get(key)
        # A missing one fails for its own composites, when it is read.
        alpha = str(alphas / f"{key}.png" if isinstance(found, DataError) else found) if alphas else None
        for k, choice in enumerate(order):
            entries.append(
                {
                    "name": f"{key}_{k}",
                    "split": split,
                    "fg": str(fg),
                    "alpha": alpha,
                    "bg": str(bgs[choice]),
                    "trimap": None,
                    "compositor": compositor,
                    "seed": seed,
                }
            )
    return entries, notices
