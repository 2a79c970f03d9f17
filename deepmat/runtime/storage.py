"""Files in object storage: s3://, gs://, az://, hf:// and every other address that fsspec knows.

An `Address` is a path whose file lies there. Its methods ask the storage; code that knows local files alone gets a
DataError from it, never a folder called "s3:". Whatever fails for a while (no connection, a timeout, an answer of 429
or 5xx) is tried again, with longer and longer waits. fsspec is imported at the first request.
"""

import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepmat.errors import ConfigError, DataError
from deepmat.runtime.file_systems import EXTRAS, file_system
from deepmat.runtime.retrying import explained, lacks_bucket, tried

SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):", re.IGNORECASE)
"""The first part of an address; a drive of Windows has one letter."""
WHOLE = (*EXTRAS, "memory")
"""Schemes of which an upload is visible when it is complete, not before."""
PAGE = 1000
"""Names in a page of a listing."""

if TYPE_CHECKING:
    _LocalPath = Path
else:
    _LocalPath = type(Path())


class Address(_LocalPath):
    """The address of a file or folder in a storage, with all names and parts of a path: s3://bucket/folder/cat.png."""

    __slots__ = ()

    def __str__(self) -> str:
        head, *rest = self.parts or (".",)
        return f"{head}//{'/'.join(rest)}" if SCHEME.fullmatch(head) else "/".join((head, *rest))

    def __fspath__(self) -> str:
        raise DataError(f"{self}: lies in a storage, and only local files are taken here; copy it to this machine")

    @property
    def scheme(self) -> str:
        """Return what the address begins with, in lower case: "s3"."""
        return self.parts[0][:-1].lower()

    def is_absolute(self) -> bool:
        return True

    def absolute(self) -> "Address":
        return self

    def resolve(self, strict: bool = False) -> "Address":
        return self

    def relative_to(self, *other: Any, **options: Any) -> Path:  # type: ignore[override]
        """Return the path below a folder, which is no address."""
        return Path(*super().relative_to(*other, **options).parts)

    def exists(self, **_: Any) -> bool:
        return kind(self) is not None

    def is_file(self, **_: Any) -> bool:
        return kind(self) == "file"

    def is_dir(self, **_: Any) -> bool:
        return kind(self) == "directory"

    def read_bytes(self) -> bytes:
        return read(self)

    def read_text(self, encoding: str | None = None, errors: str | None = None, newline: str | None = None) -> str:
        return read(self).decode(encoding or "utf-8", errors or "strict")

    def unlink(self, missing_ok: bool = False) -> None:
        remove(self)


def addressed(path: str | os.PathLike[str]) -> Path:
    """Return a path, as an Address if it is one: "s3://bucket/key", or "s3:/bucket/key", as pathlib writes that.

    file:// is a local path. Raises ConfigError for an address with a password or a signature in it, or with another
    one in it ("zip://a.zip::s3://bucket/b").
    """
    if isinstance(path, Address):
        return path
    text = os.fspath(path)
    scheme = SCHEME.match(text)
    if not scheme or text[scheme.end() : scheme.end() + 1] != "/":
        return Path(path)
    shown = f"{scheme[0]}//{text[scheme.end() :].lstrip('/')}"
    if scheme[1].lower() == "file":
        return Path("/", shown[len(scheme[0]) + 2 :])
    host = shown[len(scheme[0]) + 2 :].partition("/")[0]
    if "@" in host and ":" in host.rpartition("@")[0]:
        raise ConfigError(
            f"{scheme[0]}//...@{host.rpartition('@')[2]}: passwords do not belong into an address; give them in the "
            "way of the storage's own library (environment, profile, configuration)"
        )
    if scheme[1].lower() in ("http", "https") and "?" in shown:
        raise ConfigError(f"{shown.partition('?')[0]}?...: addresses with a query are not taken; use s3:// or another")
    if "::" in shown:
        raise ConfigError(f"{shown}: addresses within others (::) are not taken; copy the file to this machine")
    if not host:
        raise ConfigError(f"{shown}: names no bucket; write {scheme[0]}//BUCKET/FOLDER")
    return Address(shown)


def _place(address: Address, system: Any) -> str:
    """Return an address as its file system spells it: "bucket/key"."""
    return str(system._strip_protocol(str(address)))


def _options(address: Address) -> dict[str, Any]:
    """Return what s3fs is called with, so that it does not ask for the size of each file before it reads it.

    It also sends the parts of an upload one by one then, and none after the upload is aborted.
    """
    return {"max_concurrency": 1} if EXTRAS.get(address.scheme) == "s3" else {}


def kind(address: Address) -> str | None:
    """Return "file", "directory" or None for nothing. Raises DataError if the storage does not say."""
    if not address.name or not SCHEME.fullmatch(address.parts[0]):
        return None
    system = file_system(address)
    try:
        return str(tried(address, "looked at", lambda: system.info(_place(address, system)))["type"])
    except FileNotFoundError:
        return None


def _found(address: Address, done: str, request: Callable[[], Any]) -> Any:
    """Return what a request returns, as `tried`, with a DataError for a missing file too."""
    try:
        return tried(address, done, request)
    except FileNotFoundError as error:
        raise explained(address, done, error, 1) from error


