"""The public names of deepmat. Each is imported from its module when first used."""

from .checks.doctor import doctor
from .config import Config, load_config
from .data.composite import composite, preview_composites
from .data.show import show_samples
from .errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DeepmatError,
    DeepmatWarning,
    DeviceError,
    NoSubject,
    TooLarge,
    TrainingError,
)
from .imaging import read_image, write_image
from .imaging.foreground import estimate_foreground
from .imaging.trimap import read_trimap
from .inference.cutting import cut
from .inference.evaluation import evaluate
from .inference.exporting import export
from .inference.folders import cut_out
from .inference.photos import cut_photos
from .inference.predict import predict
from .inference.sweeping import sweep
from .models import build_model, for_prediction, load_model
from .models.dim.vgg import convert_vgg
from .models.weights import import_weights, info
from .report.runs import list_runs
from .runtime.work import Work
from .subject.trimaps import make_trimaps
from .synth.dataset import synthesise
from .synth.sheet import draw_synth_sheet
from .training.publishing import push
from .training.train import train

__version__: str

__all__ = [
    "CheckpointError",
    "Config",
    "ConfigError",
    "DataError",
    "DeepmatError",
    "DeepmatWarning",
    "DeviceError",
    "NoSubject",
    "TooLarge",
    "TrainingError",
    "Work",
    "__version__",
    "build_model",
    "composite",
    "convert_vgg",
    "cut",
    "cut_out",
    "cut_photos",
    "doctor",
    "draw_synth_sheet",
    "estimate_foreground",
    "evaluate",
    "export",
    "for_prediction",
    "import_weights",
    "info",
    "list_runs",
    "load_config",
    "load_model",
    "make_trimaps",
    "predict",
    "preview_composites",
    "push",
    "read_image",
    "read_trimap",
    "show_samples",
    "sweep",
    "synthesise",
    "train",
    "write_image",
]
