"""Guards before the service: they check keys and sites, limit size and time of uploads, and set headers for browsers.

The outermost layer of the application. It also counts and logs requests: route, status and time, nothing of a picture.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deepmat.errors import ConfigError
from deepmat.runtime.files import AnyPath, as_path
from deepmat.serve.answers import answer
from deepmat.serve.metrics import Metrics
from deepmat.serve.refusals import Refusal
from deepmat.serve.workers import Workers

LOG = logging.getLogger("deepmat.serve")
CLOSED = ("/v1", "/metrics")
"""What the paths begin with that need a key, where there are keys; the page and what says that it runs need none."""
LOCAL_NAMES = ("localhost",)
HELD = 8
"""Requests beside those of workers and queue whose bodies are kept in memory at the same time."""
OPEN = 64
"""Requests beside twice those of workers and queue that are open at the same time: sent, worked on or answered."""
PAGE, FORM = "/v1/pictures", 10_000
"""What the paths begin with at which the page sends pictures, and the bytes of its forms beside the file, so that every
file within the limit can be sent."""
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


def read_keys(file: AnyPath | None) -> list[bytes]:
    """Return the digests of the keys in a file, one a line. Raises ConfigError where there is none."""
    if file is None:
        return []
    path = as_path(file, "--api-key-file")
    try:
        lines = [line.strip() for line in path.read_bytes().splitlines()]
    except OSError as error:
        raise ConfigError(f"--api-key-file {path}: cannot be read ({error.strerror}); check the path") from error
    keys = [_digest(line) for line in lines if line and not line.startswith(b"#")]
    if not keys:
        raise ConfigError(f"--api-key-file {path}: holds no key; write one a line")
    return keys


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def has_key(headers: Headers, keys: Sequence[bytes]) -> bool:
    """Return whether a request has one of the keys. Takes the same time whatever it has."""
    kind, _, bearer = headers.get("authorization", "").partition(" ")
    given = headers.get("x-api-key") or (bearer.strip() if kind.lower() == "bearer" else "")
    digest = _digest(given.encode("latin-1", "replace"))
    found = [hmac.compare_digest(digest, key) for key in keys]  # all of them, so that the time tells nothing
    return any(found)


def check_site(headers: Headers, names: Sequence[str], navigates: bool) -> None:
    """Raise Refusal for a request from another site's page, or to a name that is not this machine's.

    A page of another site can send requests to addresses of this machine, and can let its own name mean one of these
    addresses (DNS rebinding). navigates: whether the request may come from a link on another page.
    """
    host = headers.get("host", "")
    if "host" in headers and not _is_ours(host, names):  # browsers name one always; checks of health may not
        raise Refusal("other_site", f"host {host[:100]!r}: is not known; allow it with --allow-host")
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != host.lower():
        raise Refusal("other_site", "requests from pages of other sites are refused")
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not navigates:
        raise Refusal("other_site", "requests from pages of other sites are refused")


def _is_ours(host: str, names: Sequence[str]) -> bool:
    """Return whether a Host header is an address, which no other site can own, or one of the names."""
    with suppress(ValueError):
        name = urlsplit(f"//{host}").hostname or ""
        if name.rstrip(".") in names:
            return True
        ipaddress.ip_address(name)
        return True
    return False


class Guards:
    """The layer around the application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: Sequence[bytes],
        names: Sequence[str],
        max_bytes: int,
        timeout: float,
        workers: Workers,
        metrics: Metrics,
    ) -> None:
        self.app, self.keys, self.max_bytes, self.timeout = app, keys, max_bytes, timeout
        self.names = [*LOCAL_NAMES, *(name.lower() for name in names)]
        self.workers, self.metrics = workers, metrics
        self.held, self.open = 0, 0
        self.most = OPEN + 2 * workers.places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        begun, passing = time.monotonic(), _Passing(self, scope, receive, send)
        # The server leaves the body of an answer to HEAD out; FastAPI's routes know GET alone.
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        self.open += 1
        try:
            try:
                self.check(scope)
                await self.app(inner, passing.receive, passing.send)
            except Refusal as refusal:
                await answer(refusal, scope["path"])(scope, receive, passing.send)
        finally:
            self.held -= passing.received
            self.open -= 1
            seconds = time.monotonic() - begun
            route = getattr(inner.get("route"), "path", "other")
            self.metrics.add(route, passing.status, seconds, passing.received)
            LOG.info("%s %s %d %.3f s", scope["method"], route, passing.status, seconds)

    def check(self, scope: Scope) -> None:
        """Raise Refusal for a request that is not let in."""
        headers, path = Headers(scope=scope), scope["path"]
        check_site(headers, self.names, scope["method"] in ("GET", "HEAD") and not path.startswith(CLOSED))
        if self.keys and path.startswith(CLOSED) and not has_key(headers, self.keys):
            raise Refusal("no_key", "the API key is missing or wrong; send it as X-Api-Key")
        if self.open > self.most and path.startswith(CLOSED):
            raise Refusal("busy", f"{self.most} requests are open; try again later")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.limit(path):
            raise Refusal("too_large", self.over())
        if scope["method"] == "POST":
            self.workers.check()

    def limit(self, path: str) -> int:
        """Return the bytes that a request to a path may have."""
        return self.max_bytes + (FORM if path.startswith(PAGE) else 0)

    def over(self) -> str:
        """Return what is said of a request that is too long."""
        return f"the request is over {self.max_bytes / 1e6:g} MB; send a smaller file"


class _Passing:
    """What passes the guards in a request: its body, counted and timed, and its answer."""

    def __init__(self, guards: Guards, scope: Scope, receive: Receive, send: Send) -> None:
        self.guards, self.pull, self.push = guards, receive, send
        self.limit = guards.limit(scope["path"])
        headers = Headers(scope=scope)
        self.has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        self.received, self.status, self.whole = 0, 499, False
        self.end = time.monotonic() + guards.timeout

    async def receive(self) -> Message:
        """Return the next part of the body. Raises Refusal where it is too long or too slow."""
        if self.whole:
            return await self.pull()  # waits for the client to go away
        try:
            message = await asyncio.wait_for(self.pull(), max(0.0, self.end - time.monotonic()))
        except asyncio.TimeoutError as error:
            told = f"the request did not arrive within {self.guards.timeout:g} seconds"
            raise Refusal("slow_upload", told) from error
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self.received += size
            self.guards.held += size
            self.whole = not message.get("more_body", False)
            if self.received > self.limit:
                raise Refusal("too_large", self.guards.over())
            if self.guards.held > (self.guards.workers.places + HELD) * self.guards.max_bytes:
                raise Refusal("busy", "too many uploads at the same time; try again later")
            if self.guards.workers.closing and not self.whole:
                raise Refusal("closing", "the service is being stopped")
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer, with the headers for browsers."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY.items():
                headers.setdefault(name, value)
            if self.has_body and not self.whole:
                headers["Connection"] = "close"  # what is left of the body is not read
        await self.push(message)