def read(address: Address) -> bytes:
    """Return the bytes of a file. Raises DataError if it cannot be read."""
    system = file_system(address)
    return bytes(_found(address, "read", lambda: system.cat_file(_place(address, system), **_options(address))))


def download(address: Address, file: Path) -> None:
    """Copy a file to a local one, which may be left incomplete. Raises DataError if it cannot be read."""
    system = file_system(address)
    _found(address, "read", lambda: system.get_file(_place(address, system), str(file)))


def write(address: Address, data: bytes | memoryview) -> None:
    """Write a file, whole or not at all. Raises DataError if that fails."""
    _put(address, lambda system, place: system.pipe_file(place, bytes(data), **_options(address)))


def upload(address: Address, file: Path) -> None:
    """Copy a local file to an address, whole or not at all. Raises DataError if that fails."""
    _put(address, lambda system, place: system.put_file(str(file), place, **_options(address)))


def _put(address: Address, put: Callable[[Any, str], object]) -> None:
    """Put a file at its place. Where half a file would be visible, it gets its name when it is complete."""
    system = file_system(address)
    place = _place(address, system)

    def request() -> None:
        if address.scheme in WHOLE:
            put(system, place)
            return
        folder, _, name = place.rpartition("/")
        part = f"{folder}/.{name}.{uuid.uuid4().hex}.deepmat-part"
        system.makedirs(folder, exist_ok=True)
        try:
            put(system, part)
            system.mv(part, place)
        finally:
            if system.exists(part):
                system.rm_file(part)

    _found(address, "written", request)


def remove(address: Address) -> None:
    """Delete a file, if it is there. Raises DataError if that fails."""
    system = file_system(address)
    try:
        tried(address, "deleted", lambda: system.rm_file(_place(address, system)))
    except FileNotFoundError:
        pass


def check_bucket(address: Address) -> None:
    """Raise DataError if the bucket of an address is missing; what may only be written to is taken for granted."""
    if address.scheme not in EXTRAS or address.scheme == "hf":
        return
    bucket = Address(*address.parts[:2])
    system = file_system(address)
    try:
        tried(bucket, "looked at", lambda: system.info(_place(bucket, system)))
    except FileNotFoundError as error:
        raise DataError(f"{address}: there is no bucket {bucket}; check its name") from error
    except DataError as error:
        if not isinstance(error.__cause__, PermissionError):
            raise


def lacking(address: Address) -> str:
    """Return what is missing where there is neither a file nor a folder, and what to do."""
    try:
        check_bucket(address)
    except DataError as error:
        return str(error)
    return f"{address}: no such file or folder; check the address"


def names(folder: Address) -> Iterator[str]:
    """Yield the names of all files below a folder, as "sub/cat.png", page by page: memory does not grow with them.

    Nothing is yielded for a folder that does not exist. Names with empty parts, which no path has, are yielded as they
    are. Raises DataError if the folder cannot be listed.
    """
    system = file_system(folder)
    top = _place(folder, system).rstrip("/") + "/"
    listed = _pages_of_s3 if EXTRAS.get(folder.scheme) == "s3" else _folder_by_folder
    try:
        for place in listed(folder, system, top):
            if not place.endswith("/"):  # else it is what some tools write in place of a folder
                yield place[len(top) :]
    except FileNotFoundError as error:
        if lacks_bucket(error):
            raise explained(folder, "listed", error, 1) from error


def _pages_of_s3(folder: Address, system: Any, top: str) -> Iterator[str]:
    """Yield the places of files, a page at a time (ListObjectsV2)."""
    bucket, _, prefix = top.partition("/")
    request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": PAGE}
    while True:
        page = tried(folder, "listed", lambda: system.call_s3("list_objects_v2", **request))
        yield from (f"{bucket}/{each['Key']}" for each in page.get("Contents", ()))
        if not page.get("IsTruncated"):
            return
        request["ContinuationToken"] = page["NextContinuationToken"]


def _folder_by_folder(folder: Address, system: Any, top: str) -> Iterator[str]:
    """Yield the places of files; memory holds one folder at a time."""
    left = [top.rstrip("/")]
    while left:
        place = left.pop()
        entries: Iterable[dict[str, Any]] = tried(folder, "listed", partial(system.ls, place, detail=True))
        for entry in entries:
            if entry["type"] != "directory":
                yield entry["name"]
            elif entry["name"].rstrip("/") != place:
                left.append(entry["name"].rstrip("/"))


def version(address: Address) -> str:
    """Return what changes when a file is replaced: its ETag, checksum or time. Raises DataError if it is missing."""
    system = file_system(address)
    about = _found(address, "read", lambda: system.info(_place(address, system)))
    if about["type"] != "file":
        raise DataError(f"{address}: is a folder; name a file")
    kept = ("ETag", "etag", "md5Hash", "crc32c", "blob_id", "last_commit", "created", "LastModified", "mtime", "size")
    return " ".join(f"{key}={about[key]}" for key in kept if about.get(key) is not None)
