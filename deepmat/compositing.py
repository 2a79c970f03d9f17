"""Foregrounds over backgrounds: fit the background, blend, and build a whole data set.

Two compositors are in use in the field and give different test sets (the same weights scored SAD 35.28 on one and
37.84 on the other), so the name of the one that was used goes into the manifest.
"""

import json
import math
import multiprocessing
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from deepmat import imaging, trimap
from deepmat.errors import ConfigError, DataError, lookup
from deepmat.files import append_line, find_pictures, list_pictures, pair, remove_leftovers, write_text
from deepmat.processes import deaf_children

MANIFEST = "manifest.jsonl"
ADOBE_FOLDERS = {
    "train": ("Training_set", ("Adobe-licensed images", "Other"), "training"),
    "test": ("Test_set", ("Adobe-licensed images",), "test"),
}
KINDS = {"train": ("image", "alpha", "fg", "bg"), "test": ("image", "alpha", "fg", "bg", "trimap")}
BACKGROUNDS_PER_FOREGROUND = {"train": 100, "test": 20}
COCO_2014_PREFIX = len("COCO_train2014_")
TEST_TRIMAP = {"kernel_size": 3, "iterations": 10}


def _enlargement(background: np.ndarray, height: int, width: int) -> float:
    return max(height / background.shape[0], width / background.shape[1])


def fit_adobe(background: np.ndarray, height: int, width: int) -> np.ndarray:
    """Adobe's script: enlarge by PIL's bicubic to ceil(side * ratio) if too small, then cut from the top left.

    uint8 [h, w, 3] -> uint8 [height, width, 3].
    """
    ratio = _enlargement(background, height, width)
    if ratio > 1:
        h, w = background.shape[:2]
        size = (math.ceil(w * ratio), math.ceil(h * ratio))
        background = np.asarray(Image.fromarray(background).resize(size, Image.Resampling.BICUBIC))
    return background[:height, :width]


def blend_adobe(foreground: np.ndarray, alpha: np.ndarray, background: np.ndarray) -> np.ndarray:
    """alpha * fg + (1 - alpha) * bg in float64, truncated to 8 bits, as Adobe's script leaves it.

    foreground, background: uint8 [H, W, 3]; alpha: uint8 [H, W]; returns uint8 [H, W, 3].
    """
    fraction = (alpha / 255.0)[..., None]
    return (fraction * foreground + (1 - fraction) * background).astype(np.uint8)


def fit_cv2(background: np.ndarray, height: int, width: int) -> np.ndarray:
    """pytorch-deep-image-matting's: enlarge by cv2's bilinear to int(side * ratio + 1), cut from the top left.

    uint8 [h, w, 3] -> uint8 [height, width, 3].
    """
    ratio = _enlargement(background, height, width)
    if ratio > 1:
        h, w = background.shape[:2]
        size = (int(w * ratio + 1), int(h * ratio + 1))
        background = cv2.resize(background, size, interpolation=cv2.INTER_LINEAR)
    return background[:height, :width]


