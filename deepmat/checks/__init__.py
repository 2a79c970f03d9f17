"""Check a data folder before it is composited, trained on or scored; write a copy with what can be repaired.

`survey` lists the cases of a folder (files that are used together) by names only. `examine` reads each file once, in
several processes. `write_checksums` and `verify_checksums` compare bytes over time. `settle` sorts the findings, and
`mend` writes the copy. `deepmat.checks.doctor` does all of it.
"""

from deepmat.checks.cases import count, survey
from deepmat.checks.checksums import verify_checksums, write_checksums
from deepmat.checks.findings import CHECKS, LAYOUTS, SEVERITIES, Case, Checked, Comparison, Counts, Finding, Survey
from deepmat.checks.mending import left_out, mend, refuse_copy, settle
from deepmat.checks.reading import examine

__all__ = [
    "CHECKS",
    "LAYOUTS",
    "SEVERITIES",
    "Case",
    "Checked",
    "Comparison",
    "Counts",
    "Finding",
    "Survey",
    "count",
    "examine",
    "left_out",
    "mend",
    "refuse_copy",
    "settle",
    "survey",
    "verify_checksums",
    "write_checksums",
]
