"""Commands on servers of Azure's and Google's storage on this machine, which fail now and then.

Azurite (`npm install -g azurite`) and gcp-storage-emulator have to be on the PATH; what is not there is skipped.
"""

import http.client
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import numpy as np
import pytest

from deepmat import imaging
from deepmat.errors import DataError
from deepmat.runtime import retrying, storage
from deepmat.runtime.storage import addressed, names

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # the libraries' own
]
SERVERS = {
    "az": ["azurite-blob", "--silent", "--inMemoryPersistence", "--skipApiVersionCheck", "--blobPort"],
    "gs": ["gcp-storage-emulator", "start", "--in-memory", "--host", "127.0.0.1", "--port"],
}
# Azurite's own, which its documentation publishes.
SECRET = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
PICTURES = 12
KINDS = ("503", "500", "429", "cut before", "cut after")


class Front(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *arguments):
        """Say nothing of connections that a client ends."""


class Faulty(BaseHTTPRequestHandler):
    """Passes requests on to the server behind it, but the faulty ones."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self):
        front = self.server
        body = self.body()
        asked = f"{self.command} {self.path}"
        with front.lock:
            front.requests[self.command] += 1
            fault = next(front.kinds) if front.every and next(front.turns) % front.every == 0 else ""
            front.faults[fault] += 1
        fault = next((code for part, code in front.refused.items() if part in asked), fault)
        if fault == "cut before":
            return self.cut()
        if fault.isdigit():
            return self.reply(int(fault), [("x-ms-error-code", "no")], b"{}")
        behind = http.client.HTTPConnection("127.0.0.1", front.behind, timeout=60)
        # What is signed and what addresses are made of stays as it was sent.
        behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                behind.putheader(name, value)
        if self.command in ("PUT", "POST", "PATCH"):
            behind.putheader("Content-Length", str(len(body)))
        behind.endheaders(body)
        got = behind.getresponse()
        data, headers = got.read(), got.getheaders()
        behind.close()
        if fault == "cut after":
            return self.cut()
        self.reply(got.status, headers, data)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = answer

    def body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def cut(self):
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def reply(self, status, headers, data):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "keep-alive"):
                self.send_header(name, value)
        length = next((value for name, value in headers if name.lower() == "content-length"), None)
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def wait_for(port):
    for _ in range(300):
        with socket.socket() as asking:
            if asking.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError


@pytest.fixture(params=SERVERS)
def server(request, monkeypatch, tmp_path):
    """A server behind faults; with `every`, each so many-th request fails, by KINDS in turn."""
    scheme, (program, *options) = request.param, SERVERS[request.param]
    pytest.importorskip({"az": "adlfs", "gs": "gcsfs"}[scheme])
    found = shutil.which(program, path=os.pathsep.join((os.environ["PATH"], str(Path(sys.executable).parent))))
    if not found:
        pytest.skip(f"needs {program}")
    port = free_port()
    running = subprocess.Popen(
        [found, *options, str(port)], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    front = Front(("127.0.0.1", 0), Faulty)
    front.scheme, front.behind, front.lock = scheme, port, threading.Lock()
    front.every, front.refused, front.requests, front.faults = 0, {}, Counter(), Counter()
    front.turns, front.kinds = itertools.count(1), itertools.cycle(KINDS)
    threading.Thread(target=front.serve_forever, args=(0.02,), daemon=True).start()
    home = f"http://127.0.0.1:{front.server_port}"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    if scheme == "gs":
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", home)
    else:
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azure(home, SECRET))
    monkeypatch.setattr(retrying, "_gone", {})
    forget(scheme)
    try:
        wait_for(port)
        make_bucket(scheme)
        yield front
    finally:
        forget(scheme)
        front.shutdown()
        front.server_close()
        running.terminate()
        running.wait(20)


def azure(home, key):
    account = "devstoreaccount1"
    return f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};BlobEndpoint={home}/{account};"


def forget(scheme):
    fsspec.get_filesystem_class(scheme).clear_instance_cache()


def make_bucket(scheme):
    system = storage.file_system(addressed(f"{scheme}://data/x"))
    if scheme == "az":
        system.mkdir("data")
    else:
        system.call("POST", "b", project="x", json={"name": "data"})


@pytest.fixture
def photos(server):
    """Pictures, trimaps and alphas in the storage's data/in and in ./in."""
    rng = np.random.default_rng(0)
    trimap = np.full((16, 16), 128, np.uint8)
    trimap[:4], trimap[-4:] = 0, 255
    alpha = np.repeat(np.linspace(-60, 315, 16).clip(0, 255).astype(np.uint8)[:, None], 16, axis=1)
    for number in range(PICTURES):
        image = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        for kind, pixels in (("image", image), ("trimap", trimap), ("alpha", alpha)):
            for home in (Path("in"), addressed(f"{server.scheme}://data/in")):
                imaging.write_image(home / f"{kind}/{number % 3}/{number:03d}.png", pixels)


