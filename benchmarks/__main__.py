"""Run benchmarks: deepmat against a plain reference, side by side (`python -m benchmarks NAME`)."""

import json
import os
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.measure import run_side

NAMES = ("composite", "loader", "predict", "foreground", "metrics", "train-step")
BENCHMARKS = {name: f"benchmarks.{name.replace('-', '_')}" for name in NAMES}


def main(
    name: Annotated[str, typer.Argument(metavar="|".join([*BENCHMARKS, "all"]), help="Which benchmark.")],
    rounds: Annotated[int, typer.Option(help="Runs of each side; the fastest counts.", min=1)] = 3,
    only: Annotated[str, typer.Option(help="Groups of sides whose name contains this, say '2 MP'.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Time deepmat and a plain reference alternately; print seconds per item, their ratio and peak memory."""
    names = list(BENCHMARKS) if name == "all" else [name]
    if not set(names) <= set(BENCHMARKS):
        raise typer.BadParameter(f"{name}: unknown; known: {', '.join([*BENCHMARKS, 'all'])}")
    records = [record for each in names for record in _measure(each, rounds, only)]
    if as_json:
        for record in records:
            print(json.dumps(record))
        return
    table = Table("benchmark", "deepmat", "reference", "ratio", "peak MB", "peak MB, reference", "figures (reference)")
    for record in records:
        sides = [_speed(record[key], record["unit"]) for key in ("ours_s", "reference_s")]
        peaks = [f"{record[key]:,.0f}" for key in ("peak_mb", "reference_peak_mb")]
        theirs = record["reference_figures"]
        figures = [
            f"{key} {value:.3g}" + (f" ({theirs[key]:.3g})" if key in theirs else "")
            for key, value in record["figures"].items()
        ]
        table.add_row(record["name"], *sides, f"{record['ratio']:.1f}x", *peaks, ", ".join(figures))
    Console().print(table)


def _speed(seconds: float, unit: str) -> str:
    return f"{1 / seconds:,.1f} {unit}/s" if seconds < 1 else f"{seconds:,.2f} s per {unit.removesuffix('s')}"


def _group(side: str) -> str:
    return side.rpartition(": ")[0]


def _measure(name: str, rounds: int, only: str) -> list[dict[str, Any]]:
    module = import_module(BENCHMARKS[name])
    sides = [side for side in module.SIDES if only in f"{_group(side)}:"]
    # One core per process, unless the benchmark is about several.
    environment = {**os.environ, "OMP_NUM_THREADS": str(getattr(module, "THREADS", 1))}
    best: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        module.prepare(Path(folder))
        for _ in range(rounds):
            for side in sides:
                command = [sys.executable, "-m", "benchmarks", "--side", BENCHMARKS[name], side, folder]
                done = subprocess.run(command, capture_output=True, text=True, env=environment)
                if done.returncode:
                    raise SystemExit(f"{name}, {side}: failed\n{done.stderr}")
                result = json.loads(done.stdout.splitlines()[-1])
                if side not in best or result["seconds"] < best[side]["seconds"]:
                    best[side] = result
    references = {_group(side): best.pop(side) for side in sides if side.endswith("reference")}
    return [
        _compared(f"{name}: {side}", result, references[_group(side)], module.UNIT) for side, result in best.items()
    ]


def _compared(name: str, ours: dict[str, Any], reference: dict[str, Any], unit: str) -> dict[str, Any]:
    return {
        "name": name,
        "ours_s": ours["seconds"],
        "reference_s": reference["seconds"],
        "ratio": reference["seconds"] / ours["seconds"],
        "peak_mb": ours["peak_mb"],
        "reference_peak_mb": reference["peak_mb"],
        "unit": unit,
        "figures": ours["figures"],
        "reference_figures": reference["figures"],
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        print(json.dumps(run_side(*sys.argv[2:])))
    else:
        typer.run(main)
