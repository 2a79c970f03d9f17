"""The files that the names lists of Adobe's layout name, and which of them exist."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from deepmat.checks.findings import Case, Finding, finding, message_of
from deepmat.checks.listing import oddities, pictures_in
from deepmat.data.compositing.plan import BACKGROUNDS_PER_FOREGROUND, COCO_2014_PREFIX
from deepmat.data.layouts import ADOBE_FOLDERS, adobe_foregrounds, background_folder, read_names
from deepmat.errors import DataError
from deepmat.runtime.listing import is_picture


def coco_names(name: str) -> tuple[str, ...]:
    """The names that a listed background can have: COCO-2014 names are also found in a COCO-2017 folder."""
    return (name, name[COCO_2014_PREFIX:]) if name.startswith("COCO_") else (name,)


def adobe_cases(root: Path, given: Path | None) -> Iterator[Case | Finding]:
    """The foregrounds and backgrounds of both splits.

    given: backgrounds in place of the training set's; for the test set only if it has none of its own.
    """
    for split, (folder, parts, prefix) in ADOBE_FOLDERS.items():
        home = root / folder
        if not home.is_dir():
            yield finding("place", home, f"missing, so no {split} set can be made", severity="note")
            continue
        fg_list, bg_list = (home / f"{prefix}_{what}_names.txt" for what in ("fg", "bg"))
        try:
            foregrounds, names = adobe_foregrounds(root, split), read_names(bg_list)
        except DataError as error:
            where = bg_list if str(bg_list) in str(error) else fg_list
            yield finding("list", where, message_of(error, where))
            continue
        for path, times in Counter(fg.fg for fg in foregrounds).items():
            if times > 1:
                yield finding("list", path, f"{times} times in {fg_list.name}; keep one line")
        each = len(names) // max(len(foregrounds), 1)
        if each * len(foregrounds) != len(names) or not names:
            message = f"{len(names)} backgrounds are no whole number for each of {len(foregrounds)} foregrounds"
            yield finding("list", bg_list, f"{message}; check both lists", severity="warning")
        for fg in foregrounds:
            yield from _adobe_foreground(fg.fg, fg.alpha or fg.fg, split, each, fg_list)
        listed = {fg.fg for fg in foregrounds}
        for part in (home / part / "fg" for part in parts if (home / part / "fg").is_dir()):
            yield from oddities(part)
            for path in pictures_in(part)[0]:
                if is_picture(path) and path not in listed and path.is_file():
                    yield finding("list", path, f"not in {fg_list.name}, so it is not used", severity="note")
        scenes = given if given and split == "train" else background_folder(root, split) or given
        if not scenes:
            message = f"no bg_{split}/ here, so the backgrounds were not checked; give them with --bg"
            yield finding("place", home, message, severity="note")
            continue
        pictures, odd = pictures_in(scenes)
        yield from odd
        by_name = {path.name: path for path in pictures}
        used: dict[Path, None] = {}
        for name in dict.fromkeys(names):
            found = next((by_name[other] for other in coco_names(name) if other in by_name), None)
            if found:
                used[found] = None
            elif pictures:
                yield finding("list", scenes / name, f"named in {bg_list.name}, but missing; add it")
        yield from (Case("background", split, (("bg", path),)) for path in used)


def _adobe_foreground(fg: Path, alpha: Path, split: str, each: int, names: Path) -> Iterator[Case | Finding]:
    files = [("fg", fg), ("alpha", alpha)]
    if not fg.is_file():
        yield finding("list", fg, f"named in {names.name}, but missing; add it or remove the line", fix="left out")
    if not alpha.is_file():
        yield finding("partner", fg, f"no alpha of that name in {alpha.parent}; add it", fix="left out")
    if split == "test":
        trimaps = alpha.parents[1] / "trimaps"
        common = trimaps / f"{fg.stem}.png"
        own = [trimaps / f"{fg.stem}_{k}.png" for k in range(min(each, BACKGROUNDS_PER_FOREGROUND["test"]))]
        there = [path for path in own if path.is_file()]
        if len(there) < len(own) and not common.is_file():
            first = next(path for path in own if path not in there)
            message = f"{len(own) - len(there)} of its {len(own)} trimaps are missing, {first} for one; add them"
            yield finding("partner", fg, message, fix="left out")
        files += [("trimap", path) for path in [*there, common] if path.is_file()]
    yield Case("foreground", split, tuple((role, path) for role, path in files if path.is_file()))
