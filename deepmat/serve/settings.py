"""Settings of the service."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from deepmat.errors import ConfigError
from deepmat.runtime.files import AnyPath

LOCAL = "127.0.0.1"
MOST_PORT = 65535


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """The settings of `deepmat serve`. Raises ConfigError for a value that is out of range."""

    weights: AnyPath | None = None
    finder: str | None = None
    """As for `deepmat.cut`; None chooses by the picture."""
    device: str = "auto"
    precision: str = "auto"
    workers: int = 1
    """Requests that are worked on at the same time."""
    queue: int = 16
    """Requests that wait."""
    max_megapixels: int = 50
    max_upload: int = 32
    """Megabytes of a request."""
    timeout: float = 60
    """Seconds in which a request has to arrive, and in which it has to be answered then."""
    api_key_file: AnyPath | None = None
    host: str = LOCAL
    port: int = 8000
    """0 takes a free one."""
    allow_hosts: str | Sequence[str] = ()
    """Names of this machine by which browsers may reach it, beside localhost and its addresses."""

    def __post_init__(self) -> None:
        least = {"workers": 1, "queue": 0, "max_megapixels": 1, "max_upload": 1, "port": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ConfigError(f"--{name.replace('_', '-')} {getattr(self, name)}: give {value} or more")
        if self.port > MOST_PORT:
            raise ConfigError(f"--port {self.port}: give {MOST_PORT} or less")
        if not 0 < self.timeout < math.inf:
            raise ConfigError(f"--timeout {self.timeout:g}: give a finite number of seconds over 0, 86400 for a day")

    @property
    def max_pixels(self) -> int:
        """Pixels of a picture."""
        return self.max_megapixels * 10**6

    @property
    def max_bytes(self) -> int:
        """Bytes of a request."""
        return self.max_upload * 10**6
