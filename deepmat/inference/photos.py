"""Cut subjects out of photos without trimaps: files or folders in, cut-outs out."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from deepmat.errors import ConfigError, DataError, as_texts
from deepmat.inference import watching
from deepmat.inference.background import background_text
from deepmat.inference.batch import (
    CutOuts,
    Files,
    Run,
    pixels_of,
    prepare_batch,
    prepare_files,
    prepare_settings,
    refuse_input_files,
)
from deepmat.inference.jobs import Job, find_jobs, piped_job
from deepmat.inference.opening import Opening
from deepmat.inference.outputs import OUTPUTS, SHORT, parse_outputs
from deepmat.inference.pipeline import Picture
from deepmat.inference.places import Places, places_of
from deepmat.inference.subjects import by_finder
from deepmat.runtime import distributed
from deepmat.runtime.fetching import Progress
from deepmat.runtime.files import AnyPath, as_path, as_path_or_none
from deepmat.runtime.paths import is_file, is_folder
from deepmat.runtime.sharing import Engine, parse_engine, refuse_storage
from deepmat.runtime.storage import Address
from deepmat.subject.finders.choice import settings_for
from deepmat.subject.finders.prompts import LACKING
from deepmat.subject.prompting import Box, Points, prompts_of
from deepmat.subject.seeking import Seeker, as_finder, check_finder, prepare

Input = AnyPath | bytes
"""A picture, a folder of pictures, or the bytes of a picture file."""
FINDER_SETTING = "finder."
"""What settings of finders begin with, among those of the config."""


def cut_photos(
    inputs: Input | Iterable[Input],
    out: AnyPath | BinaryIO | None = None,
    *,
    box: Box | str | None = None,
    points: Points = (),
    not_points: Points = (),
    finder: str | None = None,
    masks: AnyPath | None = None,
    weights: AnyPath | None = None,
    save: str | Sequence[str] = "cutout",
    background: AnyPath | None = None,
    colours: str = "estimated",
    crop: str | float | None = None,
    square: bool = False,
    skip_existing: bool = False,
    watch: bool = False,
    include: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    mode: str | None = None,
    max_size: int | None = None,
    fit: str | None = None,
    precision: str = "auto",
    memory: float | None = None,
    max_megapixels: int = 500,
    device: str = "auto",
    assume: Mapping[str, Any] | None = None,
    settings: str | Sequence[str] = (),
    progress: Progress | None = None,
    engine: str = "processes",
) -> CutOuts:
    """Find the subjects of photos and cut them out: what `deepmat cut` does.

    inputs: pictures, folders of them with all their subfolders, or the bytes of one picture file. out: a folder, for
    OUT/KIND/NAME.ext and OUT/log.jsonl; a picture file or a binary stream, for the one output of one picture; or None,
    for NAME_KIND.ext beside each picture. box (left, top, right, bottom), points and not_points (x, y), in pixels of
    the upright photo: where the subject of one photo is, and where it is not. finder: a name of `subject.finders`, or
    an ONNX file; None chooses. masks: a folder of rough masks, paired by name, or one file. watch: go on as pictures
    arrive in the folders, until the iteration is closed. settings: config keys, and "finder.side=1024" and the like for
    an ONNX file (`subject.finders.settings`). progress: called with the bytes that are there and that are to come while
    a network is fetched. engine: as for `cut_out`, as are the others.

    Raises ConfigError, DataError, CheckpointError, DeviceError before any work. Iterating yields a record for each
    picture; one that fails has "error". The processes of a launcher share the pictures (`runtime.distributed`); each
    has to iterate to the end.
    """
    given = _given(inputs)
    masks = as_path_or_none(masks, "masks")
    background = background_text(background)
    of_finder, others = _parted(as_texts(settings, "settings"))
    options = prepare_settings(mode, max_size, fit, memory, others)
    finder = as_finder(finder)
    seeker = Seeker(prompts_of(box, points, not_points), finder, None, progress)
    places, runs_on = places_of(out), parse_engine(engine)
    refuse_storage(runs_on, given if places.beside else [places.folder, places.file])
    _check_finder(seeker, masks, of_finder)
    _check(given, seeker, masks, places, watch)
    _check_engine(runs_on, watch, places)
    seeker = seeker._replace(settings=settings_for(finder, of_finder))
    pixels = pixels_of(max_megapixels)
    files = prepare_files(
        by_finder(seeker, pixels),
        places,
        save=_of_format(save, places),
        background=background,
        colours=colours,
        crop=crop,
        square=square,
        max_pixels=pixels,
    )
    search = _Search(given, masks, files, as_texts(include, "include"), as_texts(exclude, "exclude"), background)
    jobs, notices = search.find(watch)
    _check_prompted(seeker, jobs)
    opening = Opening(weights, distributed.device_name(device), precision, assume)

    def steps(run: Run, todo: Sequence[Job]) -> Iterator[Picture]:
        return _steps(run, jobs, todo, search, seeker, watch)

    return prepare_batch(jobs, notices, files, options, opening, runs_on, skip_existing, steps)


@dataclass(frozen=True)
class _Search:
    """Where pictures are looked for."""

    given: Sequence[Path | bytes]
    masks: Path | None
    files: Files
    include: Sequence[str]
    exclude: Sequence[str]
    background: str | None

    def find(self, may_be_empty: bool = False) -> tuple[list[Job], list[str]]:
        """Return the jobs and notices. Raises DataError if there are no pictures, unless that may be."""
        piped = [each for each in self.given if isinstance(each, bytes)]
        if piped:
            jobs = [piped_job(piped[0], self.masks)]
            self.files.places.check(jobs, self.files.choices)
            return jobs, []
        paths = [each for each in self.given if isinstance(each, Path)]
        try:
            jobs, notices = find_jobs(
                paths,
                self.masks,
                "mask",
                self.files.places.apart(),
                self.include,
                self.exclude,
                beside=self.files.places.beside,
            )
        except DataError:
            if may_be_empty and all(is_folder(path) for path in paths):
                return [], []
            raise
        self.files.places.check(jobs, self.files.choices)
        refuse_input_files(jobs, self.files, self.background)
        return jobs, notices


def _given(inputs: Input | Iterable[Input]) -> list[Path | bytes]:
    many = isinstance(inputs, Iterable) and not isinstance(inputs, (str, bytes, os.PathLike))
    each = list(inputs) if many else [inputs]  # type: ignore[arg-type]
    return [one if isinstance(one, bytes) else as_path(one, "inputs") for one in each]


def _parted(settings: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the settings of the finder, without what they begin with, and those of the config."""
    of_finder = [each.removeprefix(FINDER_SETTING) for each in settings if each.startswith(FINDER_SETTING)]
    return of_finder, [each for each in settings if not each.startswith(FINDER_SETTING)]