def test_a_server_that_fails_now_and_then_loses_nothing_and_gets_nothing_twice(deepmat, server, photos):
    there = f"{server.scheme}://data"
    command = [f"predict {there}/in/image -t {there}/in/trimap -w closed-form --save alpha", f"-o {there}/out"]
    server.every = 5
    result = deepmat(*" ".join(command).split())
    assert result.exit_code == 0, result.stderr[-2000:]
    assert {*KINDS} <= {*server.faults}
    server.every = 0
    out = addressed(f"{there}/out")
    assert deepmat(*command[0].replace(f"{there}/", "").split(), "-o", "out").exit_code == 0
    local = {path.relative_to("out").as_posix(): path.read_bytes() for path in Path("out/alpha").rglob("*.png")}
    assert {name: (out / name).read_bytes() for name in names(out) if name != "log.jsonl"} == local
    log = (out / "log.jsonl").read_text()
    logged = [json.loads(line)["name"] for line in log.splitlines()]
    assert [f"alpha/{name}.png" for name in logged] == sorted(local) and len(local) == PICTURES
    assert SECRET[:9] not in log + result.output

    server.requests.clear()
    (out / "alpha/0/000.png").unlink()
    result = deepmat(*" ".join(command).split(), "--skip-existing")
    assert f"1 of 1 pictures cut out in {there}/out ({PICTURES - 1} more existed)" in result.stderr
    assert server.requests["PUT"] + server.requests["POST"] == 2  # the alpha and the log


def test_commands_make_the_same_files_as_on_the_disk(deepmat, server, photos):
    there = f"{server.scheme}://data"
    for command in (
        "trimap HOME/in/alpha -o HOME/out/trimap",
        "cut HOME/in/image --masks HOME/in/alpha -w closed-form -o HOME/out/cut --save alpha,cutout",
        "composite HOME/in/image --alpha HOME/in/alpha --bg HOME/in/image --per-foreground 1 -o HOME/out/set",
        "eval -p HOME/in/alpha --data HOME/in -o HOME/out/scores",
        "doctor HOME/out/set",
    ):
        result, local = (deepmat(*command.replace("HOME", home).split()) for home in (there, "."))
        assert result.exit_code == 0 == local.exit_code, result.output
    out = addressed(f"{there}/out")
    made = {path.relative_to("out").as_posix(): path.read_bytes() for path in Path("out").rglob("*.png")}
    assert {name: (out / name).read_bytes() for name in names(out) if name.endswith(".png")} == made
    assert len(made) == 4 * PICTURES and (out / "scores/scores.json").is_file()


def test_a_killed_command_leaves_whole_files_and_the_next_does_the_rest(deepmat, server, photos):
    there = f"{server.scheme}://data"
    command = f"predict {there}/in/image -t {there}/in/trimap -w closed-form --save alpha -o {there}/out".split()
    server.requests.clear()
    running = subprocess.Popen([sys.executable, "-m", "deepmat", *command], stderr=subprocess.DEVNULL)
    while server.requests["PUT"] + server.requests["POST"] < 3 and running.poll() is None:
        time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    assert running.wait(60) == -signal.SIGKILL
    time.sleep(0.5)
    out = addressed(f"{there}/out/alpha")
    left = [*names(out)]
    assert 0 < len(left) < PICTURES
    for name in left:
        imaging.read_grey(out / name)
    result = deepmat(*command, "--skip-existing")
    assert f"{PICTURES - len(left)} of {PICTURES - len(left)} pictures" in result.stderr
    assert len([*names(out)]) == PICTURES


