"""What earlier runs have made, among the pictures of a batch: it is left out."""

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from deepmat.inference.logs import LOG
from deepmat.inference.outputs import OUTPUTS
from deepmat.runtime.files import real
from deepmat.runtime.listing import InputFile
from deepmat.runtime.paths import is_file
from deepmat.runtime.storage import Address


def without_outputs(pictures: Sequence[InputFile]) -> tuple[list[InputFile], list[str]]:
    """Return the pictures without the outputs of earlier runs, and a notice if there are some.

    Outputs are named NAME_KIND beside a picture NAME, or lie in FOLDER/KIND, below the folder that was given, where
    FOLDER has a log.
    """
    stems: set[str] = set()
    if any(each.name.rpartition("_")[2] in OUTPUTS for each in pictures):
        stems = {_in_few_bytes(each.path.with_suffix("")) for each in pictures if not each.problem}

    def is_output(each: InputFile) -> bool:
        name, _, kind = each.path.stem.rpartition("_")
        if stems and name and kind in OUTPUTS and _in_few_bytes(each.path.parent / name) in stems:
            return True
        return not isinstance(each.place, Path) and _in_folder_of_outputs(each.place.folder, each.name)

    kept = [each for each in pictures if each.problem or not is_output(each)]
    if len(kept) == len(pictures):
        return kept, []
    first = next(each.path for each in pictures if not each.problem and is_output(each))
    more = f" and {len(pictures) - len(kept) - 1} more" if len(pictures) - len(kept) > 1 else ""
    return kept, [f"{first}{more}: left out, as made by earlier runs of other pictures; to take one, name it alone"]


def _in_folder_of_outputs(folder: Path, name: str) -> bool:
    """Return whether a picture lies in FOLDER/KIND, with FOLDER below `folder`. name: "FOLDER/KIND/cat"."""
    parents = name.split("/")[:-1]
    return any(
        kind in OUTPUTS and _has_log(folder / "/".join(parents[:index]))
        for index, kind in enumerate(parents)
        if index > 0
    )


@lru_cache(maxsize=256)
def _has_log(folder: Path) -> bool:
    return not isinstance(folder, Address) and is_file(folder / LOG)


def _in_few_bytes(path: Path) -> str:
    """Return what is the same for two paths of one file; a Path would take several times the memory."""
    return os.path.normcase(str(real(path)))
