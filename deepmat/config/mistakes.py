"""Error messages for mistakes in a config, with the nearest valid key."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from deepmat.config.network import MODEL_CONFIGS, ModelSection
from deepmat.config.sections import Config
from deepmat.errors import ConfigError, did_you_mean

WORDS = {
    "greater_than": "give a number over {gt:g}",
    "greater_than_equal": "give {ge:g} or more",
    "less_than": "give a number under {lt:g}",
    "less_than_equal": "give {le:g} or less",
    "multiple_of": "give a multiple of {multiple_of:g}",
    "too_short": "give {min_length} values or more",
    "too_long": "give {max_length} values or fewer",
    "literal_error": "give {expected}",
    "finite_number": "give a finite number",
    "int": "give a whole number",
    "float": "give a number",
    "bool": "give true or false",
    "string_unicode": "give text that is UTF-8",
    "string": "give text; YAML takes anything in quotes as text",
    "list": "give a list, as in [1, 2]",
    "dict": "give a section of `key: value` lines",
    "model": "give a section of `key: value` lines",
    "path": "give a path",
}
"""Messages by pydantic's type of mistake, or by the first word of that type ("int" for "int_parsing")."""


def as_config_error(error: ValidationError, source: str) -> ConfigError:
    """Return the ConfigError that lists every mistake in a Config. source: where its values are from."""
    mistakes = explain(error.errors())
    head = f"{source}: {len(mistakes)} mistakes:\n  " if len(mistakes) > 1 else f"{source}: "
    return ConfigError(head + "\n  ".join(mistakes))


def explain(mistakes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a message for each of pydantic's mistakes (ValidationError.errors) in a Config."""
    messages = []
    for mistake in mistakes:
        if mistake["type"] == "model_options":  # config.network packs those of the model's section
            context = mistake["ctx"]
            messages += [
                _explain(each, [*mistake["loc"], *each["loc"]], context["arch"]) for each in context["mistakes"]
            ]
        else:
            messages.append(_explain(mistake, mistake["loc"]))
    return messages


def _explain(mistake: Mapping[str, Any], where: Sequence[Any], arch: str = "") -> str:
    """Return the message for a mistake. where: path of keys; arch: that of the model, for a mistake in its options."""
    location = [part for part in where if part != "[key]"]
    dotted = ".".join(str(part) for part in location)
    if mistake["type"] == "extra_forbidden":
        return f"{dotted}: unknown key{_suggest(location, arch)}"
    if mistake["type"] == "unknown_arch":
        name = mistake["ctx"]["arch"]
        near = did_you_mean(name, MODEL_CONFIGS) or ","
        return f"{dotted}.arch {name!r}: unknown{near} known: {', '.join(MODEL_CONFIGS)}"
    return f"{dotted}: {word(mistake)}" if dotted else word(mistake)


def word(mistake: Mapping[str, Any]) -> str:
    """Return what one of pydantic's mistakes asks for, and what it got: "give a number over 0 (got -1)"."""
    kind, message = mistake["type"], mistake["msg"]
    if kind == "value_error":  # of a validator of deepmat's
        return str(message.removeprefix("Value error, "))
    words = WORDS.get(kind) or WORDS.get(kind.partition("_")[0])
    asked = words.format(**mistake.get("ctx", {})) if words else message
    return f"{asked} (got {mistake['input']!r:.60})"


def _suggest(location: Sequence[Any], arch: str) -> str:
    """Name the nearest valid dotted key: one of the same section if possible, else the same name anywhere."""
    section: type[BaseModel] | None = MODEL_CONFIGS[arch] if arch else Config
    for part in location[bool(arch) : -1]:
        section = next(iter(_keys(section).get(part, [])), None) if section else None
    name, prefix = str(location[-1]), "".join(f"{part}." for part in location[:-1])
    if arch and (others := [other for other, options in MODEL_CONFIGS.items() if name in options.model_fields]):
        return f" of arch {arch}; {others[0]} has it"
    near = did_you_mean(name, _keys(section)) if section else ""
    if near:
        return near.replace("did you mean ", f"did you mean {prefix}")
    everywhere = {key.rsplit(".", 1)[-1]: key for key in _all_keys(Config)}
    near = did_you_mean(name, everywhere)
    found = near.removeprefix(", did you mean ").removesuffix("?")
    return near.replace(found, everywhere[found]) if near else f"; known here: {', '.join(_keys(section or Config))}"


def _keys(section: type[BaseModel]) -> dict[str, list[type[BaseModel]]]:
    """Return the keys of a section and the sections that each may hold."""
    return {name: _sections(field.annotation) for name, field in section.model_fields.items()}


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """Return the sections in the type of a key: none, one, or of `model` one for each network."""
    if annotation is ModelSection:
        return list(MODEL_CONFIGS.values())
    if within := get_args(annotation):
        return [section for each in within for section in _sections(each)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def _all_keys(section: type[BaseModel], prefix: str = "") -> list[str]:
    """Return the dotted keys of all plain values in a section."""
    keys = []
    for name, nested in _keys(section).items():
        keys += [key for each in nested for key in _all_keys(each, f"{prefix}{name}.")] or [prefix + name]
    return keys
