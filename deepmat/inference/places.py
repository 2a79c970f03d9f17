"""Where the outputs of a batch go: a folder, beside the pictures, one file, or a stream."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from deepmat.errors import ConfigError
from deepmat.inference.jobs import Job
from deepmat.inference.outputs import OUTPUTS, Choice
from deepmat.runtime.files import AnyPath, as_path_or_none, refuse_file
from deepmat.runtime.formats import SUFFIXES
from deepmat.runtime.listing import is_picture
from deepmat.runtime.paths import is_folder
from deepmat.runtime.storage import Address, check_bucket


@dataclass(frozen=True)
class Places:
    """Where outputs go. All three are None: beside each picture, as NAME_KIND.ext."""

    folder: Path | None = None
    """For OUT/KIND/NAME.ext and the log."""
    file: Path | None = None
    """For the only output of the only picture."""
    stream: BinaryIO | None = None
    """For the only output of the only picture."""

    @property
    def beside(self) -> bool:
        """Whether outputs lie beside their pictures."""
        return self == Places()

    def place(self, job: Job, choice: Choice) -> Path:
        """Return the path of an output."""
        if self.file:
            return self.file
        if self.folder:
            return self.folder / choice.place(job.name)
        return job.image.with_name(f"{job.image.stem}_{choice.kind}{choice.suffix}")

    def apart(self) -> list[Path]:
        """Return the folders that hold no inputs."""
        return [self.folder, *(self.folder / kind for kind in OUTPUTS)] if self.folder else []

    def folders(self, jobs: Sequence[Job], choices: Sequence[Choice]) -> list[Path]:
        """Return folders that hold the outputs of the jobs, with all folders below them."""
        if self.folder:
            return [self.folder / choice.kind for choice in choices]
        parents = sorted({job.image.parent for job in jobs})
        return [each for each in parents if not any(other in each.parents for other in parents)]

    def check(self, jobs: Sequence[Job], choices: Sequence[Choice]) -> None:
        """Raise ConfigError if the jobs and outputs do not fit these places, or if a folder is closed to writing."""
        given = f"--out {self.file}" if self.file else "a pipe"
        for out in (self.folder, self.file):
            if isinstance(out, Address):
                check_bucket(out)
        if self.file or self.stream:
            if len(jobs) > 1:
                raise ConfigError(f"{given}: is for one picture, but {len(jobs)} are given; name a folder")
            if len(choices) > 1:
                raise ConfigError(f"{given}: takes one kind of --save; name a folder for {len(choices)}")
        elif not self.folder:
            for parent in {job.image.parent for job in jobs if not job.problem}:
                if not isinstance(parent, Address) and not os.access(parent, os.W_OK):
                    raise ConfigError(f"{parent}: may not be written to; say where cut-outs go, as --out cutouts")


def places_of(given: AnyPath | BinaryIO | None) -> Places:
    """Return the places that an argument names: a folder, a picture file, a binary stream, or None for beside.

    Raises ConfigError for a file that is no picture's.
    """
    if hasattr(given, "write"):
        return Places(stream=cast(BinaryIO, given))
    out = as_path_or_none(given, "out")
    if out is None:
        return Places()
    if is_folder(out):
        return Places(folder=out)
    if is_picture(out) or out.suffix.lower() == ".exr":
        return Places(file=out)
    if out.suffix.lower() in SUFFIXES:
        raise ConfigError(f"--out {out}: {out.suffix} is not written; name a .png, .webp or .jpg, or a folder")
    refuse_file("--out", out)
    return Places(folder=out)
