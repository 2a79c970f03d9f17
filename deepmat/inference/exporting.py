"""Export a network: write it as an ONNX file, and compare that with the network."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, cast

import numpy as np
from torch import nn

from deepmat.errors import CheckpointError, ConfigError, lookup
from deepmat.imaging import trimap as trimaps
from deepmat.inference.modes import pixels_that_fit
from deepmat.inference.predict import predict_seen
from deepmat.models import find_weights, for_prediction, label_of, load_model
from deepmat.models.checkpoint import load_weights
from deepmat.models.exporting import GRAPHS, PRECISIONS, check_exportable, to_onnx
from deepmat.models.onnx import OnnxNetwork
from deepmat.models.weights import licence_of, sha256
from deepmat.runtime.files import AnyPath, as_path, real, write_bytes
from deepmat.runtime.work import Work
from deepmat.synth import scene

SIZES = ((5, 9), (301, 223), (900, 320), (1024, 1024), (2048, 2048))
"""Heights and widths at which a file is compared with its network: tiny, odd, tall, and both sides of the size up to
which lite sees pictures at twice their size."""


class Limit(NamedTuple):
    """Differences of alpha up to which a file is written."""

    largest: float
    """But for the share of pixels that is GRAPHS' "moved"."""
    mean: float
    """Over a whole picture."""


LIMITS = {"fp32": Limit(1e-3, 1e-3), "fp16": Limit(0.05, 1e-3), "int8": Limit(0.5, 1 / 255)}
"""By precision. fp32: equal. fp16: near. int8: no pixel changes sides, and on average a level of an 8-bit alpha."""


class Compared(TypedDict):
    """An exported file beside its network on one picture."""

    name: str
    """Width and height, "9x5"."""
    largest: float | None
    """Difference of alpha; None where the memory did not suffice to compare."""
    ordinary: float | None
    """The largest one but for the share of pixels that is GRAPHS' "moved"; this is what is judged."""
    mean: float | None
    notices: list[str]


@dataclass(frozen=True, kw_only=True)
class Export(Work[Compared]):
    """A network to be exported. Iterating compares the file at each of SIZES, then writes it.

    Raises CheckpointError, and writes nothing, if alpha differs by more than LIMITS allows.
    """

    model: nn.Module
    path: Path
    said: Mapping[str, str]
    """What the file says of itself."""
    precision: str

    def __iter__(self) -> Iterator[Compared]:
        data, limit = to_onnx(self.model, self.said, self.precision), LIMITS[self.precision]
        graph, network = OnnxNetwork(data, str(self.path)), for_prediction(self.model)
        for number, (height, width) in enumerate(SIZES):
            compared = compare(graph, network, height, width, number)
            differences = {"largest": compared["ordinary"], "mean": compared["mean"]}
            for (kind, found), most in zip(differences.items(), limit, strict=True):
                if found is not None and not found <= most:  # NaN too
                    how = "update onnx, onnxscript and onnxruntime" if self.precision == "fp32" else "use fp32"
                    raise CheckpointError(
                        f"{self.path}: not written: its alpha differs from the network's by {found:.2g}"
                        f" ({kind} difference) at {compared['name']}, more than {most:.2g}; {how}"
                    )
            yield compared
        write_bytes(self.path, data)


def export(
    weights: AnyPath | None = None,
    out: AnyPath = "lite.onnx",
    *,
    precision: str = "fp32",
    assume: Mapping[str, Any] | None = None,
) -> Export:
    """Write a network as an ONNX file for any picture size; lite where no weights are given.

    The file takes a picture and a trimap, uint8, and gives the alpha of mode `whole` at full size (docs/export.md).
    weights, assume: as for `load_model`. out: ends in .onnx; a file there is replaced. precision: one of
    models.exporting.PRECISIONS. Returns the job; iterating over it yields how far the file and the network, which
    computes in float32, differ at each of five sizes, and then writes the file.

    Raises ConfigError for a network that cannot be exported, an unknown precision or where a package is missing,
    CheckpointError for broken weights.
    """
    lookup(PRECISIONS, precision, "precision")
    path, place = find_weights(weights, predicts=True), as_path(out, "out")
    if place.suffix != ".onnx":
        raise ConfigError(f"{place}: graphs are written as ONNX; give a name that ends in .onnx")
    if real(place) == real(path):
        raise ConfigError(f"{place}: would overwrite the file that is read; choose another name")
    if path.suffix == ".onnx":
        load_weights(path)  # says what it is
    model = load_model(path, assume=assume)
    check_exportable(model)
    label = label_of(path)
    source = path.name if label == str(path) else label  # folders of this machine are nobody else's business
    said = {"source": source, "source_sha256": sha256(path), "licence": licence_of(load_weights(path))}
    return Export(
        total=len(SIZES),
        model=model,
        path=place,
        said=said,
        precision=precision,
        about=f"{place}: {label}, ONNX, {precision}",
    )


def compare(graph: OnnxNetwork, network: nn.Module, height: int, width: int, seed: int) -> Compared:
    """Compare the alphas of a graph and of its network on a procedural picture of that size.

    One that the memory does not suffice for is left out, with a notice.
    """
    name = f"{width}x{height}"
    seen = height * width * (4 if max(height, width) <= graph.enlarge_up_to else 1)
    if seen > pixels_that_fit(graph, None, height * width):
        need = seen * graph.bytes_a_pixel / 1e9
        notices = [f"{name} not compared: it takes {need:.1f} GB"]
        return Compared(name=name, largest=None, ordinary=None, mean=None, notices=notices)
    image, trimap = picture(height, width, seed)
    expected, _ = predict_seen(network, image, trimap, mode="whole", correct=False, max_size=max(height, width))
    difference = np.abs(graph.run(image, trimap) - expected)
    ordinary = but_for(difference, GRAPHS[cast(Any, network).config.arch]["moved"])
    largest, mean = float(difference.max()), float(difference.mean())
    return Compared(name=name, largest=largest, ordinary=ordinary, mean=mean, notices=[])


def but_for(differences: np.ndarray, share: float) -> float:
    """The largest of some numbers after the largest `share` of them is left out; how many that is is rounded down."""
    kept = differences.size - int(share * differences.size)
    return float(np.partition(differences, kept - 1, axis=None)[kept - 1]) if share else float(differences.max())


def picture(height: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A procedural picture, uint8 RGB [H, W, 3], and its trimap, uint8 [H, W], in which something is unknown."""
    sides = max(height, 32), max(width, 32)  # the least that can be drawn
    foreground, alpha, background = (each[:height, :width] for each in scene(np.random.default_rng(seed), *sides))
    share = alpha[..., None] / np.float32(255)
    image = np.rint(foreground * share + background * (1 - share)).astype(np.uint8)
    band = max(2, min(height, width) // 40)
    trimap = trimaps.by_distance(np.ascontiguousarray(alpha), band, band)
    trimap[height // 2 :, width // 2] = trimaps.UNKNOWN
    return image, trimap
