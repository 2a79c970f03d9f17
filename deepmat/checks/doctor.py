"""Check a data folder and mend it: what `deepmat doctor` does."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from deepmat import checks
from deepmat.checks import Finding, Survey
from deepmat.errors import ConfigError
from deepmat.runtime.processes import cores
from deepmat.runtime.work import Work


class Report(TypedDict):
    """What is wrong with a data folder."""

    findings: list[Finding]
    """Errors first, then warnings and notes."""
    summary: dict[str, Any]
    """Layout, counts of files and findings, "composites" of a composited test set, "checksums", "fix"."""
    left_out: dict[str, str]
    """Files that a mended copy leaves out, and why."""


@dataclass(frozen=True)
class Checkup(Work[int]):
    """A prepared check. Iterating reads every file and yields how much of `total` is done; `run` also mends.

    After iterating, `report` returns the findings and `mend` the job of writing the copy.
    """

    found: Survey = field(default_factory=lambda: Survey(Path(), "", [], [], []))
    fix: Path | None = None
    checksums: tuple[Path | None, Path | None] = (None, None)
    """Files to write checksums to and to verify."""
    sums: Iterable[Finding | None] = ()
    """The results of that, one for each file."""
    workers: int = 1
    findings: list[Finding] = field(default_factory=list)
    gathered: dict[str, Any] = field(default_factory=lambda: {"pixels": 0, "composites": {}, "checked": []})

    def __iter__(self) -> Iterator[int]:
        self.findings[:] = self.found.findings
        for done, record in enumerate(checks.examine(self.found, self.workers), 1):
            self.findings.extend(record["findings"])
            self.gathered["pixels"] += record["pixels"]
            self.gathered["composites"] = record.get("composites", {})
            yield min(done, len(self.found.cases))
        for count, item in enumerate(self.sums, 1):
            self.gathered["checked"].append(item)
            yield len(self.found.cases) + count

    def report(self) -> Report:
        """The findings so far, without duplicates, and their summary."""
        known = {(item["check"], item["path"]) for item in self.findings}
        checked: list[Finding | None] = self.gathered["checked"]
        more = [item for item in checked if item and (item["check"], item["path"]) not in known]
        findings = checks.settle(self.found, self.findings + more)
        pixels = round(self.gathered["pixels"] / 1e6, 1)
        summary: dict[str, Any] = {"layout": self.found.layout, **checks.count(self.found), "megapixels": pixels}
        for severity in checks.SEVERITIES:
            summary[f"{severity}s"] = sum(item["severity"] == severity for item in findings)
        summary["mendable"] = sum(bool(item["fix"]) and item["severity"] != "note" for item in findings)
        if self.gathered["composites"]:
            summary["composites"] = self.gathered["composites"]
        if any(self.checksums):
            summary["checksums"] = _count_checksums(checked, *self.checksums)
        gone = checks.left_out(self.found, findings) if self.fix else {}
        return {
            "findings": findings,
            "summary": summary,
            "left_out": {str(path): why for path, why in sorted(gone.items())},
        }

    def mend(self, report: Report) -> Work[str]:
        """The job of writing the mended copy; nothing to do without `fix` or without findings that can be mended.

        Its records say what was done to a file: "copied" or "re-encoded". It adds "fix" to the summary of the report.
        """
        if not self.fix:
            return Work(0)
        report["summary"]["fix"] = {}
        if not any(item["fix"] for item in report["findings"]):
            return Work(0)
        total, written = checks.mend(self.found, report["findings"], self.fix, self.workers)
        done = {"copied": 0, "re-encoded": 0, "left out": len(report["left_out"])}

        def steps() -> Iterator[str]:
            for what in written:
                done[what] += 1
                yield what
            report["summary"]["fix"] = done

        return Work(total, steps)

    def run(self) -> Report:  # type: ignore[override]
        """Do the whole job. Returns the report."""
        for _ in self:
            pass
        report = self.report()
        self.mend(report).run()
        return report


def doctor(
    data: Path | str,
    *,
    bg: Path | str | None = None,
    alpha: Path | str | None = None,
    against: Path | str | None = None,
    fix: Path | str | None = None,
    write_checksums: Path | str | None = None,
    verify: Path | str | None = None,
    workers: int | None = None,
) -> Checkup:
    """Check a data folder: what `deepmat doctor` does.

    bg, alpha: folders in place of the data's own. against: Adobe's data set, to compare a composited test set with it.
    fix: new folder for a mended copy. write_checksums, verify: file of the checksums of every file. workers: processes.

    Raises ConfigError and DataError before any work. `run()` returns the Report.
    """
    if write_checksums and verify:
        raise ConfigError("--verify, --write-checksums: one at a time; verify first")
    places = [Path(path) if path else None for path in (bg, alpha, against, fix, write_checksums, verify)]
    found = checks.survey(Path(data), *places[:3])
    if places[3]:
        checks.refuse_copy(found, places[3])
    number: int = 0
    sums: Iterable[Finding | None] = ()
    workers = workers or cores()
    if places[4]:
        number, sums = checks.write_checksums(found.root, places[4], workers)
    elif places[5]:
        number, sums = checks.verify_checksums(found.root, places[5], workers)
    return Checkup(
        total=len(found.cases) + number,
        found=found,
        fix=places[3],
        checksums=(places[4], places[5]),
        sums=sums,
        workers=workers,
    )


def _count_checksums(checked: Iterable[Finding | None], written: Path | None, verified: Path | None) -> dict[str, Any]:
    counts = Counter(item["check"] if item else "intact" for item in checked)
    if written:
        total = sum(counts.values())
        return {"file": str(written), "written": total if counts["intact"] == total else 0}
    return {"file": str(verified), **{check: counts[check] for check in ("intact", "changed", "missing", "unlisted")}}
