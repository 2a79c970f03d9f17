"""Pictures paired by name over several folders: composites to train on, test pictures to score."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from deepmat import imaging
from deepmat.config import DataConfig, TestConfig
from deepmat.errors import DataError
from deepmat.runtime.listing import is_picture, list_pictures
from deepmat.runtime.pairing import pair
from deepmat.runtime.paths import is_folder
from deepmat.runtime.storage import addressed

TRAINING_KINDS = ("image", "alpha", "fg", "bg")
TEST_KINDS = ("image", "trimap", "alpha")
HOW_TO_GET_DATA = (
    "give some with --data DIR (data show: DIR), foregrounds and backgrounds or composites of them; `deepmat synth "
    "DIR` makes a set procedurally, `--set data.synth=10000` trains on procedural scenes only"
)
HOW_TO_GET_TESTS = (
    "give a test set with --data DIR (train: --test DIR); `deepmat synth` and then `deepmat composite --split test` "
    "make one"
)

Paths = dict[str, Path]


def _folders(root: Path | None, split: str, kinds: Sequence[str], given: DataConfig | TestConfig) -> dict[str, Path]:
    """The folder of each kind of picture: the given one, else below root/split or, without that, below root."""
    root = addressed(root) if root else None
    base = root / split if root and is_folder(root / split) else root
    how = HOW_TO_GET_TESTS if split == "test" else HOW_TO_GET_DATA
    section = "test" if split == "test" else "data"
    folders: dict[str, Path] = {}
    for kind in kinds:
        own = getattr(given, kind)
        folder = addressed(own) if own else base / kind if base else None
        if folder is None:
            if folders or any(getattr(given, other) for other in kinds):
                raise DataError(f"no {kind} folder beside the others: give {section}.{kind} too (eval: --{kind}s)")
            raise DataError(f"no folder of {split} pictures: {how} (or set {section}.{kind})")
        if not is_folder(folder):
            advice = f"check {section}.{kind} (eval: --{kind}s)" if getattr(given, kind) else how
            raise DataError(f"{folder}: no such folder; {advice}")
        folders[kind] = folder
    return folders


def _paired(folders: dict[str, Path]) -> tuple[list[tuple[str, Paths | DataError]], list[str]]:
    """The name and the files of every image by kind, or the error of a missing partner; and notices."""
    images, notices = list_pictures(folders["image"])
    found: dict[str, dict[str, Path | DataError]] = {"image": dict(images)}
    for kind, folder in folders.items():
        if kind != "image":
            found[kind], more = pair(list(images), folder, kind)
            notices += more
    pictures: list[tuple[str, Paths | DataError]] = []
    for key in images:
        paths = {kind: partners[key] for kind, partners in found.items()}
        failed = next((path for path in paths.values() if isinstance(path, DataError)), None)
        whole = {kind: path for kind, path in paths.items() if isinstance(path, Path)}
        pictures.append((key, failed or whole))
    return pictures, notices


def refuse_failed(messages: Sequence[str]) -> None:
    """DataError that lists the first of the messages, if there are any."""
    if messages:
        more = [f"and {len(messages) - 5} more"] if len(messages) > 5 else []
        raise DataError("\n  ".join([*messages[:5], *more, "`deepmat doctor DATA` checks every picture"]))


def refuse_foreign(pictures: Iterable[Path]) -> None:
    """DataError that lists pictures of formats that cannot be read (`runtime.formats`), if there are any."""
    failed = []
    for path in pictures:
        if not is_picture(path):
            try:
                imaging.read_size(path)
            except DataError as error:
                failed.append(str(error))
    refuse_failed(failed)


def training_folders(data: DataConfig) -> tuple[list[tuple[str, Paths]], list[str]]:
    """The name and the four files of each training composite, sorted, and notices. DataError if a file is missing."""
    pictures, notices = _paired(_folders(data.root, "train", TRAINING_KINDS, data))
    refuse_failed([str(paths) for _, paths in pictures if isinstance(paths, DataError)])
    found = [(name, paths) for name, paths in pictures if not isinstance(paths, DataError)]
    refuse_foreign(path for _, paths in found for path in paths.values())
    return found, notices


def pictures_to_score(test: TestConfig, root: Path | None) -> tuple[list[tuple[str, Paths | DataError]], list[str]]:
    """The name and the three files of each test picture, sorted, or the error of a missing partner; and notices.

    test.root, or else `root`, is a test set itself (image/, trimap/, alpha/) or the folder above one named test.
    DataError if a folder is missing.
    """
    return _paired(_folders(test.root or root, "test", TEST_KINDS, test))
