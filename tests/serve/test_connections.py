"""Connections on the loopback: how long the headers of a request are awaited."""

import asyncio
import socket
import threading
import time

import pytest
import uvicorn

from deepmat.serve.connections import patient

PATIENCE = 0.4


async def app(scope, receive, send):
    """Answers when the body is there, and later than headers are awaited."""
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(1.5 * PATIENCE)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def connected():
    """Connections to a server with that patience."""
    config = uvicorn.Config(app, http=patient(PATIENCE), lifespan="off", log_level="error", ws="none")
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
