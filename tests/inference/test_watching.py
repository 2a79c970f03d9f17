"""Folders that are watched: what counts as arrived."""

import importlib.util
import os
import threading
import time

import pytest

from deepmat.errors import ConfigError, DataError
from deepmat.inference import watching
from deepmat.inference.jobs import Job


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "QUIET", 0.1)
    monkeypatch.setattr(watching, "SECONDS", 1)
    return tmp_path


def written(path, text="x"):
    """Write a file that has lain there for a while."""
    path.write_text(text)
    os.utime(path, (time.time() - 60 + len(text),) * 2)
    return path


def test_new_and_replaced_pictures_and_late_masks_arrive_once(folder):
    known, late = (
        Job("known", written(folder / "known.png")),
        Job("late", written(folder / "late.png"), None, "no mask"),
    )
    jobs = [known, late]
    arrivals = watching.watch([folder], [known], lambda: jobs)
    assert next(arrivals) == [late]
    jobs[1] = late._replace(partner=written(folder / "mask.png"), problem=None)
    jobs.append(Job("new", written(folder / "new.png")))
    assert next(arrivals) == jobs[1:]
    written(folder / "known.png", "other")
    assert next(arrivals) == [known]
    arrivals.close()


def test_a_file_that_is_being_written_waits(folder, monkeypatch):
    monkeypatch.setattr(watching, "QUIET", 0.6)  # longer than a busy machine may pause between the parts
    picture = folder / "a.png"
    arrivals = watching.watch([folder], [], lambda: [Job("a", picture)] if picture.exists() else [])

    def write():
        with picture.open("w") as file:
            for _ in range(4):
                file.write("part")
                file.flush()
                time.sleep(0.05)
        ended.append(time.monotonic())

    ended = []
    thread = threading.Thread(target=write)
    thread.start()
    assert len(next(arrivals)) == 1 and ended and time.monotonic() - ended[0] > 0.1
    thread.join()
    arrivals.close()


def test_a_folder_that_is_gone_for_a_moment_ends_nothing(folder):
    answers = iter([DataError("gone"), [Job("a", written(folder / "a.png"))]])

    def find():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    arrivals = watching.watch([folder], [], find)
    assert [job.name for job in next(arrivals)] == ["a"]
    arrivals.close()


def test_without_watchfiles_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"--watch: needs watchfiles; pip install 'deepmat\[cut\]'"):
        watching.check()
