"""deepmat: build matting data sets, train, score and cut out.

    import deepmat
    model = deepmat.load_model()  # the one that deepmat ships; load_model("best.safetensors") is your own
    alpha = deepmat.predict(model, image, trimap)

The names below are loaded when first used, so that importing deepmat costs nothing.
"""

import os
from importlib import import_module
from typing import Any

# Read by torch when it first allocates: large pages, without which page faults cost a tenth of the network's time.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

__version__ = "0.1.0"

PUBLIC = {
    "Config": "deepmat.config",
    "DeepmatError": "deepmat.errors",
    "build_model": "deepmat.models",
    "composite": "deepmat.data.compositing",
    "convert_vgg": "deepmat.models.dim.vgg",
    "cut_out": "deepmat.inference.folders",
    "info": "deepmat.models.weights",
    "estimate_foreground": "deepmat.imaging.foreground",
    "evaluate": "deepmat.training.validation",
    "find_jobs": "deepmat.inference.folders",
    "for_prediction": "deepmat.models",
    "import_weights": "deepmat.models.weights",
    "load_config": "deepmat.config:load",
    "load_model": "deepmat.models",
    "pictures_to_score": "deepmat.data.pairs",
    "plan_adobe": "deepmat.data.compositing",
    "plan_folders": "deepmat.data.compositing",
    "predict": "deepmat.inference.predict",
    "read_image": "deepmat.imaging",
    "read_trimap": "deepmat.imaging.trimap",
    "score_pictures": "deepmat.scoring.pictures",
    "synthesise": "deepmat.synth.dataset",
    "train": "deepmat.training.loop",
    "write_image": "deepmat.imaging",
}

__all__ = ["__version__", *PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'deepmat' has no attribute {name!r}")
    module, _, attribute = PUBLIC[name].partition(":")
    return getattr(import_module(module), attribute or name)


def __dir__() -> list[str]:
    return sorted(__all__)