def test_a_missing_picture_bucket_right_or_credential_is_named(deepmat, server, photos, monkeypatch):
    there = f"{server.scheme}://data"
    server.refused = {"image%2F1%2F001.png": "404", "image/1/001.png": "404"}
    server.refused |= {"trimap%2F2%2F002.png": "403", "trimap/2/002.png": "403"}
    result = deepmat("predict", f"{there}/in/image", "-t", f"{there}/in/trimap", "-w", "closed-form", "-o", "out")
    assert result.exit_code == 1 and f"{PICTURES - 2} of {PICTURES} pictures" in result.stderr, result.stderr
    assert f"{there}/in/image/1/001.png: no such file; check the address" in result.stderr
    assert f"{there}/in/trimap/2/002.png: may not be read; check the credentials" in result.stderr
    server.refused = {}
    nowhere = f"{server.scheme}://nowhere"
    for command in (["in/trimap", "-o", f"{nowhere}/x"], [f"{nowhere}/x", "-o", "out"]):
        result = deepmat("trimap", *command)
        assert result.exit_code == 1 and result.stderr.count(f"there is no bucket {nowhere}; check") == 1
    result = deepmat("predict", f"{there}/none", "-t", "in/trimap", "-w", "closed-form", "-o", "out")
    assert result.exit_code == 1 and f"{there}/none: no such file or folder; check the address" in result.stderr
    if server.scheme == "gs":
        monkeypatch.delenv("STORAGE_EMULATOR_HOST")  # the emulator asks for no credentials
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "none.json")
        monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "google_default"})
        cases = {None: "there are no credentials for gs://data"}
    else:
        home = f"http://127.0.0.1:{server.server_port}"
        cases = {
            azure(home, SECRET.replace("Eby8", "Eby9")): "may not be looked at; check the credentials",
            azure(home, "not base 64"): "there are no credentials for az://data",
            "AccountKey=hunter2": "there are no credentials for az://data",
            None: "there are no credentials for az://data",
        }
    for given, message in cases.items():
        if given:
            monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", given)
        else:
            monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING", raising=False)
        forget(server.scheme)
        result = deepmat("trimap", "in/trimap", "-o", f"{there}/x")
        assert result.exit_code == 1 and message in result.stderr and result.stderr.count("\n") == 1, result.stderr
        assert "hunter2" not in result.stderr and SECRET[5:] not in result.stderr


def test_a_storage_that_is_gone_is_given_up_in_seconds(server, monkeypatch):
    server.refused = {"gone": "cut before", "uploadType=multipart": "cut before"}
    waited = []
    monkeypatch.setattr(retrying.time, "sleep", waited.append)
    begin = time.monotonic()
    with pytest.raises(DataError, match="cannot be written in 7 tries"):
        storage.write(addressed(f"{server.scheme}://data/gone.bin"), b"1")
    with pytest.raises(DataError, match="cannot be read"):
        addressed(f"{server.scheme}://data/gone.bin").read_bytes()
    assert time.monotonic() - begin < 15 and len(waited) == 6


def test_a_large_upload_that_fails_leaves_nothing(server):
    place = addressed(f"{server.scheme}://data/large.bin")
    content = np.random.default_rng(0).bytes(70 << 20)  # in parts: from 5 MB on with Google, from 64 MB on with Azure
    server.refused = {"comp=blocklist": "403", "upload_id=": "403"}
    with pytest.raises(DataError, match=r"data/large.bin: may not be written"):
        storage.write(place, content)
    assert not place.exists() and not [*names(addressed(f"{server.scheme}://data"))]
    server.refused = {}
    storage.write(place, content)
    assert place.read_bytes() == content
