"""Find the foregrounds, alphas and backgrounds of a data folder by its layout.

| layout     | recognised by, in order    | foregrounds                                       | backgrounds         |
|------------|----------------------------|---------------------------------------------------|---------------------|
| adobe      | Training_set/ or Test_set/ | by the names lists, in fg/ and alpha/ below it    | bg_train/, bg_test/ |
| composites | image/                     | fg/ and alpha/                                    | bg/                 |
| folders    | fg/                        | fg/ and alpha/ by name; RGBA pictures need none   | bg/                 |
| composites | train/ or test/            | those of its manifest, or its own fg/ and alpha/  | the same            |
| pictures   | anything else              | RGBA pictures                                     | given apart         |
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepmat import imaging
from deepmat.errors import DataError
from deepmat.imaging.fitting import read_alpha_like, read_photo
from deepmat.runtime.listing import list_pictures
from deepmat.runtime.pairing import NoPartner, pair
from deepmat.runtime.paths import is_file, is_folder, is_there
from deepmat.runtime.storage import Address

ADOBE_FOLDERS = {
    "train": ("Training_set", ("Adobe-licensed images", "Other"), "training"),
    "test": ("Test_set", ("Adobe-licensed images",), "test"),
}
LAYOUTS = (
    ("adobe", ("Training_set", "Test_set")),
    ("composites", ("image",)),
    ("folders", ("fg",)),
    ("composites", ("train", "test")),
)
"""Layouts, and the folders of which one is enough to recognise each, in the order of the table above."""


class Foreground(NamedTuple):
    """The files of a foreground."""

    name: str
    fg: Path
    alpha: Path | None
    """None: the alpha channel of fg."""


def layout_of(root: Path) -> str:
    """The layout of a data folder, by the table above. DataError if there is no such folder."""
    if not is_folder(root):
        wrong = "is not a folder" if is_there(root) else "no such folder"
        raise DataError(f"{root}: {wrong}; check the path (`deepmat synth {root}` writes a procedural data set there)")
    if isinstance(root, Address):  # a listing could be long
        return next((layout for layout, marks in LAYOUTS if any(is_folder(root / mark) for mark in marks)), "pictures")
    folders = {path.name for path in root.iterdir() if is_folder(path)}
    return next((layout for layout, marks in LAYOUTS if folders.intersection(marks)), "pictures")


def read_names(path: Path) -> list[str]:
    """The lines of one of Adobe's names lists. DataError if it cannot be read."""
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read ({reason}); Adobe's data set has it in this place") from error


def adobe_foregrounds(root: Path, split: str) -> list[Foreground]:
    """The foregrounds of one split in the order of its names list; a missing file raises when it is read."""
    folder, parts, prefix = ADOBE_FOLDERS[split]
    found, names = [], root / folder / f"{prefix}_fg_names.txt"
    for name in read_names(names):
        homes = [root / folder / part for part in parts if is_file(root / folder / part / "fg" / name)]
        home = homes[0] if homes else root / folder / parts[0]
        alpha = home / "alpha" / name
        png = alpha.with_suffix(".png")
        found.append(Foreground(Path(name).stem, home / "fg" / name, alpha if is_file(alpha) else png))
    if not found:
        raise DataError(f"{names}: is empty; it must list the foregrounds, one name per line")
    return found


def find_foregrounds(root: Path, alphas: Path | None = None) -> tuple[list[Foreground], list[str]]:
    """The foregrounds of a data folder (any layout but composites), sorted by name, and notices.

    alphas: the folder of alphas, in place of the layout's own. A picture without an alpha there has its own channel; no
    picture is opened, so reading raises where there is none either. DataError if a folder is missing or empty.
    """
    layout = layout_of(root)
    if layout == "adobe":
        if alphas:
            raise DataError(f"{root}: Adobe's layout has its own alphas; leave {alphas} out")
        return list(adobe_foregrounds(root, "train")), []
    folder = root / "fg" if layout == "folders" else root
    if layout == "folders" and not alphas and is_folder(root / "alpha"):
        alphas = root / "alpha"
    listed, notices = list_pictures(folder)
    pictures: dict[str, Path] = {}
    for name, path in listed.items():
        if isinstance(path, DataError):
            raise path
        pictures[name] = path
    if layout == "pictures":  # folders of other pictures below this one
        others = [root / name for name in ("bg", "bg_train", "bg_test")] + ([alphas] if alphas else [])
        pictures = {name: path for name, path in pictures.items() if not any(map(path.is_relative_to, others))}
    if not alphas:
        return [Foreground(name, path, None) for name, path in pictures.items()], notices
    partners, more = pair(list(pictures), alphas, "alpha")
    found: list[Foreground] = []
    alone: list[str] = []
    for name, path in pictures.items():
        alpha: Path | DataError | None = partners[name]
        if isinstance(alpha, NoPartner):
            alone.append(name)
            alpha = None
        elif isinstance(alpha, DataError):
            more.append(str(alpha))
            alpha = alphas / f"{name}.png"  # which raises when it is read
        found.append(Foreground(name, path, alpha))
    if alone:
        which = f"{alone[0]} for one, so their" if len(alone) > 1 else f"{alone[0]}, so its"
        more.append(f"{alphas}: no alpha for {len(alone)} of {len(found)} foregrounds, {which} own alpha is used")
    return found, notices + more


def background_folder(root: Path | None, split: str = "train") -> Path | None:
    """The folder of the backgrounds of a split: bg_train/ or bg_test/, else bg/; None if there is none."""
    places = [root / f"bg_{split}", root / "bg"] if root else []
    return next((place for place in places if is_folder(place)), None)


def read_foreground(fg: Path, alpha: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Foreground colours, uint8 [H, W, 3], and alpha, uint8 [H, W], from two files or one RGBA file.

    An alpha file is turned as its picture is by EXIF (`imaging.fitting.turn_like`). DataError if they differ in size,
    there is no alpha channel, or alpha is the same everywhere.
    """
    if alpha is None:
        colour, matte = imaging.read_rgba(fg)
        if matte is None:
            how = "save it with one, or put its alpha into alpha/ beside fg/ (composite: or --alpha DIR)"
            raise DataError(f"{fg}: has no alpha channel and no alpha file of its name; {how}")
    else:
        photo, *_ = read_photo(fg)
        colour, (matte, _) = photo.image, read_alpha_like(alpha, photo)  # the doctor reports orientations
        imaging.check_same_size(alpha, matte, fg, colour)
    if matte.min() == matte.max():
        raise DataError(
            f"{alpha or fg}: alpha is {matte.flat[0]} everywhere, so there is no edge to learn from; remove the picture"
        )
    return colour, matte
