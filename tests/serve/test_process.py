"""The service as a process: signals, slow and endless uploads, where it listens."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from serving import encoded, server, studio

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")]

HEAD = "POST /v1/cutout HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"


def connected(url):
    place = urlsplit(url)
    return socket.create_connection((place.hostname, place.port), timeout=20)


def answer(connection):
    """The status and the rest of what a connection answers until it is closed."""
    text = b""
    while part := connection.recv(65536):
        text += part
    return int(text.split()[1]), text


def post(url, image, **headers):
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    body = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + image + b"\r\n--x--\r\n"
    connection.request("POST", "/v1/cutout", body, {"Content-Type": "multipart/form-data; boundary=x", **headers})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def large():
    """A picture that takes a while: a block with a noisy edge before a plain backdrop."""
    pixels = np.full((900, 1200, 3), (230, 230, 232), np.uint8)
    pixels[200:700, 300:900] = np.random.default_rng(0).integers(0, 120, (500, 600, 3), dtype=np.uint8)
    return encoded(pixels)


def test_slow_and_endless_uploads():
    with server("--timeout", "1", "--max-upload", "1") as (url, _, _):
        with connected(url) as slow:  # a byte, and then nothing
            slow.sendall(f"{HEAD}Content-Length: 1000\r\n\r\n-".encode())
            begun = time.monotonic()
            status, text = answer(slow)
            assert status == 408 and b"slow_upload" in text and time.monotonic() - begun < 10
        with connected(url) as endless:
            endless.sendall(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
            sent = 0
            try:
                while sent < 50_000_000:
                    sent += endless.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            except OSError:
                pass
            assert sent < 20_000_000  # what the buffers of the system hold, and no more
        with connected(url) as gone:  # went away in the middle
            gone.sendall(f"{HEAD}Content-Length: 1000\r\n\r\n--x".encode())
        place = urlsplit(url)
        with closing(http.client.HTTPConnection(place.hostname, place.port, timeout=20)) as asking:
            asking.request("GET", "/readyz")
            assert asking.getresponse().status == 200


def test_idle_connections_keep_nobody_out():
    with server() as (url, _, _), ExitStack() as idle:
        for number in range(120):
            each = idle.enter_context(connected(url))
            if number % 2:
                each.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert each.recv(4096).startswith(b"HTTP/1.1 200")
        assert post(url, encoded(studio())) == 200


def test_sigterm_finishes_what_runs_and_refuses_the_rest():
    with server("--queue", "8") as (url, process, lines):
        picture, statuses = large(), []
        threads = [threading.Thread(target=lambda: statuses.append(post(url, picture))) for _ in range(3)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            place = urlsplit(url)
            with closing(http.client.HTTPConnection(place.hostname, place.port, timeout=20)) as asking:
                asking.request("GET", "/metrics")
                if b"deepmat_queue_length 2" in asking.getresponse().read():
                    break
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(60)
        assert process.wait(60) == 0
        assert sorted(statuses) == [200, 503, 503]
        assert not [line for line in lines if "Traceback" in line]


def test_nothing_is_left_after_a_kill(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with server() as (url, process, _):
        with connected(url) as half:
            half.sendall(
                f'{HEAD}Content-Length: 4000000\r\n\r\n--x\r\nContent-Disposition: form-data; name="image"; '.encode()
            )
            half.sendall(b'filename="a"\r\n\r\n' + b"x" * 3_000_000)
            time.sleep(0.3)
            files = map(os.readlink, Path(f"/proc/{process.pid}/fd").iterdir())
            assert not [name for name in files if name.startswith(str(tmp_path))]
            process.kill()
            process.wait(20)
    assert not list(tmp_path.iterdir())


def test_it_listens_on_this_machine_alone_and_warns_otherwise():
    with server() as (url, _, lines):
        assert url.startswith("http://127.0.0.1:") and not [line for line in lines if "warning" in line]
    with server("--host", "0.0.0.0") as (_, _, lines):
        assert [
            line for line in lines if line.startswith("warning: --host 0.0.0.0 lets other machines in without a key")
        ]


def test_a_port_that_is_taken_is_named(deepmat):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = deepmat("serve", "--port", taken.getsockname()[1])
        assert result.exit_code == 1 and "cannot listen there" in result.stderr and "--port" in result.stderr


HOOKS = """
from pathlib import Path

import schemathesis
from hypothesis import strategies

files = [each.read_bytes() for each in sorted(Path(__file__).parent.glob("*.bin"))]
schemathesis.openapi.format("binary", strategies.sampled_from(files))
"""


def test_requests_made_from_the_description(tmp_path):
    photo = encoded(studio())
    files = photo, encoded(studio(), "JPEG"), encoded(studio()[..., 0]), photo[: len(photo) // 2], b"text", b""
    for number, data in enumerate(files):
        (tmp_path / f"{number}.bin").write_bytes(data)
    (tmp_path / "pictures.py").write_text(HOOKS)
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "pictures", "PYTHONPATH": str(tmp_path)}
    options = ["--phases=examples,fuzzing", "--max-examples=20", "--seed=1", "--request-timeout=60", "--no-color"]
    # What the description allows is refused all the same where no file in it is a picture.
    options += ["--exclude-checks=positive_data_acceptance"]
    with server() as (url, _, lines):
        tool = Path(sys.executable).with_name("schemathesis")
        result = subprocess.run(
            [tool, "run", f"{url}/openapi.json", *options],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert result.returncode == 0, result.stdout
        assert not [line for line in lines if "Traceback" in line]
