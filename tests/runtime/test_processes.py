import subprocess
import sys

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