def blend_cv2(foreground: np.ndarray, alpha: np.ndarray, background: np.ndarray) -> np.ndarray:
    """alpha * fg + (1 - alpha) * bg rounded to the nearest, in integers; shapes and types as for blend_adobe."""
    weight = alpha[..., None].astype(np.int32)
    total = weight * foreground + (255 - weight) * background
    return ((2 * total + 255) // 510).astype(np.uint8)


class Compositor(NamedTuple):
    fit: Callable[[np.ndarray, int, int], np.ndarray]
    blend: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


COMPOSITORS = {"adobe": Compositor(fit_adobe, blend_adobe), "cv2": Compositor(fit_cv2, blend_cv2)}

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


def read_foreground(fg: Path, alpha: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Foreground colours, uint8 [H, W, 3], and alpha, uint8 [H, W], from two files or one RGBA file.

    DataError if they differ in size, there is no alpha channel, or alpha leaves nothing to composite.
    """
    if alpha is None:
        colour, matte = imaging.read_rgba(fg)
        if matte is None:
            raise DataError(f"{fg}: has no alpha channel; give the folder of its alphas with --alpha")
    else:
        colour, matte = imaging.read_image(fg), imaging.read_grey(alpha)
        imaging.check_same_size(alpha, matte, fg, colour)
    if matte.min() == matte.max():
        raise DataError(
            f"{alpha or fg}: alpha is {matte.flat[0]} everywhere, so there is no edge to learn from; remove the picture"
        )
    return colour, matte


def _write_composite(entry: Entry, out: Path, foreground: np.ndarray, alpha: np.ndarray) -> None:
    compositor = COMPOSITORS[entry["compositor"]]
    background = compositor.fit(imaging.read_image(Path(entry["bg"])), *alpha.shape)
    pictures = {"alpha": alpha, "fg": foreground, "bg": background}
    if entry["split"] == "test":
        if entry["trimap"]:
            source = Path(entry["trimap"])
            pictures["trimap"] = trimap.read_trimap(source)[0]
            imaging.check_same_size(source, pictures["trimap"], Path(entry["fg"]), alpha)
        else:
            pictures["trimap"] = trimap.from_alpha(alpha, **TEST_TRIMAP)
    pictures["image"] = compositor.blend(foreground, alpha, background)
    for kind, pixels in pictures.items():
        imaging.write_image(out / entry["split"] / kind / f"{entry['name']}.png", pixels)


def _composite_group(entries: list[Entry], out: Path) -> list[tuple[Entry, str | None]]:
    """Write composites that share a foreground; each with its error message or None."""
    first = entries[0]
    try:
        foreground, alpha = read_foreground(Path(first["fg"]), Path(first["alpha"]) if first["alpha"] else None)
    except DataError as error:
        return [(entry, str(error)) for entry in entries]
    results: list[tuple[Entry, str | None]] = []
    for entry in entries:
        try:
            _write_composite(entry, out, foreground, alpha)
            results.append((entry, None))
        except DataError as error:
            results.append((entry, str(error)))
    return results


def _groups(entries: Iterable[Entry], size: int = 10) -> Iterator[list[Entry]]:
    for _, group in groupby(entries, key=lambda entry: (entry["split"], entry["fg"])):
        members = list(group)
        yield from (members[start : start + size] for start in range(0, len(members), size))


def _read_manifest(path: Path) -> dict[str, Entry]:
    """What is listed by name; a line cut short by a kill is left out."""
    listed = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            listed[entry["name"]] = entry
    return listed


def _finished(plan: list[Entry], out: Path) -> dict[str, Entry]:
    """The entries of the plan, all of one split, that are written already, by name."""
    split = plan[0]["split"]
    listed = _read_manifest(out / split / MANIFEST)
    done = {}
    for entry in plan:
        before = listed.pop(entry["name"], None)
        if before is not None and before != entry:
            changed = sorted(key for key in {*before, *entry} if before.get(key) != entry.get(key))
            raise ConfigError(
                f"{out / split / MANIFEST}: {entry['name']} was made with another {', '.join(changed)}; "
                "choose another output folder or remove this one"
            )
        places = [out / split / kind / f"{entry['name']}.png" for kind in KINDS[split]]
        if before is not None and all(map(Path.is_file, places)):
            done[entry["name"]] = entry
    if listed:
        raise ConfigError(
            f"{out / split / MANIFEST}: lists {next(iter(listed))} and {len(listed) - 1} others that this command does "
            "not make; choose another output folder or remove this one"
        )
    return done


def _write_manifest(path: Path, entries: Iterable[Entry]) -> None:
    write_text(path, "".join(json.dumps(entry) + "\n" for entry in entries))


def _results(groups: Iterable[list[Entry]], out: Path, workers: int) -> Iterator[list[tuple[Entry, str | None]]]:
    """What became of each group, as it is done: here, or in a pool of processes."""
    if workers == 1:
        yield from (_composite_group(group, out) for group in groups)
        return
    # A forked child would inherit the locks of the parent's threads. Windows takes no more than 61.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, 61), spawn, initializer=cv2.setNumThreads, initargs=(1,))
    try:
        with deaf_children():
            tasks = [pool.submit(_composite_group, group, out) for group in groups]
        for task in as_completed(tasks):
            yield task.result()
    except BrokenProcessPool as error:
        raise DataError(
            f"{out}: a worker process ended too early: too little memory, or a script without "
            "`if __name__ == '__main__':`; start again with fewer workers to go on"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def composite(plan: list[Entry], out: Path, workers: int = 1) -> Iterator[dict[str, Any]]:
    """Write every composite of a plan (one split) below out/split: image, alpha, fg, bg and, for a test set, trimap.

    Yields one record per entry {"name", "skipped" or "error" or neither} as it is done, in no fixed order. What an
    earlier, interrupted run listed in the manifest is skipped. A picture that fails is yielded with its message and
    the rest goes on. ConfigError if `out` holds another data set, DataError for an empty plan or one with a name twice.
    More than one worker needs a script that can be imported (`if __name__ == "__main__":`).
    """
    if not plan:
        raise DataError("nothing to composite: the plan is empty")
    if len({entry["name"] for entry in plan}) < len(plan):
        raise DataError("two foregrounds lead to composites of the same name; rename one of them")
    out = Path(out)
    manifest = out / plan[0]["split"] / MANIFEST
    done = _finished(plan, out)
    remove_leftovers(manifest.parent)
    for name in done:
        yield {"name": name, "skipped": True}
    # A cut line of an earlier run must not swallow the first new one.
    _write_manifest(manifest, done.values())
    todo = [entry for entry in plan if entry["name"] not in done]
    for results in _results(_groups(todo), out, workers):
        for entry, error in results:
            if error is None:
                done[entry["name"]] = entry
                append_line(manifest, json.dumps(entry))
            yield {"name": entry["name"], **({"error": error} if error else {})}
    _write_manifest(manifest, (done[entry["name"]] for entry in plan if entry["name"] in done))
