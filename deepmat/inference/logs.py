"""The log of a batch, OUT/log.jsonl: a line for each picture, in their order.

Where several processes do a batch, each appends to a part of its own, and the parts become the log when all are done.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from deepmat.runtime import distributed
from deepmat.runtime.files import write_text
from deepmat.runtime.paths import is_file, is_folder
from deepmat.runtime.sharing import Engine
from deepmat.runtime.storage import Address

LOG = "log.jsonl"


def log_place(out: Path, engine: Engine) -> Path:
    """Return the file to which this process appends lines."""
    alone = distributed.world() == 1 and not engine.is_cluster
    return out / (LOG if alone else f"log-{distributed.rank()}.jsonl")


def merge_logs(out: Path, names: Iterable[str]) -> None:
    """Move the lines of all parts to the end of the log, in the order of the names, and remove the parts.

    Parts of a job that was killed are among them. Call it in one process, when no other one writes. A storage has no
    parts (`sharing.refuse_storage`).
    """
    if isinstance(out, Address):
        return
    parts = sorted(out.glob("log-*.jsonl")) if is_folder(out) else []
    if not parts:
        return
    log = out / LOG
    before = log.read_text(encoding="utf-8").splitlines() if is_file(log) else []
    known, ranks = set(before), {name: rank for rank, name in enumerate(names)}
    found: list[tuple[int, str]] = []
    for part in parts:
        for line in part.read_text(encoding="utf-8").splitlines():
            try:
                name = json.loads(line)["name"]
            except (json.JSONDecodeError, KeyError, TypeError):
                continue  # a kill cut it short
            if line not in known:  # a kill between writing the log and removing the parts
                found.append((ranks.get(name, -1), line))
    write_text(log, "".join(f"{line}\n" for line in [*before, *(line for _, line in sorted(found, key=_rank))]))
    for part in parts:
        part.unlink()


def _rank(found: tuple[int, str]) -> int:
    return found[0]
