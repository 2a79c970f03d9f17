"""Workers: threads around one loaded network, and the bounded queue before them."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import TypeVar

from deepmat.serve.refusals import Refusal, refusal_of

T = TypeVar("T")
POLL = 0.2
"""Seconds between two looks at whether the client is still there."""


class Stop(threading.Event):
    """Set when the answer to a request is of no use any more."""

    def check(self) -> None:
        """Raise Refusal if the answer is of no use any more. Work calls this between its steps."""
        if self.is_set():
            raise Refusal("gone", "the client has gone away")


class Workers:
    """Threads that do the work of requests, and the queue before them.

    Prediction is safe in several threads, so that they share one network. What goes wrong in one is the answer to its
    request alone.
    """

    def __init__(self, count: int, queue: int) -> None:
        self.pool = ThreadPoolExecutor(count, "deepmat-worker")
        self.count, self.places = count, count + queue
        self.jobs: set[Future] = set()
        self.closing = False

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return max(0, len(self.jobs) - self.count)

    def check(self) -> None:
        """Raise Refusal if no request is taken now."""
        if self.closing:
            raise Refusal("closing", "the service is being stopped")
        if len(self.jobs) >= self.places:
            raise Refusal("busy", f"{self.places} requests are being worked on or wait; try again later")

    async def do(self, work: Callable[[Stop], T], gone: Callable[[], Awaitable[bool]], timeout: float) -> T:
        """Return what work returns. Raises Refusal if it fails, and where there is no place or too little time.

        work: called in a thread, unless the client has gone away by then. gone: whether it has.
        """
        self.check()
        stop, end = Stop(), time.monotonic() + timeout
        job = self.pool.submit(work, stop)
        self.jobs.add(job)
        job.add_done_callback(self.jobs.discard)
        answer = asyncio.wrap_future(job)
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())  # also where nobody waits any more
        try:
            while not (await asyncio.wait({answer}, timeout=POLL))[0]:
                if await gone():
                    raise Refusal("gone", "the client has gone away")
                if time.monotonic() > end:
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

    def close(self) -> None:
        """Refuse what waits and what comes from now on; what runs is finished."""
        self.closing = True
        for job in tuple(self.jobs):
            job.cancel()
        self.pool.shutdown(wait=False)
