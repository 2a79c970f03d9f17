import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TINY = """
from pathlib import Path
import time
UNIT = "naps"
def prepare(folder): (folder / "made").touch()
def nap(seconds):
    def side(folder):
        assert (folder / "made").is_file()
        time.sleep(seconds)
        return 2
    return side
def counted(folder):
    return 1, 0.2, {"error": 1.5}
SIDES = {"reference": nap(0.3), "ours": nap(0.1), "counted: reference": lambda folder: (1, 0.4, {"error": 3}),
         "counted: ours": counted}
"""


def test_sides_run_in_turn_and_give_one_json_object_each(tmp_path):
    (tmp_path / "tiny.py").write_text(TINY)
    script = "import typer, benchmarks.__main__ as m; m.BENCHMARKS['tiny'] = 'tiny'; typer.run(m.main)"
    environment = {"PYTHONPATH": f"{ROOT}:{tmp_path}", "PATH": ""}

    def run(*arguments):
        command = [sys.executable, "-c", script, *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)

    record, counted = map(json.loads, run("tiny", "--json", "--rounds", "2").stdout.splitlines())
    assert record["name"] == "tiny: ours" and 0.05 <= record["ours_s"] < record["reference_s"] < 1
    assert record["ratio"] == record["reference_s"] / record["ours_s"] > 1
    assert 1 < record["peak_mb"] < 2000 and 1 < record["reference_peak_mb"] < 2000
    assert record["figures"] == {} and counted["ratio"] == 2
    assert counted["figures"] == {"error": 1.5} and counted["reference_figures"] == {"error": 3}
    table = run("tiny", "--rounds", "1").stdout
    assert "naps/s" in table and "(3)" in table
    assert "tin: unknown; known: composite" in " ".join(run("tin").stderr.replace("│", " ").split())
