"""Plans: which foreground goes over which background, by Adobe's lists or by a seed."""

import math
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from deepmat.data.compositing.manifest import Entry
from deepmat.data.layouts import ADOBE_FOLDERS, adobe_foregrounds, find_foregrounds, read_names
from deepmat.errors import DataError, lookup
from deepmat.imaging.blend import COMPOSITORS
from deepmat.runtime.addresses import absolute
from deepmat.runtime.listing import find_pictures
from deepmat.runtime.paths import is_file
from deepmat.runtime.storage import addressed

BACKGROUNDS_PER_FOREGROUND = {"train": 100, "test": 20}
COCO_2014_PREFIX = len("COCO_train2014_")


def _find(name: str, by_name: Mapping[str, Path], folder: Path) -> str:
    """The background file, or its expected place, where reading fails for this composite only."""
    for candidate in (name, name[COCO_2014_PREFIX:] if name.startswith("COCO_") else name):
        if candidate in by_name:
            return str(by_name[candidate])
    return str(folder / name)


def plan_adobe(
    root: Path, split: str, backgrounds: Path, per_foreground: int, compositor: str = "adobe"
) -> list[Entry]:
    """All composites of one split of Adobe's layout, in the order of its names lists.

    COCO-2014 names are also found in a COCO-2017 folder. DataError if a list is missing or too short, or none of the
    listed pictures is in `backgrounds`; a single missing picture fails later, for its own composites only.
    """
    lookup(COMPOSITORS, compositor, "compositor")
    root, backgrounds = absolute(root), absolute(backgrounds)
    folder, _, prefix = ADOBE_FOLDERS[split]
    foregrounds = adobe_foregrounds(root, split)
    bg_list = root / folder / f"{prefix}_bg_names.txt"
    bg_names = read_names(bg_list)
    listed = len(bg_names) // len(foregrounds)
    if listed < per_foreground:
        how = f"lower --per-foreground to {listed}" if listed else "it needs one for each at least"
        raise DataError(
            f"{bg_list}: {len(bg_names)} names are too few for {len(foregrounds)} foregrounds x {per_foreground}; {how}"
        )
    by_name = {path.name: path for path in find_pictures(backgrounds)[0]}
    entries: list[Entry] = []
    for index, (name, fg, alpha) in enumerate(foregrounds):
        colours, matte = str(fg), str(alpha)  # one string for all its composites: a plan may have 43,100
        for k in range(per_foreground):
            trimaps = [fg.parents[1] / "trimaps" / f"{stem}.png" for stem in (f"{name}_{k}", name)]
            entries.append(
                {
                    "name": f"{name}_{k}",
                    "split": split,
                    "fg": colours,
                    "alpha": matte,
                    "bg": _find(bg_names[index * listed + k], by_name, backgrounds),
                    "trimap": str(next(filter(is_file, trimaps), trimaps[0])) if split == "test" else None,
                    "compositor": compositor,
                }
            )
    if not any(is_file(addressed(entry["bg"])) for entry in entries):
        raise DataError(f"{backgrounds}: holds none of the pictures named in {bg_list}; check --bg and --test-bg")
    return entries


def plan_folders(
    root: Path,
    alphas: Path | None,
    backgrounds: Path,
    split: str,
    per_foreground: int,
    seed: int = 0,
    compositor: str = "adobe",
) -> tuple[list[Entry], list[str]]:
    """All composites of the foregrounds of a data folder (`layouts.find_foregrounds`), and notices.

    The backgrounds of a foreground depend only on the seed and its name. Test trimaps are made from the alphas.
    DataError if a folder is missing or empty.
    """
    lookup(COMPOSITORS, compositor, "compositor")
    root, backgrounds = absolute(root), absolute(backgrounds)
    foregrounds, notices = find_foregrounds(root, absolute(alphas) if alphas else None)
    found, more = find_pictures(backgrounds)
    bgs = list(map(str, found))
    notices += more
    if per_foreground > len(bgs):
        notices.append(f"{backgrounds}: {len(bgs)} pictures for {per_foreground} a foreground, so some come again")
    entries: list[Entry] = []
    for name, fg, alpha in foregrounds:
        rng = np.random.default_rng([seed, zlib.crc32(os.fsencode(name))])
        rounds = math.ceil(per_foreground / len(bgs))
        colours, matte = str(fg), str(alpha) if alpha else None
        order = np.concatenate([rng.permutation(len(bgs)) for _ in range(rounds)])[:per_foreground]
        for k, choice in enumerate(order):
            entries.append(
                {
                    "name": f"{name}_{k}",
                    "split": split,
                    "fg": colours,
                    "alpha": matte,
                    "bg": bgs[choice],
                    "trimap": None,
                    "compositor": compositor,
                    "seed": seed,
                }
            )
    return entries, notices
