"""Counters of the service in Prometheus' text format (version 0.0.4)."""

from collections import Counter
from collections.abc import Mapping

BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Upper bounds of the seconds that requests took."""


class Metrics:
    """What is counted, by route and status. Nothing of a picture is kept."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.buckets: Counter[tuple[str, float]] = Counter()
        self.seconds: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    def add(self, route: str, status: int, seconds: float, received: int) -> None:
        """Count a request that was answered."""
        self.requests[route, status] += 1
        self.seconds[route] += seconds  # type: ignore[assignment]
        self.bytes[route] += received
        for bound in BUCKETS:
            self.buckets[route, bound] += seconds <= bound

    def text(self, gauges: Mapping[str, tuple[float, str]]) -> str:
        """Return all as text. gauges: value and help of each by its name."""
        lines = [*_head("deepmat_requests_total", "counter", "Requests by route and status")]
        for (route, status), count in sorted(self.requests.items()):
            lines.append(f'deepmat_requests_total{{route="{route}",status="{status}"}} {count}')
        lines += _head("deepmat_received_bytes_total", "counter", "Bytes of the bodies of requests")
        lines += [f'deepmat_received_bytes_total{{route="{route}"}} {count}' for route, count in self.bytes.items()]
        lines += _head("deepmat_request_seconds", "histogram", "Seconds from a request to the end of its answer")
        for route, total in sorted(self.seconds.items()):
            count = sum(number for (name, _), number in self.requests.items() if name == route)
            for bound in BUCKETS:
                lines.append(
                    f'deepmat_request_seconds_bucket{{route="{route}",le="{bound:g}"}} {self.buckets[route, bound]}'
                )
            lines.append(f'deepmat_request_seconds_bucket{{route="{route}",le="+Inf"}} {count}')
            lines.append(f'deepmat_request_seconds_sum{{route="{route}"}} {total:.6f}')
            lines.append(f'deepmat_request_seconds_count{{route="{route}"}} {count}')
        for name, (value, about) in gauges.items():
            lines += [*_head(name, "gauge", about), f"{name} {value:g}"]
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, about: str) -> list[str]:
    return [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
