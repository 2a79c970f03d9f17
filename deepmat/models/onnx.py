"""A network in an ONNX file that `deepmat export` wrote, run by onnxruntime behind the contract of networks."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from deepmat.errors import CheckpointError, TooLarge
from deepmat.imaging.closed_form import correct
from deepmat.models.session import EVERYWHERE, NO_MEMORY, SMALLER, Correction, Window, stretch
from deepmat.runtime.onnx import PROVIDERS, first_line, open_session, runtime
from deepmat.runtime.paths import is_file

ALONE = "an ONNX file sees each part of a picture alone; --mode whole, or more --memory, is more exact"
INPUTS = ["image", "trimap"]


class OnnxSession:
    """See deepmat.inference.predictor.Session. The graph pads what it is shown."""

    def __init__(self, network: "OnnxNetwork", image: np.ndarray, trimap: np.ndarray) -> None:
        self.network, self.image, self.trimap = network, image, trimap
        self.notices: list[str] = []

    def part(self, window: Window | None, size: tuple[int, int] | None = None) -> np.ndarray:
        """See Session.part. Where a part is known, also a stretched one, alpha is its trimap's."""
        inside = window or np.s_[:, :]
        image, trimap = self.image[inside], self.trimap[inside]
        if trimap.shape != self.trimap.shape and self.network.reach == EVERYWHERE and not self.notices:
            self.notices.append(ALONE)
        if size is None:
            return self.network.run(image, trimap, 0)
        small = stretch(trimap, size)
        small[(small != 0) & (small != 255)] = 128
        return stretch(self.network.run(stretch(image, size), small, 0), (trimap.shape[0], trimap.shape[1]))

    def finish(self, alpha: np.ndarray) -> np.ndarray:
        """See Session.finish: nothing is left to do."""
        return alpha


class OnnxNetwork(nn.Module):
    """See deepmat.inference.predictor.Predictor. It has nothing to train.

    source: an ONNX file or its bytes; label: its name in messages. On the GPU where onnxruntime's build has CUDA and
    `device` is one. Raises CheckpointError for a file that `deepmat export` did not write, ConfigError where
    onnxruntime is missing.
    """

    first_look: Correction | None = None

    def __init__(self, source: Path | bytes, label: str, device: torch.device | None = None) -> None:
        super().__init__()
        onnxruntime = runtime("exported networks", "export")
        gpu = device is not None and device.type == "cuda"
        try:
            self.session = open_session(onnxruntime, source, torch.get_num_threads(), gpu)
        except Exception as error:  # onnxruntime's have no base class of their own
            raise CheckpointError(
                f"{label}: onnxruntime cannot load it ({first_line(error)}); write it again with `deepmat export`"
            ) from error
        self.about: dict[str, str] = dict(self.session.get_modelmeta().custom_metadata_map)
        self.label = label
        try:
            contract = {key: int(value) for key, value in json.loads(self.about["contract"]).items()}
            self.name = f"{self.about['network']} as an ONNX graph"
            self.stride, self.reach = contract["stride"], contract["reach"]
            self.bytes_a_pixel, self.enlarge_up_to = contract["bytes_a_pixel"], contract["enlarge_up_to"]
            self.shrink_from = contract.get("shrink_from", 0)  # files of earlier releases have none
            self.correction: Correction | None = correct if contract["corrected"] else None
            ours = [each.name for each in self.session.get_inputs()] == INPUTS
        except (KeyError, ValueError, AttributeError, TypeError):
            ours = False
        if not ours:
            raise CheckpointError(
                f"{label}: an ONNX file of another kind; `deepmat export` writes such as predict"
                " (a segmentation network is named by `deepmat cut --finder FILE`)"
            )

    @property
    def device(self) -> torch.device:
        return torch.device("cuda" if PROVIDERS[0] in self.session.get_providers() else "cpu")

    def begin(self, image: np.ndarray, trimap: np.ndarray) -> OnnxSession:
        """See deepmat.inference.predictor.Predictor.begin."""
        return OnnxSession(self, image, trimap)

    def run(self, image: np.ndarray, trimap: np.ndarray, enlarge_up_to: int | None = None) -> np.ndarray:
        """Alpha, float32 [H, W], of uint8 RGB [H, W, 3] and trimap [H, W]; enlarge_up_to: None for the file's own.

        Raises TooLarge where the memory does not suffice, CheckpointError where the graph cannot be run.
        """
        given = {"image": np.ascontiguousarray(image), "trimap": np.ascontiguousarray(trimap)}
        if enlarge_up_to is not None:
            given["enlarge_up_to"] = np.array([enlarge_up_to], np.int64)
        try:
            alpha: np.ndarray = self.session.run(["alpha"], given)[0]
        except Exception as error:
            height, width = trimap.shape
            if any(sign in str(error) for sign in (*NO_MEMORY, "bad_alloc", "bad allocation")):
                raise TooLarge(f"{width}x{height} pixels at once are too many for the memory; {SMALLER}") from error
            raise CheckpointError(
                f"{self.label}: onnxruntime cannot run it ({first_line(error)}); write it again with `deepmat export`"
            ) from error
        return alpha


def is_onnx(path: Path) -> bool:
    """Whether a path is that of an ONNX file, by its name."""
    return path.suffix == ".onnx" and is_file(path)
