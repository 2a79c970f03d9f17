"""The same files from one process, from several of a launcher, and from workers of Ray that are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pytest

from deepmat import imaging

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parents[1] / "all_commands.py"
LAUNCHER = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
TIMES = ("seconds", "read_seconds", "write_seconds")


def children_of(pid):
    """The processes that one started, which its own end leaves behind if it is killed."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def run(folder, *arguments, launcher=()):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(20):
        for kind, size in (("fg", (40, 40, 3)), ("alpha", (40, 40)), ("bg", (40, 40, 3))):
            imaging.write_image(folder / f"own/{kind}/{index}.png", rng.integers(0, 256, size, np.uint8))
    (folder / "own/fg/empty.png").write_bytes(b"")
    process = subprocess.Popen(
        [sys.executable, *launcher, str(SCRIPT), *map(str, arguments)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
    )
    try:  # on a busy machine each worker takes half a minute to start
        out, err = process.communicate(timeout=1200)
    finally:
        for each in [*children_of(process.pid), process]:
            each.kill()
    assert "Traceback" not in err, err
    assert "codes [0, 0, 0, 0, 0, 0, 0, 0]" in out, out + err
    assert (folder / "mended/fg/19.png").is_file() and not (folder / "mended/fg/empty.png").exists()
    return contents(folder), out.replace(str(folder), "FOLDER")


def untimed(value):
    if isinstance(value, dict):
        return {key: untimed(each) for key, each in value.items() if key not in TIMES}
    return [untimed(each) for each in value] if isinstance(value, list) else value


def contents(folder):
    """Every file: its bytes, or what it holds but for the times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "killed.txt":
            name, found_bytes = path.relative_to(folder).as_posix(), path.read_bytes()
            if path.name == "log.jsonl":
                found[name] = [untimed(json.loads(line)) for line in found_bytes.splitlines()]
            elif path.name == "scores.json":
                found[name] = untimed(json.loads(found_bytes))
            elif path.name == "scores.csv":
                found[name] = len(found_bytes.splitlines())
            else:
                found[name] = found_bytes
    return found


@pytest.fixture(scope="module")
def alone(weights, tmp_path_factory):
    return run(tmp_path_factory.mktemp("alone") / "out", weights)


def spoken(said):
    """What stdout says, without times."""
    lines = [line for line in said.splitlines() if "codes" not in line]
    return [untimed(json.loads(line)) if line.startswith("{") else line for line in lines]


def same(files, others):
    assert sorted(files) == sorted(others)
    for name, content in files.items():
        assert others[name] == content, name


def test_processes_of_a_launcher_leave_the_files_of_one(alone, weights, tmp_path):
    files, said = run(tmp_path / "out", weights, launcher=[*LAUNCHER, "2"])
    same(alone[0], files)
    assert said.count("codes") == 2
    assert spoken(said) == spoken(alone[1])  # one of them speaks


@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray")
def test_workers_of_ray_that_are_killed_leave_the_files_of_one_process(alone, weights, tmp_path):
    files, said = run(tmp_path / "out", weights, "ray", 6)
    assert int((tmp_path / "out/killed.txt").read_text()) >= 2
    same(alone[0], files)


def test_after_a_kill_one_process_goes_on(source, tmp_path):
    """A launcher ends all processes with the one that was killed; the same command, in one process, does the rest."""
    composite = ["-m", "deepmat", "composite", str(source), "--split", "train", "--per-foreground", "3", "-o"]
    command = [sys.executable, *LAUNCHER, "2", *composite, "out"]
    job = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    images = tmp_path / "out/train/image"
    until = time.monotonic() + 120
    while job.poll() is None and time.monotonic() < until and not (images.is_dir() and any(images.iterdir())):
        time.sleep(0.01)
    children = [each for each in psutil.Process(job.pid).children() if "composite" in each.cmdline()]
    os.kill(children[-1].pid, signal.SIGKILL)
    assert job.wait(60) == 1
    for out in ("out", "clean"):
        command = [sys.executable, *composite, out]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 and f"12 composites in {out}" in done.stderr, done.stderr
    same(contents(tmp_path / "clean"), contents(tmp_path / "out"))
