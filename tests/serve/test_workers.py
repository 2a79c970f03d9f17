"""Workers and their queue: places, clients that go away, the end."""

import asyncio
import threading

import pytest

from deepmat.serve.refusals import Refusal
from deepmat.serve.workers import Workers


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
