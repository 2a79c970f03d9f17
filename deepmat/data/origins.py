"""Origins of training samples. An origin opens the layers of a sample (deepmat.data.augment) by index.

Origins are plain data, so that they can be sent to worker processes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from deepmat import imaging, synth
from deepmat.config import DataConfig
from deepmat.data.augment import Layers, background, edge_points
from deepmat.data.cache import open_picture
from deepmat.data.compositing import MANIFEST, Entry, asked_once, changed_source, fitted, read_manifest
from deepmat.data.layouts import Foreground, background_folder, find_foregrounds, layout_of, read_foreground
from deepmat.data.pairs import HOW_TO_GET_DATA, Paths, refuse_failed, refuse_foreign, training_folders
from deepmat.errors import DataError
from deepmat.runtime.addresses import local_only
from deepmat.runtime.files import existing
from deepmat.runtime.listing import find_pictures
from deepmat.runtime.paths import is_file, is_folder
from deepmat.runtime.storage import addressed

_is_unchanged = asked_once()


class Origin(Protocol):
    """A numbered set of layers to make samples of."""

    @property
    def foregrounds(self) -> Sequence[Foreground]:
        """Pictures to keep in the cache."""
        ...

    @property
    def backgrounds(self) -> Sequence[Path]:
        """Pictures to keep in the cache, if backgrounds are kept."""
        ...

    def __len__(self) -> int:
        """Number of samples in an epoch."""
        ...

    def open(self, index: int, rng: np.random.Generator) -> tuple[str, Layers]:
        """Name and layers of a sample. DataError if a picture cannot be used."""
        ...


class KeptScene(NamedTuple):
    """A background in the cache, at full size; of a large JPEG, decoding at reduced size differs by a few levels."""

    pixels: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.pixels.shape[:2]
        return height, width

    def read(self, least: tuple[int, int]) -> np.ndarray:
        return self.pixels


class Pairs:
    """Foregrounds over backgrounds, paired anew for each sample; without backgrounds, over procedural ones."""

    def __init__(
        self,
        foregrounds: Sequence[Foreground],
        backgrounds: Sequence[Path],
        per_foreground: int,
        cache: Path | None,
        cache_backgrounds: bool,
    ) -> None:
        self.foregrounds, self.backgrounds = foregrounds, backgrounds
        self.per_foreground, self.cache = per_foreground, cache
        self.background_cache = cache if cache_backgrounds else None

    def __len__(self) -> int:
        return len(self.foregrounds) * self.per_foreground

    def open(self, index: int, rng: np.random.Generator) -> tuple[str, Layers]:
        foreground = self.foregrounds[index // self.per_foreground]
        rgba, points = open_picture(foreground, self.cache)
        layers: Layers = {"rgba": rgba, "points": points}
        if not self.backgrounds:
            seed = int(rng.integers(2**62))
            layers["draw"] = lambda height, width: synth.background(np.random.default_rng(seed), height, width)
            return foreground.name, layers
        path = self.backgrounds[int(rng.integers(len(self.backgrounds)))]
        kept = self.background_cache
        layers["scene"] = KeptScene(open_picture(path, kept)[0]) if kept else imaging.Unread(path)
        return f"{foreground.name} over {path.stem}", layers


class Composites:
    """Composites with a manifest: the image is read from its file, foreground and background from their sources."""

    backgrounds: Sequence[Path] = ()

    def __init__(self, folder: Path, entries: Sequence[Entry], cache: Path | None) -> None:
        self.folder, self.entries, self.cache = folder, entries, cache

    @property
    def foregrounds(self) -> list[Foreground]:
        return list(dict.fromkeys(map(_foreground_of, self.entries)))

    def __len__(self) -> int:
        return len(self.entries)

    def open(self, index: int, rng: np.random.Generator) -> tuple[str, Layers]:
        entry, path = self.entries[index], self.folder / self.entries[index]["image"]
        changed = changed_source(entry, _is_unchanged)
        if changed:
            raise DataError(
                f"{path}: {changed} is missing or has changed since; run the same `deepmat composite` again"
            )
        image = imaging.read_image(path)
        rgba, points = open_picture(_foreground_of(entry), self.cache)
        bg = fitted(entry, *rgba.shape[:2])
        imaging.check_same_size(path, image, addressed(entry["fg"]), rgba)
        return entry["name"], {"rgba": rgba, "points": points, "image": image, "bg": bg}


def _foreground_of(entry: Entry) -> Foreground:
    fg, alpha = addressed(entry["fg"]), addressed(entry["alpha"]) if entry["alpha"] else None
    return Foreground(fg.stem, fg, alpha)


class Folders:
    """Composites with alpha, foreground and background in files of the same size."""

    foregrounds: Sequence[Foreground] = ()
    backgrounds: Sequence[Path] = ()

    def __init__(self, pictures: Sequence[tuple[str, Paths]]) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def open(self, index: int, rng: np.random.Generator) -> tuple[str, Layers]:
        name, paths = self.pictures[index]
        fg, alpha = read_foreground(paths["fg"], paths["alpha"])
        others = {kind: imaging.read_image(paths[kind]) for kind in ("image", "bg")}
        for kind, pixels in others.items():
            imaging.check_same_size(paths[kind], pixels, paths["alpha"], alpha)
        return name, {"rgba": np.dstack((fg, alpha)), "points": edge_points(alpha), **others}


class Photos:
    """Random parts of photographs, flipped at random, each at a random size between its own and the whole's."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __call__(self, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
        scene = imaging.Unread(self.paths[int(rng.integers(len(self.paths)))])
        layers: Layers = {"alpha": np.empty((height, width), np.uint8), "scene": scene}
        picture: np.ndarray = background(layers, rng, fit="window")["bg"]
        return np.ascontiguousarray(picture[:, ::-1]) if rng.random() < 0.5 else picture


