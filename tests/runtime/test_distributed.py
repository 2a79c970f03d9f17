import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmat.runtime import distributed as ranks


def test_alone_there_is_nothing_to_share():
    assert ranks.share([1, 2, 3]) == [1, 2, 3] and ranks.device_name("auto") == "auto"
    ranks.meet()
    assert ranks.gather("x") == ["x"]


@given(st.lists(st.integers()), st.integers(1, 5))
def test_parts_are_merged_in_the_order_of_the_whole(items, processes):
    assert ranks.merged([items[mine::processes] for mine in range(processes)]) == items


def test_every_item_is_in_one_share_and_blocks_stay_together(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    shares = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        shares.append(list(ranks.share(list(range(10)), 2)))
    assert shares == [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5]]


@pytest.mark.slow
def test_eval_by_two_processes_is_eval_by_one(source, data, weights, tmp_path):
    def run(*launcher, out):
        arguments = ["eval", "-w", weights, "--data", data, "--json", "-o", out, "--sheet", f"{out}.png"]
        command = [sys.executable, *launcher, "-m", "deepmat", *map(str, arguments)]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)  # one of them speaks

    alone = run(out="one")
    both = run("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", out="two")
    for pictures in (alone["pictures"], both["pictures"]):
        for record in pictures:
            del record["seconds"]
    assert both == alone and len(alone["pictures"]) == 2
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
