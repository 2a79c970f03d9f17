"""Check a data folder and write a mended copy: what `deepmat doctor` does."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

from deepmat import checks
from deepmat.checks import Checked, Comparison, Counts, Finding, Survey
from deepmat.errors import ConfigError
from deepmat.runtime.addresses import local_only
from deepmat.runtime.files import AnyPath, as_path, as_path_or_none
from deepmat.runtime.sharing import Engine, parse_engine
from deepmat.runtime.work import Work


class Checksums(TypedDict, total=False):
    """What was done about checksums. A file of them was written or verified; other keys are numbers of files."""

    file: str
    written: int
    """0 if a file could not be read; then no checksums are written."""
    intact: int
    changed: int
    missing: int
    unlisted: int


Mended = TypedDict("Mended", {"copied": int, "re-encoded": int, "left out": int}, total=False)
"""Numbers of files of a mended copy; empty if nothing could be mended, so that there is no copy."""


class Summary(Counts, total=False):
    """Numbers of a data folder and of the findings on it."""

    layout: str
    """One of deepmat.checks.LAYOUTS."""
    megapixels: float
    errors: int
    warnings: int
    notes: int
    mendable: int
    """Errors and warnings that a mended copy fixes."""
    composites: Comparison
    """Of a composited test set."""
    checksums: Checksums
    """If they were written or verified."""
    fix: Mended
    """If a mended copy was asked for."""


class Report(TypedDict):
    """What is wrong with a data folder."""

    findings: list[Finding]
    """Errors first, then warnings and notes."""
    summary: Summary
    left_out: dict[str, str]
    """Files that a mended copy leaves out, and why."""


@dataclass(frozen=True, kw_only=True)
class Checkup(Work[Checked]):
    """A check that is ready to be done. `run` does all of it.

    Step by step: iterating reads every file and yields records, `report` makes the report of them, and `mend` returns
    the job that writes the copy.
    """

    found: Survey
    fix: Path | None
    """The folder for a mended copy."""
    written: Path | None
    """The file to write checksums to."""
    verified: Path | None
    """The file of checksums to verify."""
    checksums: Work[Finding | None]
    workers: int | None
    engine: Engine = Engine()

    def __iter__(self) -> Iterator[Checked]:
        yield from checks.examine(self.found, self.workers, self.engine)
        for item in self.checksums:
            yield Checked([item] if item else [], checksum=item["check"] if item else "intact")

    def report(self, records: Iterable[Checked]) -> Report:
        """The report of all records of a check."""
        records = list(records)
        findings = checks.settle(self.found, _once(self.found.findings, records))
        summary = cast(Summary, {"layout": self.found.layout, **checks.count(self.found)})
        summary["megapixels"] = round(sum(record.pixels for record in records) / 1e6, 1)
        number = Counter(item["severity"] for item in findings)
        summary["errors"], summary["warnings"], summary["notes"] = (number[each] for each in checks.SEVERITIES)
        summary["mendable"] = sum(bool(item["fix"]) and item["severity"] != "note" for item in findings)
        for record in records:
            if record.comparison:
                summary["composites"] = record.comparison
        if self.written or self.verified:
            summary["checksums"] = self._count_checksums(records)
        gone = checks.left_out(self.found, findings) if self.fix else {}
        left_out = {str(path): why for path, why in sorted(gone.items())}
        return {"findings": findings, "summary": summary, "left_out": left_out}

    def mend(self, report: Report) -> Work[str]:
        """The job of writing the mended copy; empty without `fix` or without findings that can be fixed.

        Iterating yields "copied" or "re-encoded" for each file. At the end, "fix" in the summary of the report counts
        these.
        """
        if not self.fix:
            return Work(0)
        report["summary"]["fix"] = {}
        if not any(item["fix"] for item in report["findings"]):
            return Work(0)
        job = checks.mend(self.found, report["findings"], self.fix, self.workers, self.engine)

        def steps() -> Iterator[str]:
            done: Counter[str] = Counter()
            for what in job:
                done[what] += 1
                yield what
            report["summary"]["fix"] = {
                "copied": done["copied"],
                "re-encoded": done["re-encoded"],
                "left out": len(report["left_out"]),
            }

        return Work(job.total, steps)

    def run(self) -> Report:  # type: ignore[override]
        """Do the whole job. Returns the report."""
        report = self.report(self)
        self.mend(report).run()
        return report

    def _count_checksums(self, records: list[Checked]) -> Checksums:
        counts = Counter(record.checksum for record in records if record.checksum)
        if self.written:
            total = sum(counts.values())
            return {"file": str(self.written), "written": total if counts["intact"] == total else 0}
        return {
            "file": str(self.verified),
            "intact": counts["intact"],
            "changed": counts["changed"],
            "missing": counts["missing"],
            "unlisted": counts["unlisted"],
        }


def _once(found: list[Finding], records: list[Checked]) -> list[Finding]:
    """All findings, each once: pictures may be of several parts, and reading them may tell what checksums do."""
    read = found + [item for record in records if not record.checksum for item in record.findings]
    findings = list({(item["check"], item["path"], item["message"]): item for item in read}.values())
    known = {(item["check"], item["path"]) for item in findings}
    more = [item for record in records if record.checksum for item in record.findings]
    return findings + [item for item in more if (item["check"], item["path"]) not in known]


def doctor(
    data: AnyPath,
    *,
    bg: AnyPath | None = None,
    alpha: AnyPath | None = None,
    against: AnyPath | None = None,
    fix: AnyPath | None = None,
    write_checksums: AnyPath | None = None,
    verify: AnyPath | None = None,
    workers: int | None = None,
    engine: str = "processes",
) -> Checkup:
    """Check a data folder: what `deepmat doctor` does.

    data: a folder of foregrounds in any layout, or of composites. bg, alpha: folders in place of the data's own.
    against: Adobe's data set, to compare a composited test set with. These may be addresses, but not together with the
    following, which are local. fix: new folder for a mended copy.
    write_checksums: new file for the sha256 of every file; verify: such a file, to compare with. workers: number of
    processes, by default the number of cores. engine: "processes", or "ray" for the workers of a Ray cluster
    (`runtime.sharing`). The processes of a launcher share the files (`runtime.distributed`).

    Raises ConfigError and DataError before any work. `run()` returns the Report. More than one worker needs a script
    that can be imported (`if __name__ == "__main__":`).
    """
    if write_checksums and verify:
        raise ConfigError("--verify, --write-checksums: one at a time; verify first")
    runs_on = parse_engine(engine)
    data = as_path(data, "data")
    given = {"bg": bg, "alpha": alpha, "against": against, "fix": fix}
    given |= {"write_checksums": write_checksums, "verify": verify}
    bg, alpha, against, fix, written, verified = (as_path_or_none(path, name) for name, path in given.items())
    for option, path in (("--fix", fix), ("--write-checksums", written), ("--verify", verified)):
        if path:
            local_only(path, option)
            for read in filter(None, (data, bg, alpha)):
                local_only(read, f"{option}:")
    found = checks.survey(data, bg, alpha, against)
    if fix:
        checks.refuse_copy(found, fix)
    sums: Work[Finding | None] = Work(0)
    if written:
        sums = checks.write_checksums(found.root, written, workers, runs_on)
    elif verified:
        sums = checks.verify_checksums(found.root, verified, workers, runs_on)
    return Checkup(
        total=len(found.cases) + 1 + sums.total,  # one of the whole folder
        found=found,
        fix=fix,
        written=written,
        verified=verified,
        checksums=sums,
        workers=workers,
        engine=runs_on,
    )
