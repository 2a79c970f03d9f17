from pathlib import Path
from typing import Annotated

import typer

from deepmat.cli.options import (
    Device,
    Fit,
    MaxSize,
    Mode,
    Precision,
    Set,
    Skip,
    Weights,
    notify,
    progress_bar,
    say,
    stderr,
    summarise,
)


def predict(
    inputs: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them with all their subfolders.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for what is made: OUT/alpha/NAME.png and so on.")],
    weights: Weights = None,
    trimaps: Annotated[
        Path | None,
        typer.Option("--trimaps", "--trimap", "-t", help="Folder of trimaps, paired by name; or one trimap file."),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option("--masks", "--mask", help="In place of trimaps: masks or rough alphas, likewise.")
    ] = None,
    width: Annotated[
        str | None,
        typer.Option(help="Unknown on each side of a mask's edge: pixels (20) or part of the longer side (2%) [2%]."),
    ] = None,
    save: Annotated[
        str,
        typer.Option(
            metavar="KIND[.EXT],...",
            help="alpha, alpha16, alpha32, cutout, foreground, composite, preview, sheet, uncertainty.",
        ),
    ] = "alpha,cutout",
    background: Annotated[
        str | None, typer.Option(help="For composite: a colour (white, #1188ff), a picture or a folder of pictures.")
    ] = None,
    colours: Annotated[
        str,
        typer.Option(
            metavar="estimated|own", help="Foreground colours: without the background's share, or the picture's own."
        ),
    ] = "estimated",
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave pictures of which every file is there.")
    ] = False,
    include: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Only such pictures, say '*.jpg' or 'shoes/*'.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="PATTERN", help="No such pictures.")] = None,
    mode: Mode = None,
    max_size: MaxSize = None,
    fit: Fit = None,
    precision: Precision = "auto",
    memory: Annotated[
        float | None, typer.Option(help="Mode auto: GB that the process may take in all [half of what is free].")
    ] = None,
    max_megapixels: Annotated[
        int, typer.Option(help="Larger pictures are refused: a small file can hold a huge one.", min=1)
    ] = 500,
    json: Annotated[bool, typer.Option("--json", help="A JSON object a picture on stdout.")] = False,
    device: Device = "auto",
    skip: Skip = None,
    set_: Set = None,
) -> None:
    """Cut pictures out: image + trimap -> alpha.

    Without weights the network is lite, which comes with deepmat. Trimaps or masks are paired by name; without either,
    the pictures' own alpha channels are the masks. A picture that fails is named at the end, the rest is done;
    OUT/log.jsonl has a line for each. After a stop the same command with --skip-existing goes on. Under torchrun or
    accelerate launch the processes share the pictures.
    """
    from deepmat.inference.folders import cut_out
    from deepmat.runtime import distributed
    from deepmat.runtime.records import to_json

    work = cut_out(
        inputs,
        out,
        weights=weights,
        trimaps=trimaps,
        masks=masks,
        width=width,
        save=save,
        background=background,
        colours=colours,
        skip_existing=skip_existing,
        include=include or (),
        exclude=exclude or (),
        mode=mode,
        max_size=max_size,
        fit=fit,
        precision=precision,
        memory=memory,
        max_megapixels=max_megapixels,
        device=device,
        assume={"skip": skip},
        settings=set_ or (),
    )
    if distributed.rank() == 0:
        notify(work.notices)
    say(work.about)
    failures: dict[str, str] = {}
    distributed.meet()
    with progress_bar(stderr()) as bar:
        task = bar.add_task("predict", total=work.total)
        try:
            for record in work:
                bar.advance(task)
                notify(record.get("notices", []))
                if json:
                    print(to_json(record), flush=True)
                if "error" in record:
                    failures[record["name"]] = record["error"]
        except KeyboardInterrupt:
            say(f"{out} keeps what is done; the same command with --skip-existing goes on")
            raise
    _finish(work.total, failures, f" in {out}" + (f" ({work.existing} more were there)" if work.existing else ""))


def _finish(total: int, failures: dict[str, str], where: str) -> None:
    """Show the result of all processes of the job; exit code 1 if a picture failed."""
    from deepmat.runtime import distributed

    done = distributed.gather((total, failures))
    failures = {name: message for _, failed in done for name, message in failed.items()}
    count = sum(number for number, _ in done)
    if distributed.rank() == 0:
        summarise(failures, f"{count - len(failures)} of {count} pictures cut out{where}")
    distributed.gather(None)  # a launcher ends all of them with the first that fails
    if failures:
        raise typer.Exit(1)