def _check_finder(seeker: Seeker, masks: Path | None, settings: Sequence[str]) -> None:
    check_finder(seeker.finder)
    if masks and seeker.finder:
        raise ConfigError("--masks: show the subjects themselves; leave out --finder")
    if masks and settings:
        raise ConfigError(
            f"--set {FINDER_SETTING}{settings[0]}: no finder is used beside --masks; leave one of them out"
        )
    if seeker.finder == "prompts" and not (seeker.prompts.box or seeker.prompts.points):
        raise ConfigError(LACKING)


def _check(given: Sequence[Path | bytes], seeker: Seeker, masks: Path | None, places: Places, watched: bool) -> None:
    if any(isinstance(each, bytes) for each in given) and len(given) > 1:
        raise ConfigError("-: a picture from a pipe is the only one; name other pictures in another command")
    if any(isinstance(each, bytes) for each in given) and masks and not is_file(masks):
        how = "name the file of its one mask" if is_folder(masks) else "no such file; check the path"
        raise ConfigError(f"--masks {masks}: {how}")
    if any(isinstance(each, bytes) for each in given) and places.beside:
        raise ConfigError("out: give a file, a folder or a stream for the cut-out of a picture given as bytes")
    if not watched:
        return
    for each in (*given, masks):
        if isinstance(each, Address):
            raise ConfigError(
                f"--watch: {each} lies in a storage; watch a local folder, or repeat with --skip-existing"
            )
    for each in given:
        if isinstance(each, bytes) or not is_folder(each):
            name = "a pipe" if isinstance(each, bytes) else each
            raise ConfigError(f"--watch: {name} is no folder; name the folder in which pictures arrive")
    if not places.folder:
        raise ConfigError("--watch: needs a folder for the cut-outs; add --out FOLDER")
    if any(seeker.prompts):
        raise ConfigError("--watch: takes no --box, --point or --not-point, which are for one picture")
    if masks and not is_folder(masks):
        raise ConfigError(f"--masks {masks}: is no folder; --watch needs one, to which masks of the same names come")
    watching.check()
    if distributed.world() > 1:
        raise ConfigError("--watch: is for one process; start deepmat without a launcher")


def _check_engine(engine: Engine, watched: bool, places: Places) -> None:
    if engine.is_cluster and (watched or places.stream):
        what = "--watch" if watched else "pipe"
        raise ConfigError(f"--engine {engine.name}: takes no {what}; leave one of the two out")


def _check_prompted(seeker: Seeker, jobs: Sequence[Job]) -> None:
    if any(seeker.prompts) and len(jobs) > 1:
        raise ConfigError(
            f"--box, --point, --not-point: are for one picture, but {len(jobs)} are given; cut the pictures one by one"
        )


def _of_format(save: str | Sequence[str], places: Places) -> str | Sequence[str]:
    """Return the kinds of outputs, the only one in the format of the file that was named for it."""
    if not places.file:
        return save
    kinds, suffix = parse_outputs(save), places.file.suffix.lower()
    if len(kinds) > 1:
        return save
    kind, suffix = kinds[0].kind, SHORT.get(suffix, suffix)
    if suffix not in OUTPUTS[kind].suffixes:
        others = ", ".join(name for name, output in OUTPUTS.items() if suffix in output.suffixes)
        more = f"; with --save, it can be {others}" if others else ""
        raise ConfigError(f"--out {places.file}: {kind} can be {' or '.join(OUTPUTS[kind].suffixes)}{more}")
    return kind + suffix


def _steps(
    run: Run,
    jobs: Sequence[Job],
    todo: Sequence[Job],
    search: _Search,
    seeker: Seeker,
    watched: bool,
) -> Iterator[Picture]:
    if todo or watched:
        prepare(seeker)
    yield from run(todo)
    if watched:
        folders = [each for each in search.given if isinstance(each, Path)]
        for arrived in watching.watch(folders, jobs, lambda: search.find(True)[0]):
            yield from run(arrived)
