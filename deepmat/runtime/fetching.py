"""Fetch files of a known checksum into the user's cache: resumable, checked, once for all processes."""

import hashlib
import http.client
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, cast

from filelock import FileLock

from deepmat import __version__
from deepmat.errors import DataError
from deepmat.runtime.paths import is_file

CACHE, OFFLINE = "DEEPMAT_CACHE", "DEEPMAT_OFFLINE"
"""Environment variables: the folder of the cache; 1 where nothing may be fetched."""
CHUNK = 1 << 20
TIMEOUT = 20.0
"""Seconds without a byte after which a server counts as gone."""
TRIES = 5
"""Connections for one file, if each of them but the last was cut off after some bytes."""
FORGET = 60.0
"""Seconds for which a failure of the network stands: not every photo of a batch waits for a server that is gone."""
OTHER = "the server has another file than deepmat knows"
UPDATE = "try again later, update deepmat"

Progress = Callable[[int, int], None]
"""Called with the bytes that are there and the bytes of the whole file."""


class Remote(NamedTuple):
    """A file to fetch."""

    address: str
    sha256: str
    """Hexadecimal, in lower case."""
    size: int
    """In bytes."""


class _CutOff(Exception):
    """A server that sends nothing, or less than the whole file."""


class _OtherFile(Exception):
    """A server that sends a file of another size."""


_failed: dict[str, tuple[float, str]] = {}
"""When and why the last try for an address failed."""


def cache_folder() -> Path:
    """Return the folder of deepmat's cache: DEEPMAT_CACHE, or `deepmat` in the caches of the user. Need not exist.

    Raises DataError for a user without a home folder.
    """
    given = os.environ.get(CACHE)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(given or f"{base}/deepmat").expanduser()
    except RuntimeError as error:
        raise DataError(f"{base}: there is no home folder; set {CACHE} to a folder for fetched files") from error


def is_offline() -> bool:
    """Return whether DEEPMAT_OFFLINE forbids fetching."""
    return os.environ.get(OFFLINE, "").strip().lower() not in ("", "0", "false", "no")


def holds(path: Path, remote: Remote) -> bool:
    """Return whether a path holds that file, by its size and SHA-256. Raises DataError if it cannot be read."""
    try:
        if not is_file(path):
            return False
        about = path.stat()
        return about.st_size == remote.size and _sha256(path, about.st_mtime_ns, about.st_size) == remote.sha256
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); change its permissions") from error


