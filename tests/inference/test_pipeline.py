import gc
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from conftest import TinyModel

from deepmat import imaging
from deepmat.config import TestConfig
from deepmat.errors import DataError
from deepmat.inference import pipeline
from deepmat.inference.jobs import Job, Read
from deepmat.inference.pipeline import predict_jobs
from deepmat.subject.seeking import Subject

SETTINGS = TestConfig(mode="whole")


def unknown(size=8):
    return Read(np.zeros((size, size, 3), np.uint8), Subject(np.full((size, size), 128, np.uint8), []), None, [])


def test_jobs_keep_their_order_and_failures_fail_alone():
    """Whatever thread is done first, records come in the order of the jobs."""

    def read(job):
        time.sleep(0.03 if job.name == "1" else 0)
        if job.name == "3":
            raise DataError("3: broken")
        return unknown()

    def write(job, pixels, alpha):
        time.sleep(0.03 if job.name == "2" else 0)
        if job.name == "4":
            raise DataError("4: disk full")
        if job.name == "5":
            raise MemoryError("no 5 GB")
        if job.name == "6":
            raise KeyError("a bug of ours")
        if job.name == "7":
            raise DataError("tiles of 7x7: too small")
        return {"alpha": job.name}

    jobs = [Job(str(index), Path(str(index))) for index in range(8)] + [Job("lost", Path("lost"), None, "no trimap")]
    records = list(predict_jobs(TinyModel(), jobs, read, write, SETTINGS))
    assert [record["name"] for record in records] == [job.name for job in jobs]
    errors = {record["name"]: record["error"] for record in records if "error" in record}
    assert errors == {
        "3": "3: broken",
        "4": "4: disk full",
        "5": "5: too large for the memory (no 5 GB)",
        "6": "6: KeyError: 'a bug of ours'",
        "7": "7: tiles of 7x7: too small",
        "lost": "lost: no trimap",
    }
    assert all(record["paths"] == {"alpha": record["name"]} for record in records if "error" not in record)


def test_the_network_sees_the_next_picture_while_an_alpha_is_made():
    """A pipeline that makes one after the other waits for ever for the next picture."""
    seen, made = [threading.Event() for _ in range(4)], []

    class Model(TinyModel):
        def begin(self, image, trimap):
            seen[image[0, 0, 0]].set()
            return super().begin(image, trimap)

        def correction(self, image, trimap, alpha):
            number = int(image[0, 0, 0])
            made.append((number, number == 3 or seen[number + 1].wait(20)))
            return np.full_like(alpha, number / 8)

    def read(job):
        return Read(np.full((8, 8, 3), int(job.name), np.uint8), Subject(np.full((8, 8), 128, np.uint8), []), None, [])

    jobs = [Job(str(index), Path(str(index))) for index in range(4)]
    records = list(predict_jobs(Model(), jobs, read, lambda job, pixels, alpha: {"alpha": alpha[0, 0]}, SETTINGS))
    assert sorted(made) == [(0, True), (1, True), (2, True), (3, True)]
    assert [record["paths"]["alpha"] for record in records] == [0, 1 / 8, 2 / 8, 3 / 8]


def test_what_waits_is_bounded(monkeypatch):
    """However slow the writing, and however large the pictures, few are in memory at once."""
    monkeypatch.setattr(pipeline, "IN_MEMORY", 200)
    monkeypatch.setattr(imaging, "count_pixels", lambda path: 64)
    alive, most, lock = 0, 0, threading.Lock()

    def read(job):
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        return unknown()

    def write(job, pixels, alpha):
        nonlocal alive
        time.sleep(0.005)
        with lock:
            alive -= 1
        return {}

    jobs = [Job(str(index), Path(str(index))) for index in range(20)]
    assert len(list(predict_jobs(TinyModel(), jobs, read, write, SETTINGS))) == 20
    assert most == 3  # of 64 pixels


@pytest.mark.parametrize("where", ["read", "network", "write"])
def test_a_picture_that_failed_is_not_kept(where):
    """Nor what the error has seen: the next picture may need the memory."""
    kept = []

    def read(job):
        pixels = unknown()
        if job.name == "0":
            kept.append(weakref.ref(pixels.image))
            if where == "read":
                raise MemoryError
        return pixels

    class Model(TinyModel):
        def forward(self, image, trimap):
            if where == "network" and not seen:
                raise RuntimeError("CUDA out of memory")
            return super().forward(image, trimap)

    def write(job, pixels, alpha):
        if where == "write" and job.name == "0":
            raise MemoryError
        return {}

    seen = []
    jobs = [Job(str(index), Path(str(index))) for index in range(3)]
    gc.collect()
    gc.disable()
    try:
        for record in predict_jobs(Model(), jobs, read, write, SETTINGS):
            seen.append(record)
            if record["name"] == "1":
                assert kept[0]() is None
    finally:
        gc.enable()
    assert "error" in seen[0] and "memory" in seen[0]["error"] and len(seen) == 3


def test_large_pictures_are_read_one_by_one(tmp_path, monkeypatch):
    """By what their headers say, before they are read."""
    monkeypatch.setattr(pipeline, "IN_MEMORY", 40 * 40)
    sides = [8, 8, 64, 64, 8, 64]
    jobs = [Job(str(index), tmp_path / f"{index}.png") for index in range(len(sides))]
    for job, side in zip(jobs, sides, strict=True):
        imaging.write_image(job.image, np.zeros((side, side), np.uint8))
    held, most, lock = 0, 0, threading.Lock()

    def read(job):
        nonlocal held, most
        pixels = unknown(sides[int(job.name)])
        with lock:
            held += pixels.subject.trimap.size
            most = max(most, held)
        return pixels

    def write(job, pixels, alpha):
        nonlocal held
        time.sleep(0.01)
        with lock:
            held -= alpha.size
        return {}

    assert len(list(predict_jobs(TinyModel(), jobs, read, write, SETTINGS))) == 6
    assert most == 64 * 64


def test_a_stop_loses_no_record_of_what_is_written():
    written, seen = [], []

    class Stopped(TinyModel):
        def forward(self, image, trimap):
            seen.append(1)
            if len(seen) == 3:  # the user presses Ctrl-C
                raise KeyboardInterrupt
            return super().forward(image, trimap)

    def write(job, pixels, alpha):
        time.sleep(0.1)
        written.append(job.name)
        return {}

    records = []
    with pytest.raises(KeyboardInterrupt):
        for record in predict_jobs(
            Stopped(), [Job(str(at), Path(str(at))) for at in range(5)], lambda job: unknown(), write, SETTINGS
        ):
            records.append(record["name"])
    assert records and records == sorted(written)


def test_a_stop_leaves_no_thread_behind():
    before = threading.active_count()
    jobs = [Job(str(index), Path(str(index))) for index in range(50)]
    written = []
    stream = predict_jobs(
        TinyModel(), jobs, lambda job: unknown(), lambda job, *_: written.append(job.name) or {}, SETTINGS
    )
    next(stream)
    stream.close()
    count = len(written)
    assert count < 40 and threading.active_count() == before
    time.sleep(0.05)
    assert len(written) == count
