"""The service: what all its requests share, and how one is worked on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from starlette.requests import Request

from deepmat.inference.opening import Opened, open_network
from deepmat.serve.guards import read_keys
from deepmat.serve.making import Maker
from deepmat.serve.metrics import Metrics
from deepmat.serve.pictures import Pictures
from deepmat.serve.settings import ServeSettings
from deepmat.serve.workers import Stop, Workers

T = TypeVar("T")


@dataclass
class Service:
    """A service that is ready: its network is loaded."""

    settings: ServeSettings
    network: Opened
    maker: Maker
    workers: Workers
    keys: list[bytes]
    metrics: Metrics = field(default_factory=Metrics)
    pictures: Pictures = field(default_factory=Pictures)

    async def do(self, request: Request, work: Callable[[Stop], T], urgent: bool = False) -> T:
        """Return what `work` returns in a worker; see Workers.do. Raises Refusal."""
        return await self.workers.do(work, request.is_disconnected, self.settings.timeout, urgent)


def open_service(settings: ServeSettings) -> Service:
    """Load the network and read the keys. Raises ConfigError, CheckpointError, DeviceError."""
    keys = read_keys(settings.api_key_file)
    network = open_network(settings.weights, device=settings.device, precision=settings.precision)
    maker = Maker(network.network, settings.finder, settings.max_pixels)
    return Service(settings, network, maker, Workers(settings.workers, settings.queue), keys)
