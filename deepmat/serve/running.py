"""Run the service: what `deepmat serve` does."""

import importlib.util
import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from deepmat.errors import ConfigError, DataError, DeepmatError
from deepmat.runtime.fetching import OFFLINE
from deepmat.runtime.processes import share_heap
from deepmat.serve.settings import ServeSettings
from deepmat.subject.finders.choice import DEFAULT
from deepmat.subject.seeking import Seeker, check_finder, prepare

if TYPE_CHECKING:
    from deepmat.serve.guards import Guards
    from deepmat.serve.service import Service

NEEDED = ("fastapi", "uvicorn", "python_multipart")
BACKLOG = 128
HEADERS = 10.0
"""Seconds in which the headers of a request have to arrive."""


def run_service(settings: ServeSettings, say: Callable[[str], None] = print) -> None:
    """Serve until SIGTERM or SIGINT; then finish what runs and refuse the rest.

    say: is called with lines for the user: where the service listens, and what is doubtful. Raises ConfigError,
    DataError, CheckpointError, DeviceError before it listens.
    """
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        raise ConfigError("deepmat serve needs FastAPI and uvicorn: pip install 'deepmat[serve]'")
    share_heap()
    from deepmat.serve.app import build_app
    from deepmat.serve.service import open_service

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with _listening(settings) as listener:
        service = open_service(settings)
        say(f"network: {service.network.about}")
        for warning in prepare_finder(settings.finder):
            say(warning)
        if not is_local(settings.host):
            say(warning_of(settings, bool(service.keys)))
        host, port = listener.getsockname()[:2]
        say(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}; Ctrl-C ends it")
        _serve(service, build_app(service), listener)


def prepare_finder(finder: str | None) -> list[str]:
    """Fetch and load the network that finds subjects, so that no request has to wait for it. Returns warnings.

    From then on nothing is fetched. Raises ConfigError and DataError for a finder that was asked for.
    """
    check_finder(finder)
    warnings = []
    try:
        prepare(Seeker(finder=finder or DEFAULT))
    except DeepmatError as error:
        if finder:
            raise
        warnings.append(f"pictures need a plain backdrop, a click or a box, since {DEFAULT} is not there: {error}")
    os.environ[OFFLINE] = "1"
    return warnings


def is_local(host: str) -> bool:
    """Return whether only this machine reaches a host that is bound to."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def warning_of(settings: ServeSettings, has_keys: bool) -> str:
    """Return the warning of a service that other machines reach."""
    how = "" if has_keys else " without a key (--api-key-file)"
    return f"warning: --host {settings.host} lets other machines in{how}; traffic is not encrypted, see docs/serve.md"


@contextmanager
def _listening(settings: ServeSettings) -> Iterator[socket.socket]:
    """Yield a bound socket. Raises DataError if the address cannot be had."""
    with ExitStack() as opened:
        try:
            kind = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
            listener = opened.enter_context(socket.socket(kind[0], kind[1]))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(kind[4])
            listener.listen(BACKLOG)  # whoever comes before the network is loaded waits
        except (OSError, OverflowError) as error:
            told = getattr(error, "strerror", None) or error
            place = f"--host {settings.host} --port {settings.port}"
            raise DataError(f"{place}: cannot listen there ({told}); choose another --port or --host") from error
        yield listener


def _serve(service: "Service", app: "Guards", listener: socket.socket) -> None:
    import uvicorn

    from deepmat.serve.connections import patient

    settings = service.settings

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            service.workers.close()
            self.force_exit = self.should_exit and sig == signal.SIGINT
            self.should_exit = True

    config = uvicorn.Config(
        app,
        http=patient(min(HEADERS, settings.timeout), app.most),
        ws="none",
        access_log=False,
        server_header=False,
        log_level="warning",
        timeout_graceful_shutdown=round(settings.timeout) + 1,
    )
    Server(config).run(sockets=[listener])
