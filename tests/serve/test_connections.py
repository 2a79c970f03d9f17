"""Connections on the loopback: how long the headers of a request are awaited, and how many may be idle."""

import asyncio
import socket
import threading
import time

import pytest
import uvicorn

from deepmat.serve.connections import patient

PATIENCE, MOST = 0.4, 3
LARGE = 40_000_000
"""Bytes of an answer that no buffer of a connection takes whole."""


async def app(scope, receive, send):
    """Answers when the body is there, and later than headers are awaited; /large with much at once."""
    if scope["path"] == "/large":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % LARGE)]})
        await send({"type": "http.response.body", "body": bytes(LARGE)})
        return
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(1.5 * PATIENCE)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def connected(request):
    """Connections to a server with that patience, or with the test's own."""
    patience = getattr(request, "param", PATIENCE)
    config = uvicorn.Config(app, http=patient(patience, MOST), lifespan="off", log_level="error", ws="none")
    listener, server, opened = socket.create_server(("127.0.0.1", 0)), uvicorn.Server(config), []
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()

    def connect():
        opened.append(socket.create_connection(listener.getsockname(), timeout=20))
        return opened[-1]

    yield connect
    server.should_exit = True
    thread.join(20)
    for each in (*opened, listener):
        each.close()


def trickle(connection):
    """Send headers a byte at a time, without an end. Returns the answer and the seconds until the connection ended."""
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
    begun, answer = time.monotonic(), b""
    connection.settimeout(0.05)
    while time.monotonic() - begun < 10:
        try:
            connection.sendall(b"x")
            part = connection.recv(4096)
            answer += part
            if not part:
                break
        except TimeoutError:
            pass
        except OSError:
            break
    return answer, time.monotonic() - begun


def ask(connection):
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return connection


def test_slow_headers_are_not_awaited_for_ever(connected):
    answer, seconds = trickle(connected())
    assert answer.startswith(b"HTTP/1.1 408") and PATIENCE / 2 < seconds < 5


def test_nor_are_those_of_a_later_request(connected):
    connection = connected()
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    answer, seconds = trickle(connection)
    assert b"HTTP/1.1 408" in answer and seconds < 5


def test_a_silent_connection_is_closed_without_an_answer(connected):
    begun = time.monotonic()
    assert connected().recv(100) == b"" and time.monotonic() - begun < 5


def test_a_body_and_an_answer_may_take_longer(connected):
    connection = connected()
    connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nx")
    time.sleep(1.5 * PATIENCE)
    connection.sendall(b"x")
    assert connection.recv(4096).startswith(b"HTTP/1.1 200")


def test_an_answer_that_is_not_taken_in_is_given_up(connected):
    unread, read = connected(), connected()
    for each in (unread, read):
        each.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
    got = 0
    while got < LARGE:  # slower than the patience, but never still for as long
        part = read.recv(1 << 22, socket.MSG_WAITALL)
        assert part
        got += len(part)
        time.sleep(PATIENCE / 8)
    assert len(unread.recv(LARGE, socket.MSG_WAITALL)) < LARGE  # what the buffers held


@pytest.mark.parametrize("connected", [10 * PATIENCE], indirect=True)
def test_of_many_idle_connections_the_oldest_are_closed(connected):
    begun = time.monotonic()
    idle = [connected() for _ in range(10)]
    time.sleep(1.5 * PATIENCE)
    newest = ask(connected())
    assert all(each.recv(100) == b"" for each in idle[: 11 - MOST]) and time.monotonic() - begun < 9 * PATIENCE
    assert newest.recv(4096).startswith(b"HTTP/1.1 200")


def test_requests_are_answered_beside_more_than_may_be_idle(connected):
    """A new connection is not idle before its request can be there."""
    working = [ask(connected()) for _ in range(3 * MOST)]
    assert all(each.recv(4096).startswith(b"HTTP/1.1 200") for each in working)
