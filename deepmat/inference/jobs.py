"""Jobs of a batch: pictures, each with its trimap or mask, paired by name."""

import fnmatch
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepmat import imaging
from deepmat.errors import DataError
from deepmat.imaging.fitting import Photo, read_photo, unused_alpha
from deepmat.inference.earlier import without_outputs
from deepmat.runtime.files import real
from deepmat.runtime.listing import InputFile, Place, list_input_files, place_of
from deepmat.runtime.pairing import pair_names
from deepmat.runtime.paths import is_file, is_folder, is_there
from deepmat.runtime.storage import Address
from deepmat.subject.seeking import Subject

FETCHED = 8
"""Pictures of a storage that are read before it is their turn."""


class Job:
    """A picture with its trimap or mask.

    A batch holds a million of them, so they keep their names, share the rest of their paths, and make these when asked.
    """

    __slots__ = ("_image", "_partner", "data", "name", "problem")

    def __init__(
        self,
        name: str,
        image: Path | Place,
        partner: Path | Place | None = None,
        problem: str | None = None,
        data: bytes | None = None,
    ) -> None:
        self.name = name
        """Path in the input folder, without extension."""
        self.problem = problem
        """Why the picture cannot be used."""
        self.data = data
        """The file, where it came through a pipe and `image` is but its name, or was read ahead of its turn."""
        self._image, self._partner = image, partner

    @property
    def image(self) -> Path:
        return self._image.path(self.name) if isinstance(self._image, Place) else self._image

    @property
    def partner(self) -> Path | None:
        """Trimap or mask; None for the picture's own alpha channel."""
        return self._partner.path(self.name) if isinstance(self._partner, Place) else self._partner

    def _replace(self, **changes: Any) -> "Job":
        same = {"name": self.name, "image": self._image, "partner": self._partner}
        return Job(**{**same, "problem": self.problem, "data": self.data, **changes})

    def _shown(self) -> tuple[object, ...]:
        return self.name, self.image, self.partner, self.problem, self.data

    def __reduce__(self) -> tuple[type["Job"], tuple[object, ...]]:
        return Job, (self.name, self._image, self._partner, self.problem, self.data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and self._shown() == other._shown()

    def __hash__(self) -> int:
        return hash(self._shown())

    def __repr__(self) -> str:
        return f"Job{self._shown()}"


class Read(NamedTuple):
    """The contents of a job: a picture with its trimap."""

    image: np.ndarray
    """uint8 RGB [H, W, 3]"""
    subject: Subject
    """The trimap, and where it comes from."""
    about: imaging.About | None
    """Profile and resolution, for files made from the picture."""
    notices: list[str]
    """On the picture and on the subject."""


SubjectOf = Callable[[Job, Photo, np.ndarray | None], Subject]
"""The subject of a picture, from its job, its photo and the photo's alpha channel, uint8 [H, W] or None.
`deepmat.inference.subjects` has all. Raises DataError where there is none."""


def find_jobs(
    inputs: Sequence[Path],
    partners: Path | None,
    what: str,
    outputs: Sequence[Path] = (),
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    *,
    beside: bool = False,
) -> tuple[list[Job], list[str]]:
    """Find pictures in files and folders, and pair each with the trimap or mask (`what`) of its name.

    partners: a folder, one file for one picture, or None for the pictures' own alpha channels. outputs: folders that
    hold no inputs, as does the folder of partners. include, exclude: shell patterns ("*.jpg", "shoes") for the name of
    a picture, of its file or of a folder that holds it. beside: outputs lie beside the pictures, not in one folder.
    Returns jobs and notices. Raises DataError if there are no pictures.
    """
    pictures, notices = list_input_files(inputs, [folder for folder in (partners, *outputs) if folder])
    pictures, left_out = without_outputs(pictures)
    if not pictures:
        raise DataError(left_out[0])
    notices += left_out
    # Pair before applying patterns, so that pairs do not depend on them.
    found, chosen = _partners([each for each in pictures if not each.problem], partners, what)
    pictures = [each for each in pictures if id(each) not in chosen]
    if include or exclude:
        pictures = [each for each in pictures if _wanted(each, include, exclude)]
    if not pictures:
        raise DataError(f"{', '.join(map(str, inputs))}: no picture matches --include and --exclude; check them")
    jobs: list[Job] = []
    first: dict[str, InputFile] = {}
    how = "rename one of them" if beside else "give them an --out of their own"
    for each in pictures:
        name, path = each.name, each.path
        partner = found.get(name)
        place = str(_here(path).with_suffix("")) if beside else name
        if place in first and _here(path) == _here(first[place].path):
            continue  # it is named twice
        if each.problem:
            jobs.append(Job(name, path, None, each.problem))
        elif place in first:
            problem = f"{path}: its outputs would overwrite those of {first[place].path}; {how}"
            jobs.append(Job(str(path), path, None, problem))
        elif lost := _lost(path):
            jobs.append(Job(name, path, None, lost))
        elif isinstance(partner, DataError):
            jobs.append(Job(name, path, None, str(partner)))
        else:
            jobs.append(Job(name, each.place, _partner_of(name, partner, partners)))
        first.setdefault(place, each)
    return jobs, notices


def _partner_of(name: str, partner: str | Path | None, folder: Path | None) -> Path | Place | None:
    """Return the partner of a picture. As a Place it shares the picture's name, which saves memory."""
    if not isinstance(partner, str) or folder is None:
        return None if isinstance(partner, str) else partner
    return place_of(folder, partner[len(name) :]) if partner.startswith(name) else folder / partner


def piped_job(data: bytes, mask: Path | None = None) -> Job:
    """Return the job of a picture file that came through a pipe, perhaps with a mask in a file of its own."""
    problem = None if data else "stdin: is empty; pipe a picture file in"
    return Job("stdin", Path("stdin"), mask, data=data, problem=problem)


def _lost(path: Path) -> str | None:
    """Return why a picture file cannot be opened; None if it can. A storage says that when the file is read."""
    if isinstance(path, Address):
        return None
    try:
        if is_file(path):
            return None
    except DataError as error:
        return str(error)
    if is_there(path):
        return f"{path}: a pipe or a device, no file; pipe the picture into deepmat cut -"
    return f"{path}: {'a broken link; mend or remove it' if path.is_symlink() else 'no such file; check the path'}"


def _wanted(given: InputFile, include: Sequence[str], exclude: Sequence[str]) -> bool:
    # What a closed folder holds is not known, so that only its own name can exclude it.
    names = (given.name,) if given.problem else (given.name + given.path.suffix, given.path.name)

    def match(patterns: Sequence[str]) -> bool:
        folders = [f"{pattern.rstrip('/')}/*" for pattern in patterns]
        deeper = [f"*/{folder}" for folder in folders]
        return any(fnmatch.fnmatch(each, pattern) for each in names for pattern in (*patterns, *folders, *deeper))

    return (not include or bool(given.problem) or match(include)) and not match(exclude)


def _partners(
    pictures: Sequence[InputFile], partners: Path | None, what: str
) -> tuple[dict[str, str | Path | DataError | None], set[int]]:
    """Return the partner of each name, and the ids of the pictures that are partners of others.

    Pictures and partners may lie in one folder: no picture is its own partner.
    """
    if partners is None:
        return {}, set()
    if is_folder(partners):
        inside = _inside(pictures, partners)
        own = {each.name: file for file, each in reversed(inside.items())}
        found = pair_names(list(dict.fromkeys(each.name for each in pictures)), partners, what, own)[0]
        chosen = {id(inside[file]) for file in found.values() if isinstance(file, str) and file in inside}
        return {**found}, chosen
    if not is_there(partners):
        raise DataError(f"{partners}: no such folder or file of {what}s; check the path")
    if len(pictures) > 1:
        raise DataError(f"{partners}: {len(pictures)} pictures need a folder of {what}s")
    return {pictures[0].name: partners}, set()


def _inside(pictures: Sequence[InputFile], folder: Path) -> dict[str, InputFile]:
    """Return the pictures that lie in a folder, by their paths in it ("sub/cat.png")."""
    base, found = real(folder), dict[str, InputFile]()
    within = {each: base in (real(each), *real(each).parents) for each in {each.path.parent for each in pictures}}
    for each in pictures:
        if within[each.path.parent]:
            found[_here(each.path).relative_to(base).as_posix()] = each
    return found


def _here(path: Path) -> Path:
    """Return the real path of the folder of a file, with the file's own name: a link lies where it is."""
    return real(path.parent) / path.name


def files_ahead(jobs: Sequence[Job]) -> Generator[Job, None, None]:
    """Yield the jobs in their order. Threads read the files of those in a storage before it is their turn."""
    if not any(isinstance(job.image, Address) for job in jobs):
        yield from jobs
        return
    pool, left = ThreadPoolExecutor(FETCHED), iter(jobs)
    try:
        waiting = deque(pool.submit(_with_data, job) for job in islice(left, FETCHED))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(_with_data, job) for job in islice(left, 1))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _with_data(job: Job) -> Job:
    """Return a job with the file of its picture, or with the reason why there is none."""
    if job.problem or not isinstance(job.image, Address):
        return job
    try:
        return job._replace(data=job.image.read_bytes())
    except DataError as error:
        return job._replace(problem=str(error))


def read_job(job: Job, subject_of: SubjectOf, max_pixels: int = imaging.MAX_PIXELS) -> Read:
    """Read the picture of a job, and get its trimap from `subject_of`. Raises DataError if either cannot be used."""
    source = job.image if job.data is None else job.data
    photo, own, about, notices = read_photo(source, max_pixels, str(job.image))
    if job.partner:
        notices += unused_alpha(own, job.image, job.partner)
    subject = subject_of(job, photo, own)
    return Read(photo.image, subject, about, notices + subject.notices)
