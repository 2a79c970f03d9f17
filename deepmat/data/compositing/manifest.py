"""The manifest of a composited split: one JSON object per line, from which foreground, alpha and background follow.

| key | value |
|---|---|
| name, split | the composite's name in its folders; "train" or "test" |
| fg, alpha, bg, trimap | source files, relative to the manifest; alpha null: the foreground's own channel |
| compositor | name of the compositor that fitted the background and blended |
| seed | seed of the random choice of backgrounds; absent for Adobe's lists |
| offset | [top, left] of the foreground in the fitted background |
| image | the composite's file, relative to the manifest |
| size | [height, width] |
| bytes, crc32 | of the composite's file |
| sources | kind: stamp of each source file before it was read (`Stamp`) |

crc32 is in hexadecimal. An entry of a plan lacks what only writing shows: size, bytes, crc32, sources.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypedDict

from deepmat.errors import DataError
from deepmat.imaging import crc32
from deepmat.imaging.blend import COMPOSITORS
from deepmat.runtime import distributed
from deepmat.runtime.addresses import absolute, joined, relative
from deepmat.runtime.files import open_log, write_text
from deepmat.runtime.paths import is_file, is_folder
from deepmat.runtime.storage import Address, addressed, version

MANIFEST = "manifest.jsonl"
Kind = Literal["fg", "alpha", "bg", "trimap"]
SOURCES: tuple[Kind, ...] = ("fg", "alpha", "bg", "trimap")

Stamp = list[int | str | None]
"""[bytes, time of last change in ns or None, crc32] of a file; [None, its version, None] of one in a storage."""


class Planned(TypedDict):
    """What is known of a composite before it is written. The table above explains the keys; paths are absolute."""

    name: str
    split: str
    fg: str
    alpha: str | None
    bg: str
    trimap: str | None
    compositor: str


class Entry(Planned, total=False):
    """A composite of a plan or of a manifest."""

    seed: int
    offset: list[int]
    image: str
    size: list[int]
    bytes: int
    crc32: str
    sources: dict[str, Stamp]


def checksum(data: bytes) -> str:
    """The crc32 of bytes in hexadecimal, eight digits."""
    return f"{crc32(data):08x}"


def stamp(path: str) -> Stamp:
    """The stamp of a file. DataError if it cannot be read."""
    place = addressed(path)
    if isinstance(place, Address):
        return [None, version(place), None]
    try:
        about = os.stat(path)
        return [about.st_size, about.st_mtime_ns, checksum(Path(path).read_bytes())]
    except OSError as error:
        raise DataError(f"{path}: {(error.strerror or 'cannot be read').lower()}; check the path") from error


def is_unchanged(path: str, before: Stamp) -> bool:
    """Whether a file has the content that it had when it was stamped; a copy of it counts as unchanged."""
    try:
        place = addressed(path)
        if isinstance(place, Address):
            if before[2] is None:
                return version(place) == before[1]
            return checksum(place.read_bytes()) == before[2]
        about = os.stat(path)
        if about.st_size != before[0]:
            return False
        return about.st_mtime_ns == before[1] or checksum(Path(path).read_bytes()) == before[2]
    except (OSError, DataError):
        return False


def asked_once() -> Callable[[str, Stamp], bool]:
    """`is_unchanged`, which asks a storage once only for each file, a source of many composites."""
    answers: dict[str, bool] = {}

    def unchanged(path: str, before: Stamp) -> bool:
        if not isinstance(addressed(path), Address):
            return is_unchanged(path, before)
        key = f"{path} {before}"
        if key not in answers:
            answers[key] = is_unchanged(path, before)
        return answers[key]

    return unchanged


def changed_source(entry: Entry, is_unchanged: Callable[[str, Stamp], bool] = is_unchanged) -> str | None:
    """The first source file of a composite that is missing or has changed since; None if there is none."""
    sources = ((entry[kind], entry["sources"][kind]) for kind in SOURCES if kind in entry["sources"])
    return next((path for path, before in sources if path and not is_unchanged(path, before)), None)


def _relocated(entry: Entry, relocate: Callable[[str], str]) -> Entry:
    moved = entry.copy()
    for kind in SOURCES:
        path = entry[kind]
        if path:
            moved[kind] = relocate(path)
    return moved


def _to_line(entry: Entry, folder: Path) -> str:
    return json.dumps(_relocated(entry, lambda path: relative(path, folder)))


def _is_text(value: Any) -> bool:
    """Whether a value is a text that can be part of a path."""
    try:
        return isinstance(value, str) and b"\0" not in os.fsencode(value) and bool(value)
    except UnicodeEncodeError:
        return False


def _is_size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(side, int) and side > 0 for side in value)


def _are_stamps(value: Any) -> bool:
    return isinstance(value, dict) and all(
        kind in SOURCES and isinstance(each, list) and len(each) == 3 for kind, each in value.items()
    )


NEEDED: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("name", "fg", "bg", "image", "crc32"), _is_text),
    "split": lambda value: value in ("train", "test"),
    "compositor": lambda value: isinstance(value, str) and value in COMPOSITORS,
    **dict.fromkeys(("alpha", "trimap"), lambda value: value is None or _is_text(value)),
    "size": _is_size,
    "bytes": lambda value: isinstance(value, int),
    "sources": _are_stamps,
}


def read_manifest(path: Path) -> list[Entry]:
    """The entries of a manifest, in its order; empty if there is no file.

    A last line that a kill cut short is left out. DataError, with the line, for anything else that is not an entry.
    """
    if not is_file(path):
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    entries: dict[str, Entry] = {}
    folder = absolute(path.parent)
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            entry = None
            if number == len(lines):
                continue
        wrong = [key for key, fits in NEEDED.items() if not isinstance(entry, dict) or not fits(entry.get(key, 0))]
        if wrong:
            raise DataError(
                f"{path}, line {number}: no {wrong[0]} that fits (edited, or of another version of deepmat); remove "
                "the folder and run `deepmat composite` again"
            )
        entries[entry["name"]] = _relocated(entry, lambda place: joined(folder, place))
    return list(entries.values())


def write_manifest(path: Path, entries: Iterable[Entry]) -> None:
    """Replace a manifest by one of these entries."""
    folder = absolute(path.parent)
    write_text(path, "".join(_to_line(entry, folder) + "\n" for entry in entries))


@contextmanager
def growing_manifest(path: Path) -> Iterator[Callable[[Entry], None]]:
    """Yield a function that appends an entry to a manifest (`files.open_log`)."""
    folder = absolute(path.parent)
    with open_log(path) as append:
        yield lambda entry: append(_to_line(entry, folder))


def part_of(path: Path) -> Path:
    """Return the file to which this process of a launcher adds its entries of a manifest."""
    return path if distributed.world() == 1 else path.with_name(f"{path.stem}-{distributed.rank()}{path.suffix}")


def merge_manifests(path: Path) -> None:
    """Add the entries of all parts to a manifest, and remove the parts.

    A storage has no parts (`sharing.refuse_storage`).
    """
    if isinstance(path, Address):
        return
    parts = sorted(path.parent.glob(f"{path.stem}-*{path.suffix}")) if is_folder(path.parent) else []
    if parts:
        entries = {entry["name"]: entry for each in (path, *parts) for entry in read_manifest(each)}
        write_manifest(path, entries.values())
    for part in parts:
        part.unlink()


def sort_manifest(path: Path, names: Iterable[str]) -> None:
    """Sort the lines of a manifest in the order of these names."""
    ranks = {name: rank for rank, name in enumerate(names)}
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    write_text(path, "".join(sorted(lines, key=lambda line: ranks[json.loads(line)["name"]])))
