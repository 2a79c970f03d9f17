"""A check of a data folder before it is composited, trained on or scored: what is wrong, how to mend it, a mended copy.

`survey` lists the cases of a folder (the files that are used together) by names alone, `examine` reads each file once,
in many processes, `write_checksums` and `verify_checksums` hold the bytes to what they were, and `mend` writes a copy
without what can be mended safely. All speak in findings:

| key | value |
|---|---|
| severity | "error": training or scores fail or come out wrong; "warning": works, but look; "note": good to know |
| check | which of CHECKS |
| path | the file or folder |
| message | what is wrong with it; how to mend it |
| fix | what `mend` does about it: "re-encoded", "left out", or None |
"""

from deepmat.checks.cases import count, survey
from deepmat.checks.checksums import verify_checksums, write_checksums
from deepmat.checks.findings import CHECKS, LAYOUTS, SEVERITIES, Case, Finding, Survey
from deepmat.checks.mending import left_out, mend, refuse_copy, settle
from deepmat.checks.reading import examine

__all__ = [
    "CHECKS",
    "LAYOUTS",
    "SEVERITIES",
    "Case",
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
