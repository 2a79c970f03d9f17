from pathlib import Path
from typing import Annotated

import typer

from deepmat.cli.options import finish, plain, stdout


def runs(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR]...", help="Runs, or folders that have runs in them. [runs]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="PNG", help="Draw their losses and test scores.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print each run as a JSON object.")] = False,
) -> None:
    """Compare training runs: scores, losses, speed.

    Reads each run's log.jsonl, also while it is trained. Steps that a resumed run repeated count once.
    """
    from deepmat.report import list_runs, runs_table
    from deepmat.runtime.records import to_json

    listed = list_runs(folders or ["runs"], out)
    if json:
        for summary in listed.summaries:
            print(to_json(summary))
    elif listed.summaries:
        stdout().print(runs_table(listed.summaries), crop=False)
    count = len(listed.summaries)
    drawn = "" if not count else f"; see {out}" if out else "; -o curves.png draws them"
    failures = {folder: plain(message) for folder, message in listed.failures.items()}
    finish(failures, plain(f"{count} run{'' if count == 1 else 's'}{drawn}"))
