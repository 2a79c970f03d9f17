"""Every batch command, one after the other, in the current folder, for tests/runtime/test_many_machines.py:

python all_commands.py WEIGHTS [ENGINE [KILLS]]

One process, those of a launcher, or the workers of a Ray cluster, of which KILLS are killed at random moments, leave
the same files behind. own/ is a folder of data with something to mend.
"""

import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import psutil

from deepmat.cli import app

COMMANDS = """
synth source --train 4 --test 3 --backgrounds 4 --size 96
composite source -o data --per-foreground 2
trimap data/test/alpha -o trimaps --preview trimaps.png
predict data/test/image -t trimaps -o predicted -w WEIGHTS --device cpu
cut data/test/image --masks data/test/alpha -o cut -w WEIGHTS --device cpu
eval -w WEIGHTS --data data -o scores --save-alphas --sheet scores.png --device cpu --json
doctor data --write-checksums sums.txt
doctor own --fix mended --json
"""


def workers():
    """The processes of Ray's workers."""
    for each in psutil.Process().children(recursive=True):
        try:
            if each.name().startswith("ray::_Worker"):
                yield each.pid
        except psutil.NoSuchProcess:
            pass


def kill(number, seed=0):
    """Kill so many workers at random moments."""
    rng, killed = random.Random(seed), 0
    while killed < number:
        time.sleep(rng.uniform(0.2, 2))
        found = list(workers())
        if found:
            os.kill(rng.choice(found), signal.SIGKILL)
            killed += 1
            Path("killed.txt").write_text(str(killed))


def main(weights, engine=None, kills="0"):
    if engine:
        import ray

        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ["RAY_raylet_start_wait_time_s"] = "300"  # a busy machine may need it
        ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False)
        threading.Thread(target=kill, args=[int(kills)], daemon=True).start()
    codes = []
    for line in COMMANDS.strip().splitlines():
        arguments = line.replace("WEIGHTS", weights).split() + (["--engine", engine] if engine else [])
        try:
            app(arguments)
        except SystemExit as ended:
            codes.append(ended.code)
        for path in Path("source").rglob("*.png"):
            os.utime(path, (1e9, 1e9))  # manifests have these times
    sys.stdout.write(f"codes {codes}\n")  # in one piece, since several processes do
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
