"""Addresses beside local paths: joined, made relative, refused."""

import os
import posixpath
from pathlib import Path

from deepmat.errors import ConfigError
from deepmat.runtime.storage import Address, addressed


def joined(folder: Path, place: str) -> str:
    """Return the absolute path of a place that is relative to a folder ("../fg/cat.png"), or is absolute itself."""
    if isinstance(addressed(place), Address):
        return place
    if isinstance(folder, Address) and not os.path.isabs(place):
        head, *parts = folder.parts
        return str(Address(head, posixpath.normpath("/".join((*parts, place)))))
    return os.path.normpath(place if os.path.isabs(place) else os.path.join(folder, place))


def relative(path: str, folder: Path) -> str:
    """Return a path as `joined` reads it: relative to the folder, if both are local or in one bucket."""
    place = addressed(path)
    if isinstance(place, Address) and isinstance(folder, Address) and place.parts[:2] == folder.parts[:2]:
        return posixpath.relpath("/".join(place.parts[1:]), "/".join(folder.parts[1:]))
    if isinstance(place, Address) or isinstance(folder, Address):
        return path
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return path


def absolute(path: Path) -> Path:
    """Return the absolute path without dots; an address stays as it is."""
    return path if isinstance(path, Address) else Path(os.path.abspath(path))


def local_only(path: Path, option: str) -> None:
    """Raise ConfigError for an address, where only local places are taken. option: its name in the message."""
    if isinstance(place := addressed(path), Address):
        raise ConfigError(f"{option} {place}: lies in a storage; only local places are taken here, so copy it first")
