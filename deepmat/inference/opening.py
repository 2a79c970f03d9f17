"""Open a network for prediction: find its weights, choose device and precision, make it fast."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from torch import nn

from deepmat.inference.predictor import Predictor
from deepmat.models import (
    SHIPPED,
    describe_model,
    find_weights,
    folders,
    for_prediction,
    label_of,
    load_model,
    precisions,
)
from deepmat.runtime.devices import describe_device, lacking_for_int8, pick_device, pick_precision
from deepmat.runtime.files import AnyPath
from deepmat.runtime.processes import bound_kernel_caches
from deepmat.runtime.sharing import Engine

SHIPPED_IS = {
    "lite": "deepmat's own (trained on procedural pictures and free photographs)",
    "closed-form": "classical matting of 2008, not trained",
}
"""What is said of shipped weights, by name."""


def _terms(path: Path) -> str:
    """What the model card of weights of transformers says of their use."""
    return "".join(f", {kind} {said}" for kind, said in folders.terms(path).items())


class Opened(NamedTuple):
    """A network that is ready to predict."""

    network: nn.Module
    path: Path
    """The weights file."""
    label: str
    """What the weights are called in messages: the name of shipped weights, else the path."""
    precision: str
    """"fp32", "bf16" or "int8"."""
    about: str
    """Weights, network, device and precision in one line."""


class Opening(NamedTuple):
    """The arguments of `open_network`, to open the network in another process too."""

    weights: AnyPath | None = None
    device: str = "auto"
    precision: str = "auto"
    assume: Mapping[str, Any] | None = None

    @property
    def gpu(self) -> bool:
        """Whether the network may run on a GPU."""
        return self.device != "cpu"

    def open(self) -> Opened:
        """Open the network. Raises the errors of `open_network`."""
        return open_network(self.weights, device=self.device, precision=self.precision, assume=self.assume)


def opener(opening: Opening, opened: Opened, engine: Engine) -> Callable[[], Opened]:
    """Return what opens the network in the processes of an engine: each on its device, all in the same precision.

    opened: the network in this process, which does the work itself unless there is a cluster.
    """
    if engine.is_cluster:
        return opening._replace(precision=opened.precision).open
    return lambda: opened


def open_network(
    weights: AnyPath | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    assume: Mapping[str, Any] | None = None,
) -> Opened:
    """The network in a weights file, on its device and in its precision; lite where no weights are given.

    weights: as `models.find_weights` takes them; device and precision: names, as `runtime.devices` takes them; assume:
    as for `models.load_model`. Raises CheckpointError, DeviceError, ConfigError.
    """
    bound_kernel_caches()
    path, chosen = find_weights(weights, predicts=True), pick_device(device)
    used = pick_precision(precision, chosen)
    model = load_model(path, device=chosen, assume=assume)
    if precision == "auto" and used not in precisions(model):
        used = pick_precision("fp32", chosen)
    faster = precision == "auto" and "int8" in precisions(model) and not lacking_for_int8(chosen)
    hint = " (--precision int8 is faster)" if faster else ""
    label = label_of(path)
    own = f", {SHIPPED_IS[label]}" if path in SHIPPED.values() else _terms(path)
    device_of = cast(Predictor, model).device  # an ONNX file's is what onnxruntime has
    about = f"{label}{own}: {describe_model(model)} on {describe_device(device_of)}, {used}{hint}"
    return Opened(for_prediction(model, used), path, label, used, about)
