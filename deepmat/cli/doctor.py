import json as to_json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepmat.cli.options import Workers, plain, progress_bar, say, stderr, stdout
from deepmat.errors import ConfigError
from deepmat.runtime.processes import cores

if TYPE_CHECKING:
    from deepmat.checks import Finding

EXAMPLES = 5
COLOURS = {"error": "bold red", "warning": "bold yellow", "note": "bold"}


def doctor(
    data: Annotated[
        Path, typer.Argument(help="Data folder: Adobe's layout, fg/ + alpha/ + bg/, RGBA pictures, or composites.")
    ],
    bg: Annotated[Path | None, typer.Option(help="Backgrounds, in place of DATA's own.")] = None,
    alpha: Annotated[Path | None, typer.Option(help="Alphas, in place of DATA's own, paired by name.")] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            help="Adobe's data set (Test_set/): hold a composited test set against it; --bg: its VOC pictures."
        ),
    ] = None,
    fix: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write a mended copy to this new folder; DATA stays as it is.")
    ] = None,
    write_checksums: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the sha256 of every file; in DATA, `sha256sum -c FILE` takes it too."),
    ] = None,
    verify: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Say which files are changed, missing or new since FILE was written."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Every finding as a JSON object a line, then a summary.")
    ] = False,
    workers: Workers = None,
) -> None:
    """Check a data folder and say what to fix.

    Reads every picture once; of a test set, makes each composite again and says which compositor's it is. Checksums, if
    asked for, come besides: every file is read once more. Errors make training or scores fail or come out wrong: the
    exit code is 1. Warnings are worth a look.
    """
    from deepmat import checks

    if write_checksums and verify:
        raise ConfigError("--verify, --write-checksums: one at a time; verify first")
    found = checks.survey(data, bg, alpha, against)
    if fix:
        checks.refuse_copy(found, fix)
    sums: tuple[int, Iterable[Finding | None]] = (0, ())
    if write_checksums:
        sums = checks.write_checksums(data, write_checksums, workers or cores())
    elif verify:
        sums = checks.verify_checksums(data, verify, workers or cores())
    findings = list(found.findings)
    pixels = 0
    composites: dict[str, Any] = {}
    with progress_bar(stderr()) as bar:
        task = bar.add_task("examine", total=len(found.cases))
        for done, record in enumerate(checks.examine(found, workers or cores()), 1):
            findings += record["findings"]
            pixels += record["pixels"]
            composites = record.get("composites", {})
            bar.update(task, completed=min(done, len(found.cases)))
        checked = list(bar.track(sums[1], sums[0], description="checksums")) if sums[0] else []
    known = {(item["check"], item["path"]) for item in findings}
    findings += [item for item in checked if item and (item["check"], item["path"]) not in known]
    findings = checks.settle(found, findings)
    counts = checks.count(found)
    summary: dict[str, Any] = {"layout": found.layout, **counts, "megapixels": round(pixels / 1e6, 1)}
    for severity in checks.SEVERITIES:
        summary[f"{severity}s"] = sum(item["severity"] == severity for item in findings)
    mends = [item for item in findings if item["fix"] and item["severity"] != "note"]
    summary["mendable"] = len(mends)
    if composites:
        summary["composites"] = composites
    if write_checksums or verify:
        summary["checksums"] = _count_checksums(checked, write_checksums, verify)
    if json:
        for item in findings:
            print(to_json.dumps(item))
    else:
        console = stdout()
        numbers = ", ".join(f"{number} {what}" for what, number in counts.items()) or "no pictures"
        print(plain(f"{data}: {checks.LAYOUTS[found.layout]}; {numbers}; {pixels / 1e6:.1f} megapixels"))
        for line in _about_composites(composites) if composites else ():
            print(plain(line))
        for line in _lines(findings, data):
            style = COLOURS.get(line.partition(":")[0])
            console.print(plain(line), style=style, highlight=False, markup=False, soft_wrap=True)
        if "checksums" in summary:
            print(plain(_about_checksums(summary["checksums"], data)))
    if fix:
        summary["fix"] = _fix(fix, findings, found, workers or cores(), quiet=json)
    if json:
        print(to_json.dumps(summary))
    else:
        options = (("--bg", bg), ("--alpha", alpha), ("--against", against))
        given = "".join(f" {flag} {quote(str(path))}" for flag, path in options if path)
        print(plain(_verdict(summary, f"deepmat doctor {quote(str(data))}{given}", fix)))
    if any(item["severity"] == "error" and not (fix and item["fix"]) for item in findings):
        raise typer.Exit(1)


