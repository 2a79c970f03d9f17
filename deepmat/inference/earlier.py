"""What earlier runs have made, among the pictures of a batch: it is left out."""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from deepmat.inference.logs import LOG
from deepmat.inference.outputs import OUTPUTS
from deepmat.runtime.files import real
from deepmat.runtime.listing import InputFile
from deepmat.runtime.paths import is_file
from deepmat.runtime.storage import Address


def without_outputs(pictures: Sequence[InputFile]) -> tuple[list[InputFile], list[str]]:
    """Return the pictures without the outputs of earlier runs, and a notice if there are some.

    Outputs are named NAME_KIND beside a picture NAME, or lie in FOLDER/KIND, where FOLDER has a log. Where FOLDER is
    what was given, that counts if there are other pictures too.
    """
    stems: set[str] = set()
    if any(_kind(each.name) for each in pictures):
        stems = {_in_few_bytes(each.path.with_suffix("")) for each in pictures if not each.problem}
    mixed = {
        each.place.folder
        for each in pictures
        if not isinstance(each.place, Path) and each.name.partition("/")[0] not in OUTPUTS
    }

    @cache
    def has_log(folder: Path) -> bool:
        return not isinstance(folder, Address) and is_file(folder / LOG)

    def is_output(each: InputFile) -> bool:
        kind = _kind(each.name)
        if kind and _in_few_bytes(each.path.parent / each.path.stem.removesuffix(f"_{kind}")) in stems:
            return True
        if isinstance(each.place, Path):  # it was named itself
            return False
        folder, parents = each.place.folder, each.name.split("/")[:-1]
        above = (folder.joinpath(*parents[:at]) for at, parent in enumerate(parents) if parent in OUTPUTS)
        return any(has_log(one) for one in above if one != folder or folder in mixed)

    kept: list[InputFile] = []
    left: list[InputFile] = []
    for each in pictures:
        (left if not each.problem and is_output(each) else kept).append(each)
    if not left:
        return kept, []
    more = f" and {len(left) - 1} more" if len(left) > 1 else ""
    why = "left out, as made by earlier runs of other pictures; to take one, name it alone"
    return kept, [f"{left[0].path}{more}: {why}"]


def _kind(name: str) -> str:
    """Return the kind of output that a picture is named after, as KIND in "sub/cat_KIND"; "" if it is none."""
    stem, _, kind = name.rpartition("/")[2].rpartition("_")
    return kind if stem and kind in OUTPUTS else ""


def _in_few_bytes(path: Path) -> str:
    """Return what is the same for two paths of one file; a Path would take several times the memory."""
    return os.path.normcase(str(real(path)))
