import json as to_json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from deepmat.cli.options import Engine, Workers, plain, progress_bar, say, stderr, stdout

if TYPE_CHECKING:
    from deepmat.checks import Comparison, Finding
    from deepmat.checks.doctor import Checksums, Checkup, Report, Summary

EXAMPLES = 5
"""Findings of one kind that are shown."""
STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold"}
NO_FILES = (
    "layout",
    "megapixels",
    "errors",
    "warnings",
    "notes",
    "mendable",
    "composites",
    "checksums",
    "fix",
)
"""Keys of the summary that are no numbers of files."""


def doctor(
    data: Annotated[
        Path, typer.Argument(help="Data folder: Adobe's layout, fg/ + alpha/ + bg/, RGBA pictures, or composites.")
    ],
    bg: Annotated[Path | None, typer.Option(help="Backgrounds, in place of DATA's own.")] = None,
    alpha: Annotated[Path | None, typer.Option(help="Alphas, in place of DATA's own, paired by name.")] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            help="Adobe's data set (Test_set/), to compare a composited test set with; --bg: its VOC pictures."
        ),
    ] = None,
    fix: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write a mended copy to this new folder; DATA is only read.")
    ] = None,
    write_checksums: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the sha256 of every file; `sha256sum -c FILE` in DATA reads it too."),
    ] = None,
    verify: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Report files that are changed, missing or new since FILE was written."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Every finding as one JSON object per line, then a summary.")
    ] = False,
    workers: Workers = None,
    engine: Engine = "processes",
) -> None:
    """Check a data folder, and report what to fix and how.

    Reads every picture once. Of a composited test set, it composites each picture again and reports which compositor
    made it. Errors make training or scores fail or come out wrong; with any, the exit code is 1. Warnings are worth a
    look.
    """
    from deepmat.checks.doctor import doctor as prepare
    from deepmat.runtime import distributed
    from deepmat.runtime.storage import addressed

    data = addressed(data)
    options = {"bg": bg, "alpha": alpha, "against": against}
    checksums = {"write_checksums": write_checksums, "verify": verify}
    work = prepare(data, **options, fix=fix, **checksums, workers=workers, engine=engine)
    report = _examine(work)
    first = not distributed.rank()  # it shows the report of all processes
    if json and first:
        for item in report["findings"]:
            print(to_json.dumps(item))
    elif first:
        _show(report, data)
    _mend(work, report, quiet=json or not first)
    if json and first:
        print(to_json.dumps(report["summary"]))
    elif first:
        given = "".join(f" --{name} {quote(str(addressed(path)))}" for name, path in options.items() if path)
        print(plain(_verdict(report["summary"], f"deepmat doctor {quote(str(data))}{given}", fix)))
    distributed.gather(None)  # a launcher ends all processes with the first that exits with an error
    if any(item["severity"] == "error" and not (fix and item["fix"]) for item in report["findings"]):
        raise typer.Exit(1)


def _examine(work: "Checkup") -> "Report":
    with progress_bar(stderr()) as bar:
        return work.report(bar.track(work, total=work.total, description="examine"))


def _show(report: "Report", data: Path) -> None:
    from deepmat.checks import LAYOUTS

    summary, console = report["summary"], stdout()
    numbers = ", ".join(f"{number} {what}" for what, number in summary.items() if what not in NO_FILES) or "no pictures"
    print(plain(f"{data}: {LAYOUTS[summary['layout']]}; {numbers}; {summary['megapixels']:.1f} megapixels"))
    for line in _about_composites(summary["composites"]) if "composites" in summary else ():
        print(plain(line))
    for line in _lines(report["findings"], data):
        style = STYLES.get(line.partition(":")[0])
        console.print(plain(line), style=style, highlight=False, markup=False, soft_wrap=True)
    if "checksums" in summary:
        print(plain(_about_checksums(summary["checksums"], data)))