@lru_cache(maxsize=32)
def _sha256(path: Path, changed: int, size: int) -> str:
    """Return the SHA-256 of a file as it was then; a gigabyte takes a second."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while data := file.read(CHUNK):
            digest.update(data)
    return digest.hexdigest()


def fetch(remote: Remote, place: Path, *, offline: bool | None = None, progress: Progress | None = None) -> Path:
    """Return `place`, where the file lies whole and with the right checksum; fetch it if it does not.

    What a broken connection left (`NAME.part`) is continued. Of several processes or threads one fetches, the others
    wait. offline: fetch nothing; None for what DEEPMAT_OFFLINE says. Raises DataError, which names the address and the
    place to put the file by hand: no network, no such file there, cut off, wrong checksum, no space, no permission.
    """
    if holds(place, remote):
        return place
    if is_offline() if offline is None else offline:
        raise _by_hand(remote, place, "is not there, and fetching is off", f"unset {OFFLINE}")
    with _alone(remote, place):
        if not holds(place, remote):
            _fetch(remote, place, progress or (lambda done, total: None))
    return place


def _by_hand(remote: Remote, place: Path, problem: str, remedy: str) -> DataError:
    return DataError(f"{place}: {problem}; {remedy}, or put the file of {remote.address} there by hand")


def _unwritable(remote: Remote, place: Path, error: OSError) -> DataError:
    problem = f"cannot be written ({error.strerror or error})"
    return _by_hand(remote, place, problem, f"free space or set {CACHE} to another folder")


@contextmanager
def _alone(remote: Remote, place: Path) -> Iterator[None]:
    """Hold the lock of a place, whose folder is made. Raises DataError where the cache cannot be written."""
    lock = FileLock(place.with_name(f"{place.name}.lock"))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise _unwritable(remote, place, error) from error
    try:
        yield
    finally:
        lock.release()


def _fetch(remote: Remote, place: Path, progress: Progress) -> None:
    """Fetch into NAME.part, check it, and give it its name. Raises DataError."""
    part = place.with_name(f"{place.name}.part")
    try:
        resumed = is_file(part)
        _complete(remote, place, part, progress)
        if resumed and not holds(part, remote):  # it may have been the beginning of another file
            part.unlink()
            _complete(remote, place, part, progress)
        if not holds(part, remote):
            part.unlink()
            raise _by_hand(remote, place, f"not fetched, since {OTHER} (its SHA-256 is not {remote.sha256})", UPDATE)
        os.replace(part, place)
    except OSError as error:
        raise _unwritable(remote, place, error) from error


def _complete(remote: Remote, place: Path, part: Path, progress: Progress) -> None:
    """Fetch into `part` what it lacks, over several connections if they are cut off. Raises DataError, OSError."""
    when, why = _failed.get(remote.address, (-FORGET, ""))
    if time.monotonic() - when < FORGET:
        raise DataError(why)
    for attempt in range(1, TRIES + 1):
        before = part.stat().st_size if is_file(part) else 0
        free = shutil.disk_usage(part.parent).free
        if remote.size - before > free:
            problem = f"needs {remote.size / 1e6:.1f} MB, and {free / 1e6:.1f} MB are free"
            raise _by_hand(remote, place, problem, f"free space or set {CACHE} to another folder")
        try:
            return _download(remote, part, before, progress)
        except _OtherFile as error:
            raise _by_hand(remote, place, f"not fetched, since {OTHER} ({error})", UPDATE) from error
        except _CutOff as error:
            there = part.stat().st_size if is_file(part) else 0
            if there <= before or attempt == TRIES:
                remedy = "check the network and try again" + ", which goes on from there" * bool(there)
                failure = _by_hand(remote, place, f"cannot be fetched ({error})", remedy)
                _failed[remote.address] = time.monotonic(), str(failure)
                raise failure from error


def _download(remote: Remote, part: Path, start: int, progress: Progress) -> None:
    """Append the rest of the file to `part`, from byte `start`; from 0 where the server cannot continue.

    Raises _CutOff if the server or the network fails, _OtherFile, OSError if the disk fails.
    """
    if start >= remote.size:
        return
    with _open(remote.address, start) as answer:
        if answer.status != 206 or not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            start = 0
        if answer.length is not None and start + answer.length != remote.size:
            raise _OtherFile(f"{start + answer.length} bytes, not {remote.size}")
        with open(part, "r+b" if start else "wb") as file:
            file.seek(start)
            done = start
            progress(done, remote.size)
            while done < remote.size:
                data = _read(answer, min(CHUNK, remote.size - done))
                file.write(data)
                done += len(data)
                progress(done, remote.size)
                if not data:
                    raise _CutOff(f"the connection ended after {done / 1e6:.1f} of {remote.size / 1e6:.1f} MB")
            file.flush()
            os.fsync(file.fileno())


def _open(address: str, start: int) -> http.client.HTTPResponse:
    """Ask for a file from byte `start`. Raises _CutOff where there is no answer, or one without the file."""
    headers = {"User-Agent": f"deepmat/{__version__}"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        return cast(
            http.client.HTTPResponse,
            urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=TIMEOUT),
        )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:  # there is no such byte: what was left is of another file
            return _open(address, 0)
        raise _CutOff(f"the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _CutOff(_reason(error)) from error


def _read(answer: http.client.HTTPResponse, size: int) -> bytes:
    """Return up to `size` bytes; b"" at the end, which may be too early. Raises _CutOff if the connection breaks."""
    try:
        return answer.read1(size)
    except (OSError, http.client.HTTPException) as error:
        raise _CutOff(f"the connection broke, {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Return what an exception of urllib or http says, without the numbers of the system."""
    cause = getattr(error, "reason", error)
    return str(getattr(cause, "strerror", None) or cause or type(error).__name__)
