"""The config of a run: every default as a pydantic model; YAML files and the command line hold differences only.

A config is layered: defaults <- YAML files <- flags <- `--set key.sub=value`. All unknown keys and
wrong values are reported at once, each with the nearest valid key. Names in tables of other folders (losses, say) are
looked up where they are used: a config imports no torch. Paths are relative to the working directory.
"""

from deepmat.config.augment import AugmentConfig, Resize
from deepmat.config.fields import Section
from deepmat.config.loading import (
    build,
    dump,
    flags,
    layer,
    load,
    load_config,
    merge,
    parse_overrides,
    read_yaml,
    recipe,
    refuse_keys,
    refuse_unused,
)
from deepmat.config.network import (
    MODEL_CONFIGS,
    ClosedFormConfig,
    DIMConfig,
    LiteConfig,
    ModelConfig,
    ModelSection,
    VitMatteConfig,
    model_options,
)
from deepmat.config.sections import (
    Config,
    DataConfig,
    Large,
    OptimizerConfig,
    ScheduleConfig,
    SweepConfig,
    TestConfig,
    TrainConfig,
)

__all__ = [
    "MODEL_CONFIGS",
    "AugmentConfig",
    "Config",
    "ClosedFormConfig",
    "DIMConfig",
    "DataConfig",
    "Large",
    "LiteConfig",
    "ModelConfig",
    "ModelSection",
    "OptimizerConfig",
    "Resize",
    "ScheduleConfig",
    "Section",
    "SweepConfig",
    "TestConfig",
    "TrainConfig",
    "VitMatteConfig",
    "build",
    "dump",
    "flags",
    "layer",
    "load",
    "load_config",
    "merge",
    "model_options",
    "parse_overrides",
    "read_yaml",
    "recipe",
    "refuse_keys",
    "refuse_unused",
]
