"""What `eval` does with a sweep: weights scored on pictures that are made harder step by step."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepmat.cli.options import finish, progress_bar, stderr, stdout
from deepmat.errors import ConfigError

if TYPE_CHECKING:
    from deepmat.scoring.pictures import Network

AXES = ("trimap", "jpeg", "noise")


def refuse_for_a_sweep(options: Mapping[str, Any], out: Path | None) -> None:
    """ConfigError for an option that was given and that a sweep does not take, or for a drawing without Matplotlib."""
    for flag, used in options.items():
        if used:
            raise ConfigError(f"{flag}: a sweep has no use for it; leave it out")
    if out:
        from deepmat.report import require_plots

        require_plots()


def sweep(
    pictures: Sequence[tuple[str, Any]],
    networks: Mapping[str, "Network"],
    axes: Mapping[str, Sequence[int]],
    settings: Mapping[str, Any],
    out: Path | None,
    json: bool,
) -> None:
    """Scores over the levels of each axis: a table, or JSON; and with `out` sweep.csv and a picture, sweep.png."""
    from deepmat.report import curves_table, draw_curves, write_csv
    from deepmat.runtime.records import to_json
    from deepmat.scoring import sweeps as robustness

    metrics = ("sad", "mse")
    ((run, network),) = networks.items()
    records: list[dict[str, Any]] = []
    with progress_bar(stderr()) as bar:
        task = bar.add_task("sweep", total=len(pictures))
        for found in robustness.sweep(pictures, network, axes, metrics):
            records += found
            bar.advance(task)
    points = robustness.curves(records, metrics)
    if json:
        print(to_json({"run": run, "settings": settings, "curves": points, "pictures": records}))
    elif points:
        stdout().print(curves_table(points, metrics))
    failures = {each["name"]: each["error"] for each in records if "error" in each}
    if out:
        write_csv(out / "sweep.csv", records, ["name", "axis", "level", *metrics, "error"])
        if points:
            caption = f"{run}: mean over {len(pictures) - len(failures)} pictures"
            draw_curves(out / "sweep.png", points, "sad", caption)
    scored = f"{len(pictures) - len(failures)} pictures, {len(points)} ways each"
    finish(failures, scored + (f"; see {out / 'sweep.png'}" if out and points else "; -o DIR draws it"))
