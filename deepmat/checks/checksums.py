r"""Checksums of every file of a data folder, written and verified in the format of `sha256sum`.

A line is the sha256 in hexadecimal, two spaces, the path relative to the data folder, so that `sha256sum -c FILE` in
that folder verifies them too. A path with a line feed, carriage return or backslash has these as \n, \r and \\, and
the line then begins with a backslash.
"""

import hashlib
import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from deepmat.checks.findings import Finding, finding
from deepmat.errors import ConfigError, DataError
from deepmat.runtime import distributed
from deepmat.runtime.cluster import LIVES
from deepmat.runtime.files import real, write_bytes
from deepmat.runtime.sharing import Batch, Engine, do_for_all
from deepmat.runtime.work import Work

LINE = re.compile(rb"(\\?)([0-9a-fA-F]{64}) [ *](.+)", re.DOTALL)
ESCAPED = re.compile(rb"(?:[^\\]|\\[\\nr])+", re.DOTALL)
ESCAPES = {b"\\": rb"\\", b"\n": rb"\n", b"\r": rb"\r"}
MEANT = {escape: byte for byte, escape in ESCAPES.items()}
BLOCK = 1 << 20

Digest = str | OSError
"""A sha256 in hexadecimal, or the error that prevents it."""


def _files(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path | Finding]:
    """Every file below a folder, sorted, links followed, hidden ones left out; findings on unreadable folders."""
    here = real(folder)
    if here in above:  # a link to a folder above
        return
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        yield finding("place", folder, f"cannot be listed ({error.strerror}); change its permissions")
        return
    for path in paths:
        if path.name.startswith("."):
            continue
        if os.path.isdir(path):
            yield from _files(path, (*above, here))
        else:
            yield path


def _listed(root: Path, out: Path) -> tuple[list[Path], list[Finding]]:
    """The files of a data folder without the file of checksums, and findings on unreadable folders."""
    found = list(_files(root))
    paths = [item for item in found if isinstance(item, Path)]
    others = [path for path in paths if path.name != out.name or real(path) != real(out)]
    return others, [item for item in found if not isinstance(item, Path)]


def _digest(path: Path) -> Digest:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # reading a pipe would never end
            return OSError(0, "no regular file")
        state = hashlib.sha256()
        with open(path, "rb", buffering=0) as file:
            while block := file.read(BLOCK):
                state.update(block)
        return state.hexdigest()
    except OSError as error:
        return error


def _start(workers: int | None) -> Callable[[Sequence[Path]], Iterator[tuple[Path, Digest]]]:
    """Threads suffice, since hashing and reading release the GIL."""

    def digests(paths: Sequence[Path]) -> Iterator[tuple[Path, Digest]]:
        with ThreadPoolExecutor(workers or distributed.own_cores()) as pool:
            yield from zip(paths, pool.map(_digest, paths), strict=True)

    return digests


def _lost(path: Path, why: str) -> tuple[Path, Digest]:
    return path, OSError(0, f"reading it ended {LIVES} workers: {why}")


def _digests(paths: Sequence[Path], workers: int | None, engine: Engine) -> Iterator[tuple[Path, Digest]]:
    """Each file and its digest, also those of the other processes of a launcher."""
    return do_for_all(Batch(distributed.share(paths), partial(_start, workers), _lost), engine)


def to_line(name: str, digest: str) -> bytes:
    """A line of a file of checksums. name: path relative to the data folder, with slashes."""
    plain = os.fsencode(name)
    escaped = re.sub(rb"[\\\n\r]", lambda found: ESCAPES[found[0]], plain)
    return b"\\" * (escaped != plain) + digest.encode() + b"  " + escaped + b"\n"


