"""Training samples and test pictures from folders.

A Sample is a dict of uint8 tensors of one height and width, the same for offline composites and any later source:

| key            | shape     | values                                  |
|----------------|-----------|-----------------------------------------|
| image, fg, bg  | [3, H, W] | RGB, 0 ... 255                          |
| alpha          | [1, H, W] | 0 ... 255                               |
| trimap         | [1, H, W] | 0 background, 128 unknown, 255 foreground |
| name           | str       | the picture's key in its folder         |

A sample is a function of (seed, epoch, index) alone, so that any number of workers and any resume give the same data.
"""

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from deepmat import imaging, trimap
from deepmat.config import DataConfig, TestConfig, TrimapConfig
from deepmat.errors import DataError
from deepmat.files import list_pictures, pair
from deepmat.processes import GROUP_SIGNALS, deaf_children

TRAINING_KINDS = ("image", "alpha", "fg", "bg")
TEST_KINDS = ("image", "trimap", "alpha")
HOW_TO_GET_DATA = (
    "give a data set with --data DIR; `deepmat synth` and then `deepmat composite` make one, or `deepmat composite` "
    "from your own foregrounds and backgrounds"
)

Paths = dict[str, Path]


def _folders(root: Path | None, split: str, kinds: Sequence[str], given: DataConfig | TestConfig) -> dict[str, Path]:
    """Where each kind of picture lies: the folder that was given, else below root/split or, without that, root."""
    base = root / split if root and (root / split).is_dir() else root
    folders: dict[str, Path] = {}
    for kind in kinds:
        folder = getattr(given, kind) or (base / kind if base else None)
        if folder is None:
            section = "test" if split == "test" else "data"
            if folders or any(getattr(given, other) for other in kinds):
                raise DataError(f"no {kind} folder beside the others: give {section}.{kind} too (eval: --{kind}s)")
            raise DataError(f"no folder of {split} pictures: {HOW_TO_GET_DATA} (or set {section}.{kind})")
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; {HOW_TO_GET_DATA}")
        folders[kind] = folder
    return folders


def _paired(folders: dict[str, Path]) -> tuple[list[tuple[str, Paths | DataError]], list[str]]:
    """Name and one file of each kind (or why there is none) for every image, and the folders' notices."""
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


def training_pictures(data: DataConfig) -> tuple[list[tuple[str, Paths]], list[str]]:
    """Name and the four files of each training composite, sorted, and notices. DataError if anything is missing."""
    pictures, notices = _paired(_folders(data.root, "train", TRAINING_KINDS, data))
    failed = [str(paths) for _, paths in pictures if isinstance(paths, DataError)]
    if failed:
        more = [f"and {len(failed) - 5} more"] if len(failed) > 5 else []
        raise DataError("\n  ".join(failed[:5] + more))
    return [(name, paths) for name, paths in pictures if not isinstance(paths, DataError)], notices


def pictures_to_score(test: TestConfig, root: Path | None) -> tuple[list[tuple[str, Paths | DataError]], list[str]]:
    """Name and the three files of each test picture, sorted, and notices; a DataError where a partner is missing.

    `root` is a test set itself (image/, trimap/, alpha/) or the folder above one named test. DataError if a folder is
    missing.
    """
    return _paired(_folders(root, "test", TEST_KINDS, test))


def _read_sample(name: str, paths: Paths) -> dict[str, np.ndarray]:
    """The four pictures of one composite, uint8, of one size. DataError if one cannot be used."""
    sample = {
        kind: imaging.read_grey(path) if kind == "alpha" else imaging.read_image(path) for kind, path in paths.items()
    }
    for kind, pixels in sample.items():
        imaging.check_same_size(paths[kind], pixels, paths["image"], sample["image"])
    alpha = sample["alpha"]
    if alpha.min() == alpha.max():
        raise DataError(
            f"{paths['alpha']}: alpha is {alpha.flat[0]} everywhere, so there is no edge to learn from; remove {name}"
        )
    return sample


