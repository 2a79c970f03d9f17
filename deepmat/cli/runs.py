from pathlib import Path
from typing import Annotated

import typer

from deepmat.cli.options import finish, plain, stdout
from deepmat.errors import ConfigError, DataError


def runs(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR]...", help="Runs, or folders that have runs in them. [runs]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="PNG", help="Draw their losses and test scores.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="A JSON object a run, with all that is known of it.")] = False,
) -> None:
    """Compare training runs: scores, losses, speed.

    Reads log.jsonl of each, those of runs that still go on too: a run is unfinished if its last line is neither an end
    nor a stop. Steps that a resumed run took again count once.
    """
    from deepmat.report import draw_runs, find_runs, name_runs, read_run, require_plots, runs_table
    from deepmat.runtime.records import to_json

    if out:
        if out.suffix.lower() != ".png":
            raise ConfigError(f"-o {out}: curves are drawn as .png; choose such a name")
        require_plots()
    failures: dict[str, str] = {}
    found: list[Path] = []
    for folder in folders or [Path("runs")]:
        try:
            found += find_runs(folder)
        except DataError as error:
            failures[str(folder)] = plain(str(error))
    histories = []
    for folder, name in name_runs(found).items():
        try:
            histories.append(read_run(folder, name))
        except DataError as error:
            failures[str(folder)] = plain(str(error))
    if json:
        for history in histories:
            print(to_json(history.summary))
    elif histories:
        stdout().print(runs_table(histories), crop=False)
    if out and histories:
        draw_runs(out, histories)
    number = f"{len(histories)} run{'' if len(histories) == 1 else 's'}"
    drawn = "" if not histories else f"; see {out}" if out else "; -o curves.png draws them"
    finish(failures, plain(number + drawn))
