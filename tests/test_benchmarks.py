import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from benchmarks import prompts, ship
from benchmarks.__main__ import BENCHMARKS, main
from deepmat.config import DIMConfig, LiteConfig
from deepmat.imaging import write_image
from deepmat.models import build_model
from deepmat.models.checkpoint import load_weights, save_state, save_weights
from deepmat.subject.finders import Found
from deepmat.subject.finders.choice import FINDERS

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


def test_sides_run_in_turn_and_give_one_json_object_each(tmp_path, monkeypatch):
    (tmp_path / "tiny.py").write_text(TINY)
    monkeypatch.setitem(BENCHMARKS, "tiny", "tiny")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT, tmp_path))))
    monkeypatch.setenv("COLUMNS", "200")
    app = typer.Typer()
    app.command()(main)

    def run(*arguments):
        return CliRunner().invoke(app, arguments)

    record, counted = map(json.loads, run("tiny", "--json", "--rounds", "2").stdout.splitlines())
    assert record["name"] == "tiny: ours" and 0.05 <= record["ours_s"] < record["reference_s"] < 1
    assert record["ratio"] == record["reference_s"] / record["ours_s"] > 1
    assert 1 < record["peak_mb"] < 2000 and 1 < record["reference_peak_mb"] < 2000
    assert record["figures"] == {} and counted["ratio"] == 2
    assert counted["figures"] == {"error": 1.5} and counted["reference_figures"] == {"error": 3}
    table = run("tiny", "--rounds", "1", "--only", "counted").stdout
    assert "naps/s" in table and "(3)" in table and "tiny: ours" not in table
    assert "tin: unknown; known: composite" in " ".join(run("tin").stderr.replace("│", " ").split())


def test_what_is_shipped_may_be_a_mean_of_a_run_and_its_states(tmp_path):
    options = LiteConfig(width=1 / 8)
    state, config = build_model(options).state_dict(), options.model_dump()
    state = {key: value.half() for key, value in state.items()}
    double = {key: 2 * value.float() for key, value in state.items()}
    save_weights(tmp_path / "best.safetensors", double, config)
    thrice = {key: 3 * value.float() for key, value in state.items()}
    save_state(tmp_path / "state.pt", {"model": config, "state_dict": double, "average": thrice})
    ship.main([tmp_path / "best.safetensors", tmp_path / "state.pt"], "so", [1, 3], out=tmp_path / "out.safetensors")
    made = load_weights(tmp_path / "out.safetensors")
    assert made.about == {"model": config, "name": "lite", "licence": "MIT", "trained": "so"}
    for key, value in state.items():
        assert torch.equal(made.state[key], (2.75 * value.float()).half())
    with pytest.raises(SystemExit, match="2 of them for 1 files"):
        ship.main([tmp_path / "state.pt"], "so", [1, 3])
    with pytest.raises(SystemExit, match="no mean"):
        ship.main([tmp_path / "state.pt"], "so", [0])
    save_weights(tmp_path / "other.safetensors", thrice, DIMConfig(width=1 / 8).model_dump())
    with pytest.raises(SystemExit, match=r"other.safetensors: is not of a deepmat run of the same network"):
        ship.main([tmp_path / "state.pt", tmp_path / "other.safetensors"], "so")


def test_a_simulated_user_clicks_in_the_middle_of_what_is_wrong_until_nothing_is(tmp_path, monkeypatch):
    """A finder that finds one of two discs, until a point lies on the other."""
    discs = [np.zeros((80, 160), np.uint8) for _ in range(2)]
    for disc, column in zip(discs, (40, 120), strict=True):
        cv2.circle(disc, (column, 40), 25, 255, -1)
    alpha = np.maximum(*discs)
    for kind, pixels in (("image", np.dstack([alpha] * 3)), ("alpha", alpha)):
        write_image(tmp_path / kind / "discs.png", pixels)
    seen = []

    def find(image, prompts):
        seen.append(prompts)
        shown = [disc for disc in discs if any(disc[y, x] for x, y in prompts.points)]
        return Found(np.maximum.reduce([discs[0], *shown]), 1.0, 160, [])

    monkeypatch.setitem(FINDERS, "half", find)
    app = typer.Typer()
    app.command()(prompts.main)
    folders = [str(tmp_path / kind) for kind in ("image", "alpha")]

    def run(*options):
        done = CliRunner().invoke(app, [*folders, "--finder", "half", *options])
        assert done.exit_code == 0, done.output
        return [float(each.split()[0]) for each in done.stdout.splitlines()[-1].split(")")[1:-1]]

    left = (discs[1] > 0).sum() / 1000
    assert run("--start", "nothing", "--clicks", "2") == pytest.approx([left, 0, 0], abs=0.1)
    assert [each.points for each in seen] == [(), ((120, 40),), ((120, 40),)]
    seen.clear()
    assert run("--start", "box", "--clicks", "0") == pytest.approx([left], abs=0.1) and len(seen) == 1
    assert seen[0].box == (13, 13, 148, 68)