def _lines(findings: "list[Finding]", data: Path) -> list[str]:
    """The findings by severity and check, a few examples of each."""
    from deepmat.checks import CHECKS

    groups = defaultdict(list)
    for item in findings:
        groups[item["severity"], item["check"]].append(item)
    lines = []
    for (severity, check), group in groups.items():
        mends = sum(bool(item["fix"]) for item in group)
        more = f", --fix mends {'it' if mends == len(group) == 1 else 'all' if mends == len(group) else mends}"
        lines += ["", f"{severity}: {CHECKS[check]} ({len(group)}{more if mends else ''})"]
        for item in group[:EXAMPLES]:
            path = Path(item["path"])
            short = path.relative_to(data) if data in path.parents else path
            lines.append(f"  {short}: {item['message']}")
        if len(group) > EXAMPLES:
            lines.append(f"  and {len(group) - EXAMPLES} more")
    return [*lines, ""] if lines else lines


def _about_composites(composites: dict[str, Any]) -> Iterator[str]:
    numbers = _count(composites["pictures"], "picture")
    if composites["foregrounds"]:
        numbers += f" of {_count(composites['foregrounds'], 'foreground')}"
    yield (
        f"test set: {numbers}, {composites['first']} to {composites['last']}; exactly Adobe's {composites['adobe']}, "
        f"exactly cv2's {composites['cv2']}, neither {composites['neither']}, untold {composites['untold']}"
        f"{' (by the blending alone: bg/ is fitted already)' * bool(composites['fitted'])}"
    )
    if composites["worst"]:
        how_far = f"{composites['mean']:.2g} grey levels in the mean, {composites['max']} at most"
        yield f"  from Adobe's, those that are not: {how_far}; the worst is {composites['worst']}"
    kinds = ("alphas", "trimaps", "backgrounds")
    known = [f"{what} {composites[what][0]} of {composites[what][1]}" for what in kinds if composites[what][1]]
    if known:
        yield f"  those of the sources: {', '.join(known)}"


def _count_checksums(checked: "list[Finding | None]", written: Path | None, verified: Path | None) -> dict[str, Any]:
    counts = Counter(item["check"] if item else "intact" for item in checked)
    if written:
        return {"file": str(written), "written": len(checked) if counts["intact"] == len(checked) else 0}
    return {"file": str(verified), **{check: counts[check] for check in ("intact", "changed", "missing", "unlisted")}}


def _about_checksums(counts: dict[str, Any], data: Path) -> str:
    file = counts["file"]
    if "written" not in counts:
        return f"{file}: {_count(counts['intact'], 'file')} as listed, " + ", ".join(
            f"{counts[check]} {check}" for check in ("changed", "missing", "unlisted")
        )
    if not counts["written"]:
        return f"{file}: not written, since there are files that cannot be read"
    inside = quote(os.path.relpath(file, data))
    return f"{file}: checksums of {_count(counts['written'], 'file')}; `sha256sum -c {inside}` in {data} takes them too"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _verdict(summary: dict[str, Any], command: str, fix: Path | None) -> str:
    if not summary["errors"] and not summary["warnings"]:
        return "healthy" + (f", {_count(summary['notes'], 'note')}" if summary["notes"] else "")
    verdict = f"{_count(summary['errors'], 'error')}, {_count(summary['warnings'], 'warning')}"
    mends = summary["mendable"]
    if fix and summary["fix"]:
        return f"{verdict}; {mends} of them mended in {fix}"
    if fix:
        return f"{verdict}; nothing that --fix could mend, so there is no copy"
    return f"{verdict}; {command} --fix OUT mends {mends} of them" if mends else verdict


def _fix(out: Path, findings: "list[Finding]", found: Any, workers: int, quiet: bool) -> dict[str, int]:
    from deepmat import checks

    if not any(item["fix"] for item in findings):
        return {}
    gone = checks.left_out(found, findings)
    total, written = checks.mend(found, findings, out, workers)
    done = {"copied": 0, "re-encoded": 0, "left out": len(gone)}
    try:
        with progress_bar(stderr()) as bar:
            task = bar.add_task("copy", total=total)
            for what in written:
                done[what] += 1
                bar.advance(task)
    except KeyboardInterrupt:
        say(f"stopped: {out} is not whole; remove it")
        raise typer.Exit(130) from None
    if not quiet:
        for path, why in sorted(gone.items()):
            print(plain(f"left out: {path}: {why}"))
        print(plain(f"{out}: {done['copied']} files copied, {done['re-encoded']} re-encoded, {len(gone)} left out"))
    return done
