"""Workers and their queue: places, clients that go away, the end."""

import asyncio
import gc
import threading
import weakref

import numpy as np
import pytest
import torch

from deepmat.errors import DataError
from deepmat.imaging.closed_form import closed_form
from deepmat.serve import running
from deepmat.serve import workers as module
from deepmat.serve.refusals import Refusal
from deepmat.serve.settings import ServeSettings
from deepmat.serve.workers import Stop, Workers


async def there():
    return False


async def away():
    return True


def test_work_of_a_client_that_went_away_is_not_begun():
    workers, go_on, begun = Workers(1, 2), threading.Event(), []

    async def run():
        first = asyncio.create_task(workers.do(lambda stop: go_on.wait(20), there, 20))
        await asyncio.sleep(0.01)
        with pytest.raises(Refusal) as refused:
            await workers.do(begun.append, away, 20)
        assert refused.value.code == "gone" and workers.waiting == 0
        go_on.set()
        assert await first
        assert await workers.do(lambda stop: 5, there, 20) == 5

    asyncio.run(run())
    workers.close()
    assert not begun


def test_work_that_runs_ends_between_its_steps():
    workers, steps, begun = Workers(1, 0), [], threading.Event()

    def work(stop):
        begun.set()
        assert stop.wait(20)
        stop.check()
        steps.append("the next one")

    async def run():
        with pytest.raises(Refusal, match="gone away"):
            await workers.do(work, away, 20)

    asyncio.run(run())
    workers.pool.shutdown()
    assert begun.is_set() and not steps


def test_closing_refuses_what_waits_and_finishes_what_runs():
    workers, go_on = Workers(1, 1), threading.Event()

    async def run():
        first, second = (
            asyncio.create_task(workers.do(lambda stop, value=value: go_on.wait(20) and value, there, 20))
            for value in ("one", "two")
        )
        await asyncio.sleep(0.05)
        with pytest.raises(Refusal, match="2 requests"):
            await workers.do(lambda stop: 1, there, 20)
        workers.close()
        go_on.set()
        assert await first == "one"
        for late in (second, workers.do(lambda stop: 1, there, 20)):
            with pytest.raises(Refusal, match="being stopped"):
                await late

    asyncio.run(run())


def test_urgent_work_goes_first_and_the_rest_pauses():
    workers, began, order = Workers(1, 8), threading.Event(), []

    def long(stop):
        began.set()
        with stop.watching():
            while "urgent" not in order:
                torch.zeros(1).add_(1)  # pauses
        order.append("long")

    def urgent(stop):
        stop.wait(0.8)
        order.append("urgent")

    async def run():
        first = asyncio.create_task(workers.do(long, there, 0.5))  # pauses do not count as time
        while not began.is_set():
            await asyncio.sleep(0.001)
        await workers.do(urgent, there, 20, urgent=True)
        await first

    asyncio.run(run())
    workers.close()
    assert order == ["urgent", "long"]


def test_a_network_and_a_solver_stop_where_they_are():
    stop, image = Stop(), np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    trimap = np.full((64, 64), 128, np.uint8)
    trimap[:4], trimap[-4:] = 0, 255
    stop.set()
    for work in (lambda: torch.nn.Conv2d(1, 1, 3)(torch.zeros(1, 1, 8, 8)), lambda: closed_form(image, trimap)):
        work()
        with stop.watching(), pytest.raises(Refusal, match="gone away"):
            work()


def test_memory_is_given_back_after_each_request(monkeypatch):
    given, workers = [], Workers(1, 0)

    def failing(stop):
        raise DataError("too wide")

    monkeypatch.setattr(module, "give_back_memory", lambda: given.append(True))

    async def run():
        assert await workers.do(lambda stop: len(given), there, 20) == 0
        with pytest.raises(Refusal, match="wide"):
            await workers.do(failing, there, 20)

    asyncio.run(run())
    workers.close()
    assert len(given) == 2


def test_all_threads_of_the_service_share_a_heap(monkeypatch):
    called = []

    def listening(settings):
        raise DataError("after it")

    monkeypatch.setattr(running, "share_heap", lambda: called.append(True))
    monkeypatch.setattr(running, "_listening", listening)
    with pytest.raises(DataError, match="after it"):
        running.run_service(ServeSettings())
    assert called


def test_pictures_of_requests_that_fail_are_freed_at_once():
    workers, kept = Workers(1, 0), []

    class Picture:
        pass

    def failing(stop):
        picture = Picture()
        kept.append(weakref.ref(picture))
        raise DataError("too wide")

    async def run():
        try:
            await workers.do(failing, there, 20)
        except Refusal:
            pass

    gc.disable()  # which would free it some day
    try:
        asyncio.run(run())
        workers.pool.shutdown()
        assert kept[0]() is None
    finally:
        gc.enable()
