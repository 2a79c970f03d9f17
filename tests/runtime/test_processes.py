import subprocess
import sys

import pytest

from deepmat.runtime.processes import keep_memory

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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc of glibc")
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