class Procedural:
    """Procedural scenes, drawn at the size of the sample; a new one for every sample of every epoch.

    photos: photographs for backgrounds and textures.
    """

    foregrounds: Sequence[Foreground] = ()
    backgrounds: Sequence[Path] = ()

    def __init__(self, count: int, photos: Sequence[Path] = ()) -> None:
        self.count, self.photo = count, Photos(photos) if photos else None

    def __len__(self) -> int:
        return self.count

    def open(self, index: int, rng: np.random.Generator) -> tuple[str, Layers]:
        def paint(height: int, width: int) -> Layers:
            drawn = synth.scene(rng, height, width, photo=self.photo)
            return dict(zip(("fg", "alpha", "bg"), drawn, strict=True))

        return f"scene {index}", {"paint": paint}


def find_origins(data: DataConfig) -> tuple[list[Origin], list[str]]:
    """The origins of a run's training samples, and notices. DataError if there are none or a partner is missing."""
    data = _with_addresses(data)
    origins: list[Origin] = []
    notices: list[str] = []
    if data.root or data.fg or data.image:
        origin, notices = _of_files(data)
        origins.append(origin)
    if data.synth:
        photos, notices_on_photos = find_pictures(data.photos) if data.photos else ([], [])
        origins.append(Procedural(data.synth, photos))
        notices += notices_on_photos
    if not origins:
        raise DataError(f"no training data: {HOW_TO_GET_DATA}")
    return origins, notices


def _with_addresses(data: DataConfig) -> DataConfig:
    """The section with its folders as addresses where they are some. ConfigError for a cache that is no local one."""
    if data.cache:
        local_only(data.cache, "data.cache")
    kinds = ("root", "fg", "alpha", "bg", "image", "photos")
    return data.model_copy(update={kind: addressed(path) for kind in kinds if (path := getattr(data, kind))})


def _of_files(data: DataConfig) -> tuple[Origin, list[str]]:
    if not data.image and (data.fg or (data.root and layout_of(data.root) != "composites")):
        return _pairs(data)
    base = data.root / "train" if data.root and is_folder(data.root / "train") else data.root
    if base and not data.image and is_file(base / MANIFEST) and not is_folder(base / "fg"):
        entries = read_manifest(base / MANIFEST)
        if not entries:
            raise DataError(f"{base / MANIFEST}: lists nothing; run `deepmat composite` again")
        exists = existing([base / "image"], len(entries))
        missing = [base / entry["image"] for entry in entries if not exists(base / entry["image"])]
        refuse_failed([f"{path}: no such file; run the same `deepmat composite` again" for path in missing])
        return Composites(base, entries, data.cache), []
    pictures, notices = training_folders(data)
    return Folders(pictures), notices


def _pairs(data: DataConfig) -> tuple[Origin, list[str]]:
    root = data.fg or data.root
    assert root
    foregrounds, notices = find_foregrounds(root, data.alpha)
    folder = data.bg or background_folder(data.root)
    backgrounds: list[Path] = []
    if folder:
        backgrounds, more = find_pictures(folder)
        notices += more
    else:
        notices.append(f"{root}: no backgrounds beside it (bg/, or --bg DIR), so procedural ones are drawn")
    refuse_foreign([*(path for each in foregrounds for path in (each.fg, each.alpha) if path), *backgrounds])
    return Pairs(foregrounds, backgrounds, data.per_foreground, data.cache, data.cache_backgrounds), notices
