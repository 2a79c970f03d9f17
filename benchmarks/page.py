"""Measure the report page of a thousand pictures and two runs: `python -m benchmarks.page`.

Prints the seconds to write it, its size and that of the pictures beside it, and the seconds that headless Chromium
takes to lay it out, minus those of an empty page (the browser's own start).
"""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import typer

from deepmat import synth
from deepmat.imaging import trimap
from deepmat.report import Page
from deepmat.scoring.metrics import METRICS

PICTURES, SIDE = 1000, 480
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def _opened(browser: str, address: str, folder: Path) -> float:
    """Seconds from the start of the browser to the dump of the page, the fastest of three."""
    command = [browser, "--headless", "--no-sandbox", f"--user-data-dir={folder}", "--dump-dom", address]
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True, timeout=120)
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def main() -> None:
    """Print what the report page of a thousand pictures and two runs takes: seconds, megabytes, layout in Chromium."""
    kinds = list(synth.KINDS)
    made = []
    for number in range(2 * len(kinds)):
        rng = np.random.default_rng([6, number])
        image, alpha = synth.foreground(rng, SIDE, SIDE, kinds[number % len(kinds)])
        levels = trimap.by_distance(alpha, 15, 15)
        runs = {f"run {sigma}": cv2.GaussianBlur(alpha, (0, 0), sigma) for sigma in (1, 3)}
        unknown = trimap.unknown_region(levels)
        scores = {
            run: {name: metric(pred, alpha, unknown) for name, metric in METRICS.items()} for run, pred in runs.items()
        }
        made.append((image, levels, alpha, runs, scores))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        page = Page(folder / "page.html")
        records = []
        begin = time.perf_counter()
        for number in range(PICTURES):
            image, levels, alpha, runs, scores = made[number % len(made)]
            page.add(f"picture {number}", image, levels, alpha, runs)
            size = {"height": alpha.shape[0], "width": alpha.shape[1]}
            records += [{"name": f"picture {number}", "run": run, **size, **each} for run, each in scores.items()]
        mean = {name: {"mean": 1.0, "low": 0.5, "high": 1.5} for name in METRICS}
        page.write(
            {
                "title": "a thousand pictures",
                "comparable": False,
                "remarks": ["procedural"],
                "metrics": list(METRICS),
                "runs": [{"run": run, "mean": mean, "settings": {}} for run in made[0][3]],
                "comparisons": [],
                "pictures": records,
                "settings": {},
            }
        )
        print(f"made in {time.perf_counter() - begin:.1f} s, {PICTURES} pictures of about {SIDE} pixels, two runs")
        beside = sum(path.stat().st_size for path in (folder / "page_files").rglob("*") if path.is_file())
        print(f"page {page.path.stat().st_size / 1e6:.2f} MB, beside it {beside / PICTURES / 1e3:.0f} kB a picture")
        browser = next(filter(None, map(shutil.which, BROWSERS)), None)
        if browser:
            empty, full = (
                _opened(browser, address, folder / "user") for address in ("about:blank", page.path.as_uri())
            )
            print(f"laid out in {full - empty:.2f} s (an empty page: {empty:.2f} s)")


if __name__ == "__main__":
    typer.run(main)
