"""Handing out of chunks, with workers of a fake cluster that end, stall and come as the test wants."""

import random
import sys
from itertools import count
from types import SimpleNamespace

import pytest

from deepmat.errors import ConfigError, DeepmatError
from deepmat.runtime import cluster, sharing
from deepmat.runtime.cluster import LIVES, Lost, hand_out


class FakePool:
    """Workers that square numbers, answering in a random order."""

    def __init__(self, room=3, seed=0, mortality=0.0, deadly=(), stalls=(), slow=()):
        self.rng, self.numbers, self.size = random.Random(seed), count(), room
        self.mortality, self.deadly, self.stalls, self.slow = mortality, set(deadly), set(stalls), set(slow)
        self.given, self.chunks = {}, []

    def room(self):
        return self.size

    def hire(self):
        worker = next(self.numbers)
        self.given[worker] = []
        return worker

    def give(self, worker, items):
        assert worker not in self.given and items
        self.given[worker] = list(items)
        self.chunks.append(list(items))

    def answer(self, seconds):
        ready = [worker for worker in self.given if worker not in self.stalls or not self.given[worker]]
        ready = [worker for worker in ready if worker not in self.slow or self.rng.random() < 0.05]
        if not ready:
            return None
        worker = self.rng.choice(ready)
        items = self.given.pop(worker)
        if self.deadly.intersection(items) or self.rng.random() < self.mortality:
            return worker, Lost("killed")
        return worker, [(item, item**2) for item in items]


def lost(item, why):
    return item, why


@pytest.mark.parametrize("seed", range(20))
def test_every_item_is_done_once_whatever_workers_end(seed, monkeypatch):
    now = count()
    monkeypatch.setattr(cluster.time, "monotonic", lambda: next(now))
    items = list(range(seed * 7))
    pool = FakePool(room=1 + seed % 5, seed=seed, mortality=0.1, slow=[0, 1])
    records = list(hand_out(items, pool, lost))
    assert sorted(item for item, _ in records) == items
    # Only with bad luck does an item fail that ends no worker itself.
    assert sum(answer != item**2 for item, answer in records) <= len(items) // 20


def test_chunks_are_small_and_a_lost_one_is_done_item_by_item():
    pool = FakePool(room=2, deadly=[])
    list(hand_out(range(100), pool, lost))
    assert [len(chunk) for chunk in pool.chunks] == [8] * 12 + [4]
    pool = FakePool(room=2)
    list(hand_out(range(8), pool, lost))
    assert [len(chunk) for chunk in pool.chunks] == [1] * 8  # enough for all workers


def test_an_item_that_ends_its_workers_fails_alone():
    pool = FakePool(room=2, deadly=[13, 40])
    records = dict(hand_out(range(100), pool, lost))
    assert {item for item, answer in records.items() if answer == "killed"} == {13, 40} and len(records) == 100
    assert sum(13 in chunk for chunk in pool.chunks) == LIVES


def test_a_worker_that_stalls_does_not_hold_the_rest(monkeypatch):
    now = count()
    monkeypatch.setattr(cluster.time, "monotonic", lambda: next(now))
    pool = FakePool(room=3, stalls=[0])
    records = list(hand_out(range(100), pool, lost))
    assert sorted(item for item, _ in records) == list(range(100))
    assert sum(pool.given[0] == chunk for chunk in pool.chunks) == 2  # also elsewhere


def test_a_chunk_that_another_worker_still_does_is_not_lost(monkeypatch):
    now = count()
    monkeypatch.setattr(cluster.time, "monotonic", lambda: next(now))
    board = cluster._Board(cluster.deque([cluster._Chunk([1, 2]), cluster._Chunk([3])]))
    board.working |= {"a": board.next(), "b": board.next()}
    assert board.finish(board.working.pop("b")) and board.next() is None  # no time has passed yet
    for _ in range(5):
        next(now)
    late = board.next()
    assert late is board.working["a"] and not board.lose(late) and not board.waiting
    assert board.finish(late) and not board.left


def test_new_nodes_get_work():
    pool = FakePool(room=1)
    records = hand_out(range(64), pool, lost)
    next(records)
    pool.size = 4
    assert len(list(records)) == 63 and next(pool.numbers) == 4


def test_a_cluster_on_which_nothing_starts_is_reported():
    pool = FakePool(mortality=1)
    with pytest.raises(DeepmatError, match=r"end as they start \(killed\)"):
        list(hand_out(range(3), pool, lost))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rai", "engine 'rai': unknown, did you mean ray"),
        ("ray:0", "write processes, ray, or ray:4"),
        ("ray:many", "write processes, ray, or ray:4"),
        ("processes:2", "write processes, ray, or ray:4"),
    ],
)
def test_engines_are_checked(text, message):
    with pytest.raises(ConfigError, match=message):
        sharing.parse_engine(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["composite", "source", "--preview", "sheet.png"], "--engine: one process draws the preview"),
        (["synth", "--sheet", "sheet.png"], "--skip-existing, --engine: are for a data set"),
        (["eval", "--data", "data", "--jpeg-sweep"], "--engine: a sweep does not use it"),
        (["eval", "--data", "data", "--report", "page.html"], "--report: one process writes it"),
        (["cut", ".", "--watch", "-o", "out"], "--engine ray: takes no --watch"),
    ],
)
def test_what_a_cluster_cannot_do_is_refused(deepmat, monkeypatch, arguments, message):
    monkeypatch.setattr(cluster, "find_spec", lambda name: True)
    result = deepmat(*arguments, "--engine", "ray")
    assert result.exit_code == 1 and message in result.stderr


def test_a_ray_that_does_not_start_is_one_line(monkeypatch):
    ray = SimpleNamespace(is_initialized=lambda: False, init=lambda **options: 1 / 0)
    monkeypatch.setitem(sys.modules, "ray", ray)
    with pytest.raises(DeepmatError, match=r"Ray does not start \(division by zero\)"), cluster.open_pool(list):
        pass


def test_ray_without_its_extra_and_under_a_launcher(monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"^--engine ray needs Ray: pip install 'deepmat\[ray\]'$"):
        sharing.parse_engine("ray")
    monkeypatch.setattr(cluster, "find_spec", lambda name: True)
    assert sharing.parse_engine("ray:4") == ("ray", 4) and sharing.parse_engine("processes") == ("processes", 1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="start deepmat without a launcher"):
        sharing.parse_engine("ray")
