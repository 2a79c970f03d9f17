"""Commands on a server of S3 on this machine (moto's), which fails now and then."""

import itertools
import json
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from deepmat import imaging
from deepmat.errors import DataError
from deepmat.runtime import retrying, storage
from deepmat.runtime.storage import Address, addressed, names

moto = pytest.importorskip("moto.server", reason="needs moto: pip install 'moto[s3,server]'")
s3fs = pytest.importorskip("s3fs")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]
SECRET = "secretsecretsecret"
PICTURES = 30
CODES = {"503": "SlowDown", "500": "InternalError", "404": "NoSuchKey", "403": "AccessDenied"}
KINDS = ("503", "500", "cut before", "cut after", "timeout")


class Server:
    """moto's application behind faults: with `every`, each so many-th request fails, by KINDS in turn."""

    def __init__(self):
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Quiet(WSGIRequestHandler):
            protocol_version = "HTTP/1.1"

            def log(self, *arguments):
                pass

        self.app = DomainDispatcherApplication(create_backend_app)
        self.lock, self.every, self.refused = threading.Lock(), 0, {}
        self.requests, self.faults, self.put = Counter(), Counter(), Counter()
        self.turns, self.kinds = itertools.count(1), itertools.cycle(KINDS)
        self.server = make_server("127.0.0.1", 0, self.answer, threaded=True, request_handler=Quiet)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, environ, start):
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        listing = "list-type" in environ.get("QUERY_STRING", "")
        with self.lock:
            self.requests["LIST" if listing else method] += 1
            fault = next(self.kinds) if self.every and next(self.turns) % self.every == 0 else ""
            self.faults[fault] += 1
        asked = f"{method} {path}?{environ['QUERY_STRING']}"
        refused = next((code for part, code in self.refused.items() if part in asked), "")
        if fault in ("503", "500") or refused:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            code = CODES[refused or fault]
            body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            start(f"{refused or fault} no", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
            return [b"" if method == "HEAD" else body]
        if fault == "cut before":
            self.cut(environ)
        made = []
        with self.lock:
            body = b"".join(self.app(environ, lambda status, headers, error=None: made.extend((status, headers))))
            self.put[path] += method == "PUT" and made[0].startswith("200")
        if fault == "timeout":
            time.sleep(6)
        if fault == "cut after" and (method != "GET" or not body):
            self.cut(environ)
        start(*made)
        return self.half(environ, body) if fault == "cut after" else [body]

    def half(self, environ, body):
        yield body[: len(body) // 2]
        self.cut(environ)

    def cut(self, environ):
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        raise ConnectionError


@pytest.fixture
def server(monkeypatch, tmp_path):
    server = Server()
    given = {"AWS_ENDPOINT_URL": server.address, "AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": SECRET}
    given |= {"AWS_DEFAULT_REGION": "us-east-1", "NO_PROXY": "127.0.0.1", "AWS_EC2_METADATA_DISABLED": "true"}
    for key, value in given.items():
        monkeypatch.setenv(key, value)
    for key in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(key, str(tmp_path / "none"))
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setattr(retrying, "_gone", {})
    s3fs.S3FileSystem.clear_instance_cache()
    storage.file_system(addressed("s3://data/x")).call_s3("create_bucket", Bucket="data")
    yield server
    s3fs.S3FileSystem.clear_instance_cache()
    server.server.shutdown()


@pytest.fixture
def photos(server):
    """Pictures and trimaps in s3://data/in and in ./in."""
    rng = np.random.default_rng(0)
    trimap = np.full((16, 16), 128, np.uint8)
    trimap[:4], trimap[-4:] = 0, 255
    for number in range(PICTURES):
        for kind, pixels in (("image", rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)), ("trimap", trimap)):
            for home in (Path("in"), addressed("s3://data/in")):
                imaging.write_image(home / f"{kind}/{number % 3}/{number:03d}.png", pixels)


def test_a_server_that_fails_now_and_then_loses_nothing_and_gets_nothing_twice(deepmat, server, photos, monkeypatch):
    monkeypatch.setattr(s3fs.S3FileSystem, "read_timeout", 3)
    s3fs.S3FileSystem.clear_instance_cache()
    server.every = 9
    command = ["predict", "s3://data/in/image", "-t", "s3://data/in/trimap", "-w", "closed-form", "--save", "alpha"]
    result = deepmat(*command, "-o", "s3://data/out")
    assert result.exit_code == 0, result.stderr[-2000:]
    assert {*KINDS} <= {*server.faults}
    server.every = 0
    out = addressed("s3://data/out")
    here = [part.removeprefix("s3://data/") for part in command]
    assert deepmat(*here, "-o", "out").exit_code == 0
    local = {path.relative_to("out").as_posix(): path.read_bytes() for path in Path("out/alpha").rglob("*.png")}
    assert {name: (out / name).read_bytes() for name in names(out) if name != "log.jsonl"} == local and len(
        local
    ) == PICTURES
    log = (out / "log.jsonl").read_text()
    logged = [json.loads(line)["name"] for line in log.splitlines()]
    assert [f"alpha/{name}.png" for name in logged] == sorted(local)
    assert SECRET not in log + result.output and "AKIATEST" not in log + result.output

    server.requests.clear()
    (out / "alpha/0/000.png").unlink()
    result = deepmat(*command, "-o", "s3://data/out", "--skip-existing")
    assert f"1 of 1 pictures cut out in s3://data/out ({PICTURES - 1} more existed)" in result.stderr
    assert server.requests["PUT"] == 2 and server.requests["HEAD"] < 12 and server.requests["LIST"] < 12


def test_a_missing_picture_bucket_right_or_credential_is_named(deepmat, server, photos, monkeypatch):
    command = ["predict", "s3://data/in/image", "-t", "s3://data/in/trimap", "-w", "closed-form", "-o"]
    server.refused = {"GET /data/in/image/1/001.png": "404", "GET /data/in/trimap/2/002.png": "403"}
    result = deepmat(*command, "out")
    assert result.exit_code == 1 and f"{PICTURES - 2} of {PICTURES} pictures" in result.stderr
    assert "s3://data/in/image/1/001.png: no such file; check the address" in result.stderr
    assert "s3://data/in/trimap/2/002.png: may not be read (AccessDenied); check the credentials" in result.stderr
    server.refused = {"PUT /data/x": "403"}
    result = deepmat("trimap", "in/trimap/0/000.png", "-o", "s3://data/x")
    assert result.exit_code == 1 and "s3://data/x/000.png: may not be written (AccessDenied)" in result.stderr
    for command in (["trimap", "in/trimap", "-o", "s3://nowhere/x"], ["trimap", "s3://nowhere/x", "-o", "out"]):
        result = deepmat(*command)
        assert result.exit_code == 1 and result.stderr.count("there is no bucket s3://nowhere; check") == 1
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(key)
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(DataError, match="s3://data/in: there are no credentials for s3://data"):
        next(names(addressed("s3://data/in")))


def test_a_large_upload_that_fails_leaves_nothing(server):
    place = addressed("s3://data/large.bin")
    server.refused = {"partNumber=2": "403"}
    with pytest.raises(DataError, match=r"s3://data/large.bin: may not be written"):
        storage.write(place, bytes(101 << 20))
    assert isinstance(place, Address) and not place.exists()
    assert not storage.file_system(place).call_s3("list_multipart_uploads", Bucket="data").get("Uploads")
    server.refused = {}
    storage.write(place, bytes(101 << 20))
    assert len(place.read_bytes()) == 101 << 20
