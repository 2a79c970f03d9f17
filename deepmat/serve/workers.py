"""Workers: threads around one loaded network, and the bounded queue before them.

Work that somebody waits for at the page (a stroke, a preview) does not queue behind work that takes long: it has
threads of its own, and what runs in the others pauses meanwhile.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from torch.overrides import TorchFunctionMode

from deepmat.runtime.processes import give_back_memory
from deepmat.runtime.stopping import stopping
from deepmat.serve.refusals import Refusal, refusal_of

T = TypeVar("T")
POLL = 0.2
"""Seconds between two looks at whether the client is still there."""


class Urgent:
    """Counts the urgent work under way; other work waits until there is none."""

    def __init__(self) -> None:
        self.count, self.changed = 0, threading.Condition()

    def add(self, number: int) -> None:
        """Count one more, or one less."""
        with self.changed:
            self.count += number
            self.changed.notify_all()

    def wait(self, stop: threading.Event) -> None:
        """Return when there is no urgent work, or `stop` is set."""
        with self.changed:
            while self.count and not stop.is_set():
                self.changed.wait(POLL)


class Stop(threading.Event):
    """Set when the answer to a request is of no use any more. urgent: what the work gives way to; None for nothing."""

    def __init__(self, urgent: Urgent | None = None) -> None:
        super().__init__()
        self.urgent = urgent
        self.paused_before, self.pause_began = 0.0, 0.0

    @property
    def paused(self) -> float:
        """Seconds for which the work has paused."""
        began = self.pause_began
        return self.paused_before + (time.monotonic() - began if began else 0.0)

    def check(self) -> None:
        """Pause while there is urgent work. Raises Refusal if the answer is of no use any more.

        Work calls this between its steps.
        """
        if self.urgent and self.urgent.count:
            self.pause_began = time.monotonic()
            self.urgent.wait(self)
            self.paused_before, self.pause_began = self.paused, 0.0
        if self.is_set():
            raise Refusal("gone", "the client has gone away")

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Check before each operation of torch, and each step of an equation solver, in this thread."""
        with stopping(self.check), _Watch(self.check):
            yield


class _Watch(TorchFunctionMode):
    def __init__(self, check: Callable[[], None]) -> None:
        super().__init__()
        self.check = check

    def __torch_function__(self, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.check()
        return func(*args, **(kwargs or {}))


def _tidy(work: Callable[[Stop], T], stop: Stop) -> T:
    """Return what work returns, and give its memory back: freed blocks of one size of picture do not fit the next."""
    try:
        return work(stop)
    finally:
        give_back_memory()


class Workers:
    """Threads that do the work of requests, and the queue before them.

    Prediction is safe in several threads, so that they share one network. What goes wrong in one is the answer to its
    request alone.
    """

    def __init__(self, count: int, queue: int) -> None:
        self.pool = ThreadPoolExecutor(count, "deepmat-worker")
        self.quick = ThreadPoolExecutor(count, "deepmat-quick")
        self.urgent, self.places = Urgent(), count + queue
        self.jobs: set[Future] = set()
        self.closing = False

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return sum(not job.running() for job in tuple(self.jobs))

    def check(self) -> None:
        """Raise Refusal if no request is taken now."""
        if self.closing:
            raise Refusal("closing", "the service is being stopped")
        if len(self.jobs) >= self.places:
            raise Refusal("busy", f"{self.places} requests are being worked on or wait; try again later")

    async def do(
        self, work: Callable[[Stop], T], gone: Callable[[], Awaitable[bool]], timeout: float, urgent: bool = False
    ) -> T:
        """Return what work returns. Raises Refusal if it fails, and where there is no place or too little time.

        work: called in a thread, unless the client has gone away by then. gone: whether it has. urgent: somebody waits
        for it, and it takes no more than seconds; what runs and is not urgent pauses. Pauses do not count as time.
        """
        self.check()
        stop, end = Stop(None if urgent else self.urgent), time.monotonic() + timeout
        job = (self.quick if urgent else self.pool).submit(_tidy, work, stop)
        self.jobs.add(job)
        job.add_done_callback(self.jobs.discard)
        if urgent:
            self.urgent.add(1)
            job.add_done_callback(lambda done: self.urgent.add(-1))
        answer = asyncio.wrap_future(job)
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())  # also where nobody waits any more
        try:
            while not (await asyncio.wait({answer}, timeout=POLL))[0]:
                if await gone():
                    raise Refusal("gone", "the client has gone away")
                if time.monotonic() > end + stop.paused:
                    raise Refusal("timeout", f"not done after {timeout:g} seconds; send a smaller picture")
            return answer.result()
        except (asyncio.CancelledError, CancelledError) as error:
            if self.closing and job.cancelled():
                raise Refusal("closing", "the service is being stopped") from error
            raise
        except Exception as error:
            raise refusal_of(error) from error
        finally:
            stop.set()
            job.cancel()
            # An error refers to this frame, and they to the error: pictures would stay until the next collection.
            del job, answer

    def close(self) -> None:
        """Refuse what waits and what comes from now on; what runs is finished."""
        self.closing = True
        for job in tuple(self.jobs):
            job.cancel()
        for pool in (self.pool, self.quick):
            pool.shutdown(wait=False)