def _crop_centre(alpha: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """A random pixel (row, column) of fractional alpha or, where alpha is all 0 and 255, beside an edge of it."""
    candidates = np.flatnonzero((alpha > 0) & (alpha < 255))
    if not candidates.size:
        square = np.ones((3, 3), np.uint8)
        candidates = np.flatnonzero(cv2.dilate(alpha, square) != cv2.erode(alpha, square))
    row, column = divmod(int(candidates[rng.integers(candidates.size)]), alpha.shape[1])
    return row, column


def crop_around_unknown(sample: dict[str, np.ndarray], size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A size x size window of every picture, centred on a pixel of fractional alpha as far as the border allows.

    Pictures with a side under `size` are enlarged first.
    """
    height, width = sample["alpha"].shape
    ratio = size / min(height, width)
    if ratio > 1:
        enlarged = (max(size, round(width * ratio)), max(size, round(height * ratio)))
        sample = {kind: cv2.resize(pixels, enlarged, interpolation=cv2.INTER_LINEAR) for kind, pixels in sample.items()}
        width, height = enlarged
    row, column = _crop_centre(sample["alpha"], rng)
    top = min(max(row - size // 2, 0), height - size)
    left = min(max(column - size // 2, 0), width - size)
    return {kind: pixels[top : top + size, left : left + size] for kind, pixels in sample.items()}


def random_trimap(alpha: np.ndarray, config: TrimapConfig, rng: np.random.Generator) -> np.ndarray:
    """A training trimap, uint8 [H, W], with kernel size and iterations drawn from the config's ranges."""
    kernel_size = int(rng.integers(config.kernel[0], config.kernel[1] + 1))
    iterations = int(rng.integers(config.iterations[0], config.iterations[1] + 1))
    return trimap.from_alpha(alpha, kernel_size, iterations)


def _tensor(pixels: np.ndarray) -> Tensor:
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(planes))


class TrainingSet(Dataset[Any]):
    """Samples by (epoch, index). A picture that cannot be used gives its DataError in place of a sample."""

    def __init__(self, pictures: Sequence[tuple[str, Paths]], config: DataConfig, seed: int) -> None:
        self.pictures, self.config, self.seed = pictures, config, seed

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, at: tuple[int, int]) -> dict[str, Any] | DataError:
        epoch, index = at
        name, paths = self.pictures[index]
        rng = np.random.default_rng([self.seed, epoch, index])
        try:
            sample = _read_sample(name, paths)
        except DataError as error:
            return error
        sample = crop_around_unknown(sample, int(rng.choice(self.config.crop_sizes)), rng)
        if rng.random() < self.config.flip:
            sample = {kind: pixels[:, ::-1] for kind, pixels in sample.items()}
        height, width = self.config.input_size
        sample = {
            kind: cv2.resize(np.ascontiguousarray(pixels), (width, height), interpolation=cv2.INTER_LINEAR)
            for kind, pixels in sample.items()
        }
        sample["trimap"] = random_trimap(sample["alpha"], self.config.trimap, rng)
        return {"name": name, **{kind: _tensor(pixels) for kind, pixels in sample.items()}}


def collate(samples: list[Any]) -> dict[str, Any] | DataError:
    """A batch of samples, or the first error among them (an exception raised in a worker would lose its message)."""
    failed = next((sample for sample in samples if isinstance(sample, DataError)), None)
    return failed or default_collate(samples)


def batch_order(count: int, batch_size: int, seed: int, start: int, stop: int) -> Iterator[list[tuple[int, int]]]:
    """The (epoch, index) pairs of the batches of steps start ... stop - 1; every epoch is a new permutation."""
    steps_per_epoch = -(-count // batch_size)
    epoch, order = -1, np.empty(0, np.int64)
    for step in range(start, stop):
        if step // steps_per_epoch != epoch:
            epoch = step // steps_per_epoch
            order = np.random.default_rng([seed, epoch]).permutation(count)
        first = step % steps_per_epoch * batch_size
        yield [(epoch, int(index)) for index in order[first : first + batch_size]]


def _start_worker(_: int) -> None:
    for number in GROUP_SIGNALS:  # torch's workers set handlers of their own
        signal.signal(number, signal.SIG_IGN)
    # Samples are made in parallel already.
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def training_batches(
    pictures: Sequence[tuple[str, Paths]],
    config: DataConfig,
    *,
    batch_size: int,
    seed: int,
    start: int,
    stop: int,
    workers: int,
) -> Iterator[Any]:
    """Batches of Samples for the steps start ... stop - 1, each the same on any number of workers."""
    loader = DataLoader(
        TrainingSet(pictures, config, seed),
        batch_sampler=batch_order(len(pictures), batch_size, seed, start, stop),
        collate_fn=collate,
        num_workers=workers,
        # A forked child hangs in the locks of OpenCV's and torch's threads.
        multiprocessing_context="spawn" if workers else None,
        # Its own, so that starting again draws nothing from the run's random numbers.
        generator=torch.Generator(),
        worker_init_fn=_start_worker,
    )
    with deaf_children():
        return iter(loader)
