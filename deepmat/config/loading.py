"""A config from its layers: YAML files, flags, overrides; and back to YAML."""

import os
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from deepmat.config.mistakes import as_config_error
from deepmat.config.sections import Config
from deepmat.errors import ConfigError, as_texts


def load_config(
    path: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None = None,
    *,
    flags: Mapping[str, Any] | None = None,
    overrides: str | Iterable[str] = (),
) -> Config:
    """Load a config: defaults <- YAML files in order <- flags <- overrides ("train.lr=3e-5", or several).

    Raises ConfigError with all mistakes at once, as `Config`.
    """
    try:
        paths = [Path(each) for each in ([path] if isinstance(path, (str, os.PathLike)) else path or ())]
    except TypeError as error:
        raise ConfigError(f"path: {path!r:.60} is no path; give a str or a pathlib.Path, or several") from error
    values: dict[str, Any] = {}
    for each in paths:
        values = merge(values, read_yaml(each))
    flags = flags or {}
    dotted = parse_overrides(as_texts(overrides, "overrides"))
    sources = [str(each) for each in paths]
    if flags or dotted or not sources:
        sources.append("command line")
    return build(merge(merge(values, flags), dotted), " and ".join(sources))


load = load_config  # config.load


def build(values: Mapping[str, Any], source: str) -> Config:
    """Validate merged values. source: where they are from, for the ConfigError that lists every mistake."""
    try:
        return Config(**{str(key): value for key, value in values.items()})
    except ConfigError as error:  # of Config itself, which does not know the source
        if isinstance(error.__cause__, ValidationError):
            raise as_config_error(error.__cause__, source) from error
        raise


def dump(config: Config) -> str:
    """Return the whole config as YAML that `load` reads back."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge `over` into `base`, section by section. Raises ConfigError where a section would replace a plain value."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if not isinstance(value, Mapping) or below is None:
            merged[key] = value
        elif isinstance(below, Mapping):
            merged[key] = merge(below, value)
        else:
            raise ConfigError(f"{key}: holds {below!r} where a section of `key: value` lines belongs")
    return merged


def _nested(dotted: str, value: Any) -> dict[str, Any]:
    """Return {"train": {"lr": value}} for "train.lr"."""
    for part in reversed(dotted.split(".")):
        value = {part: value}
    return value


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses a key that a mapping has twice: PyYAML takes the last silently. Dates are text."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                continue
            if key.value in lines:
                problem = f"{key.value}: a second time, after line {lines[key.value]}; make them one"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            lines[key.value] = key.start_mark.line + 1
        return node


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _load(text: str) -> Any:
    """The value of a YAML text. Raises yaml.YAMLError."""
    try:
        return yaml.load(text, _Loader)  # a safe one
    except RecursionError as error:
        raise yaml.MarkedYAMLError(problem="nested too deeply") from error
    except ValueError as error:  # of PyYAML's constructors: !!int abc
        raise yaml.MarkedYAMLError(problem=str(error)) from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file. Raises ConfigError if it holds none, or a key twice."""
    try:
        values = _load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise ConfigError(f"{path}: not valid YAML: {where}{problem or error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds no `key: value` lines")
    return values


def parse_overrides(assignments: str | Iterable[str]) -> dict[str, Any]:
    """Convert ["train.lr=3e-5"] to {"train": {"lr": "3e-5"}}; values are YAML. Raises ConfigError on another form."""
    values: dict[str, Any] = {}
    for assignment in as_texts(assignments, "settings"):
        dotted, equals, text = assignment.partition("=")
        if not equals or not dotted:
            raise ConfigError(f"--set {assignment}: write it as key=value, say train.lr=3e-5")
        try:
            value = _load(text)
        except yaml.YAMLError as error:
            problem = getattr(error, "problem", None)
            why = f": {problem}" if problem else ""
            raise ConfigError(f"--set {assignment}: the value is not valid YAML{why}") from error
        values = merge(values, _nested(dotted, value))
    return values


def flags(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert flags to a config layer: {"train.lr": 3e-5, "train.seed": None} to {"train": {"lr": 3e-5}}."""
    layer: dict[str, Any] = {}
    for dotted, value in values.items():
        if value is not None:
            layer = merge(layer, _nested(dotted, value))
    return layer


def recipe(name: str) -> Path:
    """Return the path of a YAML file that deepmat ships, configs/NAME.yaml. Raises ConfigError for an unknown name."""
    packaged = Path(str(resources.files("deepmat"))) / "configs"
    folder = packaged if packaged.is_dir() else packaged.parents[1] / "configs"
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml")))
        raise ConfigError(f"{name}: deepmat ships no such recipe; known: {known}")
    return path


def layer(kind: str, name: str | None) -> list[Path]:
    """Return the file that --recipe or --augment names: configs/KIND/NAME.yaml, or a YAML file; none for None."""
    if name is None:
        return []
    return [Path(name) if Path(name).suffix in (".yaml", ".yml") else recipe(f"{kind}/{name}")]


def refuse_unused(given: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Raise ConfigError for a flag that was given and that the chosen mode does not take."""
    for flag, value in given.items():
        if value is not None and flag.removeprefix("--").replace("-", "_") not in options:
            raise ConfigError(f"{flag}: mode {options['mode']} does not use it; leave it out")


def refuse_keys(overrides: str | Iterable[str], sections: tuple[str, ...]) -> None:
    """Raise ConfigError for an override ("train.lr=1") whose section is not used."""
    for override in as_texts(overrides, "settings"):
        if not override.startswith(tuple(f"{section}." for section in sections)):
            raise ConfigError(
                f"--set {override}: only {', '.join(sections)} keys count here; weights say their own model"
            )
