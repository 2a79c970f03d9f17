import pickle
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from deepmat.errors import ConfigError, DataError
from deepmat.runtime import files, listing, paths, retrying, storage
from deepmat.runtime.addresses import joined
from deepmat.runtime.storage import Address, addressed


@pytest.fixture(autouse=True)
def memory(monkeypatch):
    """An empty memory://, and waits that take no time: the seconds waited."""
    waited = []
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    monkeypatch.setattr(retrying, "_gone", {})
    monkeypatch.setattr(retrying.time, "sleep", waited.append)
    return waited


def fail(monkeypatch, name, *errors):
    """Let the first calls of a method of memory:// fail. Returns the list of all its calls."""
    calls, left, method = [], list(errors), getattr(MemoryFileSystem, name)

    def failing(self, *arguments, **options):
        calls.append(arguments)
        if left:
            raise left.pop(0)
        return method(self, *arguments, **options)

    monkeypatch.setattr(MemoryFileSystem, name, failing)
    return calls


class Answered(Exception):
    """An error as botocore raises it."""

    def __init__(self, status, code="SlowDown"):
        super().__init__(f"Key AKIA123 at https://s3/b?X-Amz-Signature=secret answers {status}")
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status}, "Error": {"Code": code}}


class Cut(Exception):
    """What aiohttp raises for an answer that ends too early. Its cause has a code, which no server sent."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.__cause__ = type("ContentLengthError", (Exception,), {"code": 400})()


Cut.__module__ = "aiohttp.client_exceptions"


def test_an_address_is_a_path_with_two_slashes():
    cat = addressed(Path("s3://bucket/photos/cat.large.jpg"))  # which pathlib writes with one
    assert isinstance(cat, Address) and isinstance(cat, Path) and str(cat) == "s3://bucket/photos/cat.large.jpg"
    assert (cat.stem, cat.suffix, str(cat.parent)) == ("cat.large", ".jpg", "s3://bucket/photos")
    assert str(cat.with_suffix(".png")) == "s3://bucket/photos/cat.large.png" == str(cat.parent / "cat.large.png")
    assert listing.key_of(cat, cat.parents[1]) == "photos/cat.large"
    assert str(cat.relative_to(cat.parent)) == "cat.large.jpg" and not isinstance(cat.relative_to(cat.parent), Address)
    assert pickle.loads(pickle.dumps(cat)) == cat == files.as_path("s3://bucket/photos/cat.large.jpg", "x")
    assert cat.is_absolute() and files.real(cat) is cat and cat.resolve() is cat
    assert joined(cat.parent, "../fg/a.png") == "s3://bucket/fg/a.png"
    assert joined(Path("/data"), "../fg/a.png") == "/fg/a.png"
    assert joined(cat.parent, "/data/fg/a.png") == joined(Path("x"), "/data/fg/a.png") == "/data/fg/a.png"


@pytest.mark.parametrize("local", ["C:/x/cat.png", "a:b/cat.png", "photos/s3:/cat.png", "s3", "-"])
def test_other_names_with_colons_are_local(local):
    assert not isinstance(addressed(local), Address)


def test_file_addresses_are_local():
    assert addressed("file:///tmp/cat.png") == Path("/tmp/cat.png")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("sftp://me:hunter2@host/x", "passwords do not belong"),
        ("https://host/x.png?sig=hunter2", "with a query"),
        ("zip://a.zip::s3://b/c", "addresses within others"),
        ("s3://", "names no bucket"),
    ],
)
def test_what_is_no_plain_address_is_refused_without_its_secret(address, message):
    with pytest.raises(ConfigError, match=message) as error:
        addressed(address)
    assert "hunter2" not in str(error.value)


def test_code_that_knows_local_files_alone_refuses_an_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for use in (open, Address.stat, Address.mkdir, lambda path: list(path.iterdir())):
        with pytest.raises(DataError, match="s3://b/x: lies in a storage, and only local files"):
            use(addressed("s3://b/x"))
    assert not list(tmp_path.iterdir())


def test_files_are_written_and_found():
    home = addressed("memory://b/x")
    assert not paths.is_there(home)
    files.write_bytes(home / "a.png", b"1")
    files.write_text(home / "sub/n.txt", "\u00e9")
    with files.whole_file(home / "w.bin") as part:
        part.write_bytes(b"22")
    assert paths.is_file(home / "a.png") and paths.is_folder(home / "sub") and not paths.is_file(home / "sub")
    assert (home / "a.png").read_bytes() == b"1" and (home / "sub/n.txt").read_text() == "\u00e9"
    assert sorted(storage.names(home)) == ["a.png", "sub/n.txt", "w.bin"]
    (home / "a.png").unlink()
    (home / "a.png").unlink()  # no error where there is none
    assert sorted(storage.names(home)) == ["sub/n.txt", "w.bin"] and not list(storage.names(home / "none"))
    with pytest.raises(DataError, match=r"memory://b/x/a.png: no such file; check the address"):
        (home / "a.png").read_bytes()


def test_pictures_are_listed_by_their_names_alone(monkeypatch):
    home = addressed("memory://b")
    shown = ("b.JPG", "sub dir/a.x.png", "notes.txt", "d.heic", "b.cr2", "bare")
    for name in (*shown, "x/log.jsonl", ".hidden.png", ".git/c.png"):
        files.write_bytes(home / name, b"")
    fail(monkeypatch, "cat_file", *[AssertionError("opened")] * 9)
    pictures, notices = listing.list_pictures(home)
    assert list(pictures) == ["b", "d", "sub dir/a.x"]
    assert notices == [
        "memory://b/b.cr2: skipped, since b.JPG lies beside it",
        "memory://b/bare: skipped, not a picture",
        "memory://b/notes.txt: skipped, not a picture",
    ]
    inputs, _ = listing.list_inputs([home], [home / "sub dir"])
    assert [each.name for each in inputs] == ["b", "d"]
    with pytest.raises(DataError, match="memory://b/none: no such folder, or an empty one"):
        listing.scan(home / "none")


class Bucket:
    """A file system of S3 with 5 keys, whose second page fails once."""

    keys = ["x/", "x/a.png", "x/b//c.png", "x/d/e.png", "x/f.png"]

    def __init__(self):
        self.requests = []

    def _strip_protocol(self, address):
        return address.removeprefix("s3://")

    def call_s3(self, method, **request):
        self.requests.append(request)
        if len(self.requests) == 2:
            raise OSError(16, "reduce your rate") from Answered(503)
        start = int(request.get("ContinuationToken", 0))
        page = [key for key in self.keys if key.startswith(request["Prefix"])][start : start + 2]
        more = start + 2 < len(self.keys)
        return {"Contents": [{"Key": key} for key in page], "IsTruncated": more, "NextContinuationToken": start + 2}


def test_a_listing_of_s3_comes_in_pages_and_goes_on_after_a_failure(monkeypatch):
    bucket = Bucket()
    monkeypatch.setattr(storage, "file_system", lambda address: bucket)
    names = storage.names(addressed("s3://b/x"))
    assert next(names) == "a.png" and len(bucket.requests) == 1  # lazily
    assert list(names) == ["b//c.png", "d/e.png", "f.png"] and len(bucket.requests) == 4
    bucket.requests.clear()
    found, notices, _ = listing.scan(addressed("s3://b/x"))
    assert [str(path) for path in found] == ["s3://b/x/a.png", "s3://b/x/d/e.png", "s3://b/x/f.png"]
    assert notices == ["s3://b/x/b//c.png: skipped, its name has an empty part or dots for one; rename it"]


@pytest.mark.parametrize(
    "error",
    [
        Answered(503),
        Answered(500),
        Answered(429),
        Answered(400, "RequestTimeout"),
        Answered(404, "NoSuchUpload"),
        ConnectionResetError("cut"),
        TimeoutError(),
        OSError(5, "io"),
        Cut("of aiohttp"),
    ],
)
def test_what_may_pass_is_tried_again_with_longer_waits(monkeypatch, memory, error):
    cat = addressed("memory://b/cat.png")
    files.write_bytes(cat, b"1")
    if isinstance(error, Answered):
        wrapped = OSError(16, "wrapped, as s3fs does")
        wrapped.__cause__ = error
        error = wrapped
    calls = fail(monkeypatch, "cat_file", *[error] * 3)
    assert cat.read_bytes() == b"1" and len(calls) == 4
    assert all(0 < each <= 0.25 * 2**turn for turn, each in enumerate(memory)) and len(memory) == 3


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError("no"), "may not be read; check the credentials"),
        (Answered(403, "AccessDenied"), "may not be read; check the credentials"),
        (Answered(400, "Odd"), "the storage answers 400"),
        (type("NoCredentialsError", (Exception,), {})("key AKIA123"), "no credentials for memory://b"),
    ],
)
def test_what_will_not_pass_is_tried_once_and_said_in_one_line(monkeypatch, memory, error, message):
    calls = fail(monkeypatch, "cat_file", error)
    with pytest.raises(DataError, match=message) as raised:
        addressed("memory://b/cat.png").read_bytes()
    said = str(raised.value)
    assert len(calls) == 1 and not memory and said.startswith("memory://b/cat.png: ")
    assert "\n" not in said and "AKIA" not in said and "Signature" not in said


def test_a_storage_that_is_gone_ends_the_tries_and_the_next_file_does_not_wait(monkeypatch, memory):
    calls = fail(monkeypatch, "pipe_file", *[OSError(111, "at https://s3/b?X-Amz-Signature=secret")] * 8)
    with pytest.raises(
        DataError, match=r"memory://b/a.png: cannot be written in 7 tries \(ConnectionRefused.*again"
    ) as e:
        files.write_bytes(addressed("memory://b/a.png"), b"1")
    assert "secret" not in str(e.value) and len(calls) == 7 and sum(memory) < 16
    with pytest.raises(DataError, match=r"memory://b/b.png: cannot be written \(Conn"):
        files.write_bytes(addressed("memory://b/b.png"), b"1")
    files.write_bytes(addressed("memory://b/c.png"), b"1")  # and it is forgotten when the storage is back
    assert len(calls) == 9 and not retrying._gone and list(storage.names(addressed("memory://b"))) == ["c.png"]


def test_where_half_a_file_would_be_visible_it_gets_its_name_at_the_end(monkeypatch):
    monkeypatch.setattr(storage, "WHOLE", ())
    cat = addressed("memory://b/sub/cat.png")
    files.write_bytes(cat, b"old")
    pipe = MemoryFileSystem.pipe_file

    def half(self, path, value, **options):
        pipe(self, path, value[:1])
        raise PermissionError("quota")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", half)
    with pytest.raises(DataError, match="may not be written"):
        files.write_bytes(cat, b"new")
    assert cat.read_bytes() == b"old" and list(storage.names(cat.parent)) == ["cat.png"]


def test_a_failed_block_uploads_nothing():
    with pytest.raises(ZeroDivisionError), files.whole_file(addressed("memory://b/w.bin")) as part:
        part.write_bytes(b"half")
        1 / 0  # noqa: B018
    assert not list(storage.names(addressed("memory://b")))


def test_a_log_grows_after_the_lines_that_it_has_and_is_uploaded_now_and_then(monkeypatch):
    log, calls = addressed("memory://b/log.jsonl"), fail(monkeypatch, "put_file")
    for line in ("a", "b"):
        with files.open_log(log) as append:
            append(line)
    assert log.read_text() == "a\nb\n" and len(calls) == 2
    with pytest.raises(ZeroDivisionError), files.open_log(log) as append:
        append("c")
        assert log.read_text() == "a\nb\n"
        monkeypatch.setattr(files, "EVERY", 0)
        raise ZeroDivisionError
    assert log.read_text() == "a\nb\nc\n"
    with files.open_log(log) as append:
        append("d")
        assert log.read_text() == "a\nb\nc\nd\n"


def test_what_exists_is_known_from_a_listing(monkeypatch):
    out = addressed("memory://b/out")
    for number in range(40):
        files.write_bytes(out / f"alpha/sub/{number}.png", b"1")
    calls, listed = fail(monkeypatch, "info"), fail(monkeypatch, "ls")
    exists = files.existing([out / "alpha"], 100)
    assert [exists(out / f"alpha/sub/{number}.png") for number in (0, 39, 40)] == [True, True, False]
    assert not calls and len(listed) == 2
    exists = files.existing([out / "alpha"], 2)  # asked, where they are few
    assert exists(out / "alpha/sub/1.png") and not exists(out / "alpha/sub/99.png") and len(calls) == 2


def test_a_missing_library_or_scheme_says_what_to_install(monkeypatch):
    def missing(scheme, **options):
        raise ImportError("Install s3fs")

    with pytest.raises(ConfigError, match="nope://b/x: nope:// is no scheme that fsspec knows"):
        paths.is_there(addressed("nope://b/x"))

    def closed(scheme, **options):
        raise ValueError("provide either a connection_string or account_name with credentials")

    monkeypatch.setattr(fsspec, "filesystem", closed)
    with pytest.raises(DataError, match="az://b/x: there are no credentials for az://b; give them"):
        paths.is_there(addressed("az://b/x"))
    monkeypatch.setattr(fsspec, "filesystem", missing)
    for scheme, extra in {"s3": "s3", "gs": "gcs", "az": "azure", "hf": "hub"}.items():
        with pytest.raises(ConfigError, match=rf"{scheme}://b/x: needs a library .* 'deepmat\[{extra}\]'"):
            paths.is_there(addressed(f"{scheme}://b/x"))


def test_local_paths_do_not_import_fsspec():
    script = """
import sys
from pathlib import Path
from deepmat.runtime import files, listing
files.as_path("a/b.png", "x"); files.existing([Path("a")], 99)(Path("a/b")); print("fsspec" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "False"
