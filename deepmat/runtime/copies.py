"""Copies of files in storage, in deepmat's cache: for weights, which libraries read from the disk."""

import hashlib
from contextlib import suppress
from pathlib import Path

from deepmat.runtime import storage
from deepmat.runtime.fetching import cache_folder
from deepmat.runtime.files import whole_file, write_text
from deepmat.runtime.paths import is_file

FOLDER, ORIGIN = "storage", "address.txt"
"""Folder of the copies in the cache, and the file in each one's folder that says where the file comes from."""


def local_copy(path: Path) -> Path:
    """Return a local path as it is, and for an address the copy of its file as it is now.

    The copy lies in a folder named by address and version (ETag), so a file that is replaced is fetched again. Raises
    DataError if the file is missing or cannot be read.
    """
    if not isinstance(path, storage.Address):
        return path
    key = hashlib.sha256(f"{path}\n{storage.version(path)}".encode()).hexdigest()[:16]
    home = cache_folder() / FOLDER / key
    place = home.joinpath(*path.parts[1:])
    if not is_file(place):
        write_text(home / ORIGIN, f"{path}\n")
        with whole_file(place) as part:
            storage.download(path, part)
    return place


def origin_of(path: Path) -> str | None:
    """Return the address of the file that a path is the copy of; None for every other path."""
    with suppress(OSError, ValueError, IndexError):
        home = cache_folder() / FOLDER
        return (home / path.relative_to(home).parts[0] / ORIGIN).read_text(encoding="utf-8").strip()
    return None