def read_checksums(path: Path) -> dict[str, str]:
    """{path relative to the data folder: sha256} of a file that this module or `sha256sum` wrote.

    DataError, with the line, for anything else but comments (#) and empty lines.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); --write-checksums makes one") from error
    sums: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        line = line.removesuffix(b"\r")  # of an editor: sha256sum writes one in a name as \r
        if not line or line.startswith(b"#"):
            continue
        match = LINE.fullmatch(line)
        if not match or (match[1] and not ESCAPED.fullmatch(match[3])):
            raise DataError(f"{path}, line {number}: is not a sha256, two spaces and a path; write the file anew")
        name = re.sub(rb"\\.", lambda found: MEANT[found[0]], match[3]) if match[1] else match[3]
        digest, place = match[2].decode().lower(), posixpath.normpath(os.fsdecode(name))
        if sums.setdefault(place, digest) != digest:
            raise DataError(f"{path}, line {number}: another checksum for {place} than before; write the file anew")
    if not sums:
        raise DataError(f"{path}: holds no checksums; --write-checksums writes some")
    return sums


def refuse_checksums(out: Path) -> None:
    """ConfigError if `out` exists, so that no checksums can be written to it."""
    if os.path.lexists(out):
        raise ConfigError(f"--write-checksums {out}: is there already; verify it with --verify, or remove it first")


def write_checksums(root: Path, out: Path, workers: int | None = 1, engine: Engine = Engine()) -> Work[Finding | None]:
    """Write the checksums of every file of a data folder, except hidden ones and `out`, to `out`, sorted by path.

    Iterating yields None for each file, or the finding on an unreadable one; without findings, `out` is written at the
    end. ConfigError if `out` exists, DataError if there are no files or `out` cannot be written.
    """
    refuse_checksums(out)
    paths, wrong = _listed(root, out)
    if not paths and not wrong:
        raise DataError(f"{root}: holds no files, so there are no checksums to write; check the path")

    def results() -> Iterator[Finding | None]:
        yield from wrong
        lines: list[tuple[bytes, bytes]] = []
        for path, digest in _digests(paths, workers, engine):
            if isinstance(digest, str):
                name = path.relative_to(root).as_posix()
                lines.append((os.fsencode(name), to_line(name, digest)))
                yield None
            else:
                yield finding("unreadable", path, f"cannot be read ({digest.strerror}), so no checksums were written")
        if len(lines) == len(paths) and not wrong and not distributed.rank():
            write_bytes(out, b"".join(line for _, line in sorted(lines)))

    return Work(len(paths) + len(wrong), results)


def verify_checksums(
    root: Path, listing: Path, workers: int | None = 1, engine: Engine = Engine()
) -> Work[Finding | None]:
    """Compare the files of a data folder with checksums that were written earlier.

    Iterating yields None for each unchanged file, else the finding: an error ("changed", "missing", "unreadable") or a
    warning ("unlisted"). DataError if the listing cannot be read or names no file of this folder.
    """
    sums = read_checksums(listing)
    paths, wrong = _listed(root, listing)
    if not any(os.path.lexists(root / name) for name in sums):
        raise DataError(f"{listing}: none of its {len(sums)} files is in {root}; give the folder that its paths are of")
    present = {path.relative_to(root).as_posix() for path in paths}
    wrong += [
        finding(
            "unlisted", root / name, f"not in {listing}; remove it, or write the checksums anew", severity="warning"
        )
        for name in sorted(present - sums.keys())
    ]

    def results() -> Iterator[Finding | None]:
        yield from wrong
        before = {root / name: digest for name, digest in sums.items()}
        for path, digest in _digests(list(before), workers, engine):
            if isinstance(digest, FileNotFoundError | NotADirectoryError):
                yield finding("missing", path, f"listed in {listing}, but missing; put it back")
            elif not isinstance(digest, str):
                yield finding("unreadable", path, f"cannot be read ({digest.strerror}), so it was not verified")
            else:
                message = f"not the bytes that {listing} lists (sha256); copy it again from an intact source"
                yield None if digest == before[path] else finding("changed", path, message)

    return Work(len(sums) + len(wrong), results)
