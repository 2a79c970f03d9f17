import subprocess
import sys

from deepmat import ranks

SCRIPT = """
from deepmat import ranks
with ranks.together():
    values = ranks.gather([ranks.rank(), list(ranks.share(range(7)))])
if ranks.rank() == 0:
    print(values)
"""


def test_alone_there_is_nothing_to_share():
    assert ranks.share([1, 2, 3]) == [1, 2, 3] and ranks.device_name("auto") == "auto"
    with ranks.together():
        assert ranks.gather("x") == ["x"]


def test_processes_share_without_double_work(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "[[0, [0, 2, 4, 6]], [1, [1, 3, 5]]]" in result.stdout, result.stderr
