import errno
import os
import signal
import subprocess
import sys
import time
from multiprocessing.synchronize import SemLock

import pytest

from deepmat.checks.reading import spread
from deepmat.config import DataConfig
from deepmat.errors import DataError, DeepmatError
from deepmat.inference.opening import open_network
from deepmat.runtime.processes import KERNEL_CACHES, Workers, keep_memory
from deepmat.training.batches import training_batches

SCRIPT = """
import multiprocessing, os, signal, sys, time
from deepmat.runtime.processes import end_with_parent

def work(ready):
    end_with_parent()
    ready.set()
    time.sleep(60)

if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    spawn.Process(target=work, args=(ready,)).start()
    assert ready.wait(30)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_worker_ends_with_a_parent_that_is_killed(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    # Until the worker has gone, the pipe stays open, and this waits.
    result = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, timeout=50)
    assert result.returncode == -9


on_glibc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc of glibc")


@on_glibc
def test_large_blocks_are_used_again():
    import resource

    def faults():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            bytearray(8 << 20)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    keep_memory()
    faults()
    assert faults() < 20 * 2048 / 10  # of 2048 pages a block


HEAP = """
import resource, threading
from pathlib import Path
from deepmat.runtime.processes import give_back_memory, keep_memory, share_heap

def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

def work():
    keep_memory()
    before = held()
    for count in (20, 40, 55):
        blocks = [bytearray(1 << 20) for _ in range(count)]
        assert held() > before + count * 900_000
        del blocks
        give_back_memory()
    print(held() - before)

share_heap()  # before there are threads
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


@on_glibc
def test_what_a_thread_frees_goes_back_to_the_system():
    result = subprocess.run([sys.executable, "-c", HEAP], capture_output=True, text=True, timeout=50)
    assert int(result.stdout) < 5e6, result.stderr


def test_workers_end_when_they_hang():
    workers = Workers()
    worker = workers.Process(target=time.sleep, args=(60,), daemon=True)
    with workers.starting("--workers 0"):
        worker.start()
    worker.terminate()  # as torch and concurrent.futures end the workers that are left when one is killed
    worker.join(20)
    assert worker.exitcode == -signal.SIGKILL and not workers.ended_with_error()


def test_without_semaphores_the_option_that_needs_none_is_named(monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(SemLock, "__init__", refuse)
    with pytest.raises(DeepmatError, match=r"cannot be started \(Function not implemented\).* --workers 0"):
        next(training_batches([], DataConfig(), batch_size=1, seed=0, start=0, stop=1, workers=1))
    with pytest.raises(DeepmatError, match="--workers 1"):
        list(spread(len, [[1], [2], [3]], 2))


def test_a_worker_that_ends_by_itself_is_no_lack_of_memory():
    with pytest.raises(DataError, match='which is above; .* below `if __name__ == "__main__":`, or take workers=1'):
        list(spread(os._exit, [1, 1, 1], 2))  # as one does that cannot import the script


def test_networks_are_opened_with_bounded_caches_of_kernels(monkeypatch):
    first, second = KERNEL_CACHES
    monkeypatch.setenv(first, "7")
    monkeypatch.setenv(second, "")  # restored after the test
    monkeypatch.delenv(second)
    open_network("closed-form", device="cpu")
    assert os.environ[first] == "7" and os.environ[second] == KERNEL_CACHES[second]
