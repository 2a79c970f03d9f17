from pathlib import Path
from typing import Annotated, Any

import typer

from deepmat import config as configs
from deepmat.cli.options import (
    Device,
    Fit,
    MaxSize,
    Mode,
    Precision,
    Set,
    Skip,
    Weights,
    flags,
    notify,
    open_model,
    progress_bar,
    refuse_inside,
    refuse_keys,
    refuse_unused,
    say,
    stderr,
    tell,
)
from deepmat.errors import ConfigError

LOG = "log.jsonl"


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
        str, typer.Option(metavar="estimated|own", help="The foreground's without the background's share, or as is.")
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

    Without weights it takes deepmat's own network, lite.
    Trimaps or masks are paired by name; without either, the pictures' own alpha channels are the masks. A picture that
    fails is named at the end; the rest is done, and told in OUT/log.jsonl. The same command with --skip-existing goes
    on after a stop. Under torchrun or accelerate launch the processes share the pictures.
    """
    how = mode or ("whole" if max_size or fit else "auto")
    given = flags({"test.mode": how, "test.max_size": max_size, "test.fit": fit, "test.memory": memory})
    refuse_keys(set_ or [], ("test",))
    settings = configs.load(flags=given, overrides=set_ or []).test
    if trimaps and masks:
        raise ConfigError("--trimaps and --masks: give one of them")
    if trimaps and width:
        raise ConfigError("--width: is for masks; trimaps say themselves what is unknown")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out}: is a file; name a folder")
    if colours not in ("estimated", "own"):
        raise ConfigError(f"--colours {colours}: unknown; known: estimated, own")

    from deepmat.imaging.foreground import estimate_foreground
    from deepmat.imaging.trimap import WIDTH, parse_width
    from deepmat.inference import folders as cutouts
    from deepmat.inference import outputs
    from deepmat.inference.predict import mode_options
    from deepmat.report import to_json
    from deepmat.runtime import distributed as ranks
    from deepmat.runtime.files import append_line, refuse_overwriting, remove_leftovers

    options = mode_options(settings)
    refuse_unused({"--max-size": max_size, "--fit": fit, "--memory": memory}, options)
    choices = outputs.parse_outputs(save)
    if background and "composite" not in {choice.kind for choice in choices}:
        raise ConfigError("--background: is for composite; add that to --save")
    max_pixels = max_megapixels * 10**6
    behind = outputs.open_background(background or "white", max_pixels)
    band = None if trimaps else parse_width(width or WIDTH, "--width")
    what = "trimap" if trimaps else "mask"
    folders = [out, *(out / kind for kind in outputs.OUTPUTS)]
    jobs, notices = cutouts.find_jobs(inputs, trimaps or masks, what, folders, include or (), exclude or ())
    places = {job: [out / choice.place(job.name) for choice in choices] for job in jobs if not job.problem}
    read = [path for job in jobs for path in (job.image, job.partner) if path]
    if background and Path(background).is_dir():
        refuse_inside("--out", out / "composite", [Path(background)])
    elif background:
        read.append(Path(background))
    refuse_overwriting((path for paths in places.values() for path in paths), read)
    there = {job for job, paths in places.items() if skip_existing and all(path.is_file() for path in paths)}
    todo = ranks.share([job for job in jobs if job not in there])
    log = out / (f"log-{ranks.rank()}.jsonl" if ranks.world() > 1 else LOG)
    if ranks.rank() == 0:
        notify(notices)
    if ranks.world() == 1 and out.is_dir():
        remove_leftovers(out)
    model, precision = open_model(weights, ranks.device_name(device), precision, skip, f"mode {settings.mode}")

    def load(job: cutouts.Job) -> cutouts.Read:
        return cutouts.read_job(job, band, max_pixels)

    def store(job: cutouts.Job, seen: cutouts.Read, alpha: Any) -> dict[str, str]:
        estimate = estimate_foreground if colours == "estimated" else None
        cut = outputs.CutOut(job.name, seen.image, alpha, seen.trimap, seen.about, estimate, behind)
        return outputs.write_outputs(cut, choices, out)

    failures: dict[str, str] = {}
    ranks.meet()
    with progress_bar(stderr()) as bar:
        task = bar.add_task("predict", total=len(todo))
        try:
            for record in cutouts.cut_out(model, todo, load, store, settings):
                bar.advance(task)
                notify(record.get("notices", []))
                line = to_json({**record, "precision": precision})
                append_line(log, line)
                if json:
                    print(line, flush=True)
                if "error" in record:
                    failures[record["name"]] = record["error"]
        except KeyboardInterrupt:
            say(f"{out} keeps what is done; the same command with --skip-existing goes on")
            raise
    done = ranks.gather((len(todo), failures))
    failures = {name: message for _, failed in done for name, message in failed.items()}
    count = sum(number for number, _ in done)
    if ranks.rank() == 0:
        before = f" ({len(there)} more were there)" if there else ""
        tell(failures, f"{count - len(failures)} of {count} pictures cut out in {out}{before}")
    ranks.gather(None)  # a launcher ends all of them with the first that fails
    if failures:
        raise typer.Exit(1)
