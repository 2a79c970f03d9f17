import errno
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deepmat.errors import DataError
from deepmat.runtime import fetching
from deepmat.runtime.fetching import Remote, fetch

DATA = os.urandom(3_000_000)


class Server(ThreadingHTTPServer):
    """It sends `data`; each answer ends after as many bytes as `cuts` has for it."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.data, self.cuts, self.ranges, self.status, self.wait = DATA, [], True, 200, 0.0
        self.asked = []
        """The Range header of each request."""
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def remote(self):
        return Remote(f"http://127.0.0.1:{self.server_port}/n.onnx", hashlib.sha256(DATA).hexdigest(), len(DATA))


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server, wanted = self.server, self.headers["Range"]
        server.asked.append(wanted)
        start = int(wanted[len("bytes=") : -1]) if wanted and server.ranges else 0
        if server.status != 200 or start >= len(server.data):
            return self.send_error(server.status if server.status != 200 else 416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.data) - 1}/{len(server.data)}")
        self.send_header("Content-Length", str(len(server.data) - start))
        self.end_headers()
        time.sleep(server.wait)
        self.wfile.write(server.data[start:][: server.cuts.pop(0) if server.cuts else None])


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(fetching, "_failed", {})
    monkeypatch.delenv(fetching.OFFLINE, raising=False)
    server = Server()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def place(tmp_path):
    return tmp_path / "cache" / "n.onnx"


def part_of(place):
    return place.with_name("n.onnx.part")


def test_a_file_is_fetched_once_and_progress_is_reported(server, place):
    steps = []
    assert fetch(server.remote, place, progress=lambda *step: steps.append(step)) == place
    assert place.read_bytes() == DATA and not part_of(place).exists()
    assert steps[0] == (0, len(DATA)) and steps[-1] == (len(DATA), len(DATA)) and len(steps) > 2
    fetch(server.remote, place)
    assert server.asked == [None]


def test_a_connection_that_is_cut_off_goes_on_where_it_ended(server, place):
    server.cuts = [1_000_000, 500_000]
    assert fetch(server.remote, place).read_bytes() == DATA
    assert server.asked == [None, "bytes=1000000-", "bytes=1500000-"]


def test_what_is_left_of_a_broken_fetch_is_continued_later(server, place, monkeypatch):
    server.cuts = [1_000_000, 0]
    with pytest.raises(DataError, match=r"ended after 1.0 of 3.0 MB.*which goes on from there"):
        fetch(server.remote, place)
    assert not place.exists() and part_of(place).read_bytes() == DATA[:1_000_000]
    monkeypatch.setattr(fetching, "_failed", {})
    assert fetch(server.remote, place).read_bytes() == DATA
    assert server.asked[-1] == "bytes=1000000-"


def test_a_server_without_ranges_begins_anew(server, place):
    server.ranges, server.cuts = False, [1_000_000]
    assert fetch(server.remote, place).read_bytes() == DATA


@pytest.mark.parametrize("left", [b"another file", os.urandom(len(DATA)), os.urandom(len(DATA) + 9)])
def test_leftovers_of_another_file_do_no_harm(server, place, left):
    place.parent.mkdir()
    part_of(place).write_bytes(left)
    assert fetch(server.remote, place).read_bytes() == DATA and not part_of(place).exists()


def test_a_shorter_file_on_the_server_is_noticed_when_going_on(server, place):
    place.parent.mkdir()
    part_of(place).write_bytes(DATA[:1_000_000])
    server.data = b"<html>please log in</html>"
    with pytest.raises(DataError, match="another file than deepmat knows .26 bytes"):
        fetch(server.remote, place)
    assert server.asked == ["bytes=1000000-", None]


def set_data(data):
    return lambda server: setattr(server, "data", data)


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (set_data(bytes(len(DATA))), "another file than deepmat knows .its SHA-256 is not"),
        (set_data(b"<html>please log in</html>"), "another file than deepmat knows .26 bytes, not 3000000"),
        (lambda server: setattr(server, "status", 404), "the server answers 404 Not Found"),
        (lambda server: setattr(server, "cuts", [0]), "ended after 0.0 of 3.0 MB"),
        (lambda server: (server.shutdown(), server.server_close()), "refused"),
    ],
    ids=["wrong sum", "wrong size", "missing", "cut off", "no server"],
)
def test_a_file_that_cannot_be_had_is_explained(server, place, spoil, match):
    spoil(server)
    with pytest.raises(DataError, match=match) as error:
        fetch(server.remote, place)
    message = str(error.value)
    assert message.startswith(f"{place}: ") and server.remote.address in message and "by hand" in message
    assert "\n" not in message and not place.exists()
    assert not part_of(place).exists() or not part_of(place).stat().st_size


def test_a_server_that_falls_silent_is_given_up_and_not_asked_for_every_photo(server, place, monkeypatch):
    monkeypatch.setattr(fetching, "TIMEOUT", 0.1)
    server.cuts, server.wait = [0], 0.5
    for _ in range(2):
        with pytest.raises(DataError, match="timed out"):
            fetch(server.remote, place)
    assert len(server.asked) == 1


def test_nothing_is_fetched_offline(server, place, monkeypatch):
    with pytest.raises(DataError, match="fetching is off; unset DEEPMAT_OFFLINE, or put the file of http"):
        fetch(server.remote, place, offline=True)
    monkeypatch.setenv(fetching.OFFLINE, "1")
    with pytest.raises(DataError, match="fetching is off"):
        fetch(server.remote, place)
    assert not server.asked and not place.parent.exists()
    place.parent.mkdir()
    place.write_bytes(DATA)
    assert fetch(server.remote, place) == place


def test_a_full_disk_is_noticed_before_and_while_fetching(server, place, monkeypatch):
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda folder: usage(5_000_000, 4_000_000, 1_000_000))
        with pytest.raises(DataError, match="needs 3.0 MB, and 1.0 MB are free; free space or set DEEPMAT_CACHE"):
            fetch(server.remote, place)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DataError, match="cannot be written .No space left on device.; free space or set"):
            fetch(server.remote, place)
    assert fetch(server.remote, place).read_bytes() == DATA


def test_a_cache_that_cannot_be_written_is_explained(server, tmp_path):
    (tmp_path / "cache").write_bytes(b"a file")
    with pytest.raises(DataError, match="cannot be written .*set DEEPMAT_CACHE to another folder, or put"):
        fetch(server.remote, tmp_path / "cache" / "n.onnx")
    assert not server.asked


def test_of_two_processes_one_fetches(server, place):
    server.wait = 0.3
    code = (
        "from pathlib import Path; from deepmat.runtime.fetching import Remote, fetch; import sys;"
        "print(fetch(Remote(sys.argv[1], sys.argv[2], int(sys.argv[3])), Path(sys.argv[4])))"
    )
    command = [sys.executable, "-c", code, *map(str, server.remote), str(place)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=60)[0].strip() for process in both] == [str(place)] * 2
    assert server.asked == [None]


def test_the_cache_is_where_the_user_says(tmp_path, monkeypatch):
    monkeypatch.setenv(fetching.CACHE, str(tmp_path))
    assert fetching.cache_folder() == tmp_path
    monkeypatch.delenv(fetching.CACHE)
    assert fetching.cache_folder().name == "deepmat"
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DataError, match="no home folder; set DEEPMAT_CACHE"):
        fetching.cache_folder()
