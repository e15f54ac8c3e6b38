"""Settings as typed structures, converted from plain tables with every complaint made readable."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar, get_type_hints

import msgspec

from zoo_core.errors import ConfigError, did_you_mean

T = TypeVar("T")


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every typed table: families' hyperparameters and the recipe's sections.

    Fields are annotated with their type, range and description, for example
    ``channels: Annotated[int, Meta(ge=8, description="Width of the first level")] = 320``.
    Instances are immutable; ``msgspec.structs.replace(config, channels=512)`` makes a changed copy.
    """


class Field(msgspec.Struct, frozen=True):
    """One documented setting: its name, type in words, default (None when required) and meaning."""

    name: str
    type: str
    default: Any
    required: bool
    description: str


def convert(table: dict[str, Any], into: type[T], where: str | Callable[[], str]) -> T:
    """The table as a typed `into`.

    into: a `Config` type. where: opens every complaint: a file, a variant or a section; a function is
    called only when there is one. Raises `ConfigError` naming the key, what was given, what was
    expected, and the nearest valid key for a misspelled one.
    """
    try:
        converted = msgspec.convert(table, into, strict=True)
        # A nested structure that is no Config would drop unknown keys silently.
        if any(isinstance(value, dict) for value in table.values()):
            _refuse_unknown_keys(table, into, where, "")
        return converted
    except msgspec.ValidationError as error:
        _refuse_unknown_keys(table, into, where, "")
        if isinstance(error.__cause__, ConfigError):  # raised by the type's own checks
            key, complaint = error.__cause__.key, str(error.__cause__)
        else:
            key, complaint = _explain(str(error), table)
        raise ConfigError(f"{_words(where)}: {complaint}", key=key) from None


def _words(where: str | Callable[[], str]) -> str:
    return where if isinstance(where, str) else where()


def _refuse_unknown_keys(
    table: dict[str, Any], into: Any, where: str | Callable[[], str], prefix: str
) -> None:
    if not (isinstance(into, type) and issubclass(into, msgspec.Struct)):
        return
    known = _field_types(into)
    for key, value in table.items():
        if key not in known:
            hint = did_you_mean(key, known)
            listed = "" if hint else f"Known keys: {', '.join(sorted(known))}."
            raise ConfigError(
                f"{_words(where)}: unknown key '{prefix}{key}'. {hint}{listed}", f"{prefix}{key}"
            )
        if isinstance(value, dict):
            _refuse_unknown_keys(value, known[key], where, f"{prefix}{key}.")


@lru_cache(maxsize=256)  # evaluating annotations is slow, and a catalogue converts by the dozen
def _field_types(config: type[msgspec.Struct]) -> dict[str, Any]:
    hints = get_type_hints(config)
    return {field.encode_name: hints[field.name] for field in msgspec.structs.fields(config)}


def _explain(message: str, table: dict[str, Any]) -> tuple[str | None, str]:
    """The dotted key of msgspec's message, and its words with the given value added."""
    match = re.search(r" - at `\$\.?(.*?)`$", message)
    if match is None:
        missing = re.search(r"missing required field `(.+)`", message)
        return None, f"the required key '{missing[1]}' is missing" if missing else message
    path, complaint = match[1], message[: match.start()]
    value: Any = table
    for part in re.findall(r"[^.\[\]]+", path):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit():
            value = value[int(part)]
        else:
            return path, f"key '{path}': {complaint}"
    complaint = complaint[0].lower() + complaint[1:]
    words = {
        "`int`": "an integer",
        "`str`": "a string",
        "`float`": "a number",
        "`bool`": "a boolean",
    }
    for name, word in {**words, "`array`": "a list", "`object`": "a table"}.items():
        complaint = complaint.replace(name, word)
    return path, f"key '{path}' is {value!r}: {complaint}"


def to_dict(config: msgspec.Struct) -> dict[str, Any]:
    """The structure as plain tables, lists and scalars (None values left out, as TOML has none)."""
    return _without_none(msgspec.to_builtins(config))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):  # TOML has one kind, and a recipe must equal its file
        return [_without_none(item) for item in value]
    return value


def flatten(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one level of dotted keys: ``{"a": {"b": 1}}`` becomes ``{"a.b": 1}``."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def field_names(config: type[msgspec.Struct]) -> tuple[str, ...]:
    """The keys a configuration type knows, in the order of definition."""
    return config.__struct_encode_fields__


def describe(config: type[msgspec.Struct]) -> list[Field]:
    """The documented fields of a configuration type, in the order of definition."""
    hints = get_type_hints(config, include_extras=True)
    types = _field_types(config)
    rows = []
    for field in msgspec.structs.fields(config):
        meta = [
            m for m in getattr(hints[field.name], "__metadata__", ()) if hasattr(m, "description")
        ]
        default = None if field.default is msgspec.NODEFAULT else field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        rows.append(
            Field(
                name=field.encode_name,
                type=_type_in_words(types[field.encode_name]),
                default=default,
                required=field.required,
                description=next((m.description for m in meta if m.description), ""),
            )
        )
    return rows


def _type_in_words(annotation: Any) -> str:
    text = getattr(annotation, "__name__", None) if isinstance(annotation, type) else None
    if text is None or "[" in str(annotation):
        text = str(annotation).replace("typing.", "")
    return text