def _lines(findings: "list[Finding]", data: Path) -> list[str]:
    """The findings by severity and check, with a few examples of each."""
    from deepmat.checks import CHECKS
    from deepmat.runtime.storage import addressed

    groups = defaultdict(list)
    for item in findings:
        groups[item["severity"], item["check"]].append(item)
    lines = []
    for (severity, check), group in groups.items():
        mends = sum(bool(item["fix"]) for item in group)
        more = f", --fix mends {'it' if mends == len(group) == 1 else 'all' if mends == len(group) else mends}"
        lines += ["", f"{severity}: {CHECKS[check]} ({len(group)}{more if mends else ''})"]
        for item in group[:EXAMPLES]:
            path = addressed(item["path"])
            short = path.relative_to(data) if data in path.parents else path
            lines.append(f"  {short}: {item['message']}")
        if len(group) > EXAMPLES:
            lines.append(f"  and {len(group) - EXAMPLES} more")
    return [*lines, ""] if lines else lines


def _about_composites(composites: "Comparison") -> Iterator[str]:
    numbers = _count(composites["pictures"], "picture")
    if composites["foregrounds"]:
        numbers += f" of {_count(composites['foregrounds'], 'foreground')}"
    yield (
        f"test set: {numbers}, {composites['first']} to {composites['last']}; exactly Adobe's {composites['adobe']}, "
        f"exactly cv2's {composites['cv2']}, neither {composites['neither']}, not compared {composites['untold']}"
        f"{' (by the blending alone: bg/ is fitted already)' * bool(composites['fitted'])}"
    )
    if composites["worst"]:
        how_far = f"{composites['mean']:.2g} grey levels in the mean, {composites['max']} at most"
        yield f"  from Adobe's, those that are not: {how_far}; the worst is {composites['worst']}"
    pairs = {name: composites[name] for name in ("alphas", "trimaps", "backgrounds")}
    known = [f"{name} {equal} of {compared}" for name, (equal, compared) in pairs.items() if compared]
    if known:
        yield f"  those of the sources: {', '.join(known)}"


def _about_checksums(counts: "Checksums", data: Path) -> str:
    file = counts["file"]
    if "written" not in counts:
        return (
            f"{file}: {_count(counts['intact'], 'file')} as listed, {counts['changed']} changed, "
            f"{counts['missing']} missing, {counts['unlisted']} unlisted"
        )
    if not counts["written"]:
        return f"{file}: not written, since there are files that cannot be read"
    inside = quote(os.path.relpath(file, data))
    return f"{file}: checksums of {_count(counts['written'], 'file')}; `sha256sum -c {inside}` in {data} takes them too"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _verdict(summary: "Summary", command: str, fix: Path | None) -> str:
    if not summary["errors"] and not summary["warnings"]:
        notes = f", {_count(summary['notes'], 'note')}" if summary["notes"] else ""
        return f"healthy{notes}{'; nothing to mend, so there is no copy' if fix else ''}"
    verdict = f"{_count(summary['errors'], 'error')}, {_count(summary['warnings'], 'warning')}"
    mends = summary["mendable"]
    if fix and summary["fix"]:
        return f"{verdict}; {mends} of them mended in {fix}"
    if fix:
        return f"{verdict}; nothing that --fix could mend, so there is no copy"
    return f"{verdict}; {command} --fix OUT mends {mends} of them" if mends else verdict


def _mend(work: "Checkup", report: "Report", quiet: bool) -> None:
    """Write the copy, if there is something to mend."""
    job = work.mend(report)
    if not job.total:
        return
    try:
        with progress_bar(stderr()) as bar:
            for _ in bar.track(job, total=job.total, description="copy"):
                pass
    except KeyboardInterrupt:
        say(f"stopped: {work.fix} is incomplete; remove it")
        raise typer.Exit(130) from None
    if quiet:
        return
    for path, why in report["left_out"].items():
        print(plain(f"left out: {path}: {why}"))
    done = report["summary"]["fix"]
    print(
        plain(
            f"{work.fix}: {done['copied']} files copied, {done['re-encoded']} re-encoded, {done['left out']} left out"
        )
    )
