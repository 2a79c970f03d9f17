"""The manifest of a composited split: a JSON object a line, from which foreground, alpha and background follow.

| key | value |
|---|---|
| name, split | the composite's name in its folders; "train" or "test" |
| fg, alpha, bg, trimap | source files, relative to the manifest; alpha null: the foreground's own channel |
| compositor, seed | how it was fitted and blended; what drew the background, where a list did not |
| offset | [top, left] of the foreground in the fitted background |
| image | the composite's file, relative to the manifest |
| size | [height, width] |
| crc32 | of the composite's file, in hexadecimal |
| sources | kind: [bytes, time of last change in ns] of each source file, as it was read |
"""

import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deepmat.errors import DataError
from deepmat.files import append_line, write_text

MANIFEST = "manifest.jsonl"
SOURCES = ("fg", "alpha", "bg", "trimap")

Entry = dict[str, Any]
"""One composite, with absolute paths; as the table above says."""


def stamps(entry: Entry) -> dict[str, list[int]]:
    """Size and time of last change of each source file. DataError if one is missing."""
    found = {}
    for kind in SOURCES:
        if entry[kind]:
            try:
                about = os.stat(entry[kind])
            except OSError as error:
                raise DataError(f"{entry[kind]}: no such file; check the path") from error
            found[kind] = [about.st_size, about.st_mtime_ns]
    return found


def checksum(data: bytes) -> str:
    return f"{zlib.crc32(data):08x}"


def _relocated(entry: Entry, relocate: Any) -> Entry:
    return {**entry, **{kind: relocate(entry[kind]) for kind in SOURCES if entry[kind]}}


def _to_line(entry: Entry, folder: Path) -> str:
    def relative(path: str) -> str:
        try:
            return Path(os.path.relpath(path, folder)).as_posix()
        except ValueError:  # another drive
            return path

    return json.dumps(_relocated(entry, relative))


def read_manifest(path: Path) -> list[Entry]:
    """The entries of a manifest, in its order; a line cut short by a kill is left out. Empty if there is no file."""
    if not path.is_file():
        return []
    entries = []
    folder = os.path.abspath(path.parent)
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
            entries.append(_relocated(entry, lambda place: os.path.normpath(os.path.join(folder, place))))
        except (json.JSONDecodeError, KeyError, TypeError):
            continue
    return entries


def write_manifest(path: Path, entries: Iterable[Entry]) -> None:
    """The whole manifest anew."""
    folder = Path(os.path.abspath(path.parent))
    write_text(path, "".join(_to_line(entry, folder) + "\n" for entry in entries))


def add_to_manifest(path: Path, entry: Entry) -> None:
    append_line(path, _to_line(entry, Path(os.path.abspath(path.parent))))


def sort_manifest(path: Path, names: Iterable[str]) -> None:
    """The lines of a manifest in the order of these names."""
    ranks = {name: rank for rank, name in enumerate(names)}
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    write_text(path, "".join(sorted(lines, key=lambda line: ranks[json.loads(line)["name"]])))
