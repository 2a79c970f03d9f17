"""What is at a path, if that may be known. pathlib's functions raise or say no where a closed folder hides it."""

import errno
import os
import stat
from pathlib import Path

from deepmat.errors import DataError
from deepmat.runtime import storage

MAY_NOT = "change the permissions of its folders, or choose another place"


def _kind(path: Path) -> int:
    """Return the type of the file or folder there, following links; 0 for nothing. Raises DataError if it is hidden."""
    if isinstance(path, storage.Address):
        return {"file": stat.S_IFREG, "directory": stat.S_IFDIR}.get(storage.kind(path) or "", 0)
    try:
        return stat.S_IFMT(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return 0
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
            return 0
        raise DataError(f"{path}: cannot be looked at ({error.strerror}); {MAY_NOT}") from error


def is_there(path: Path) -> bool:
    """Return whether there is something of that path. Raises DataError if a closed folder hides it."""
    return bool(_kind(path))


def is_file(path: Path) -> bool:
    """Return whether a path is a file. Raises DataError if a closed folder hides it."""
    return _kind(path) == stat.S_IFREG


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder. Raises DataError if a closed folder hides it."""
    return _kind(path) == stat.S_IFDIR
