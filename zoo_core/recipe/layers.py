"""Layers of a recipe: preset, variant, user file, ``--set``; later ones win, key by key."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_core.errors import ConfigError
from zoo_core.schema import flatten, key_line

#: Tables that hold a component: a ``name`` and settings that only make sense for that name.
SLOTS = {
    "backbone": "backbone",
    "vae": "vae",
    "text_encoder": "text-encoder",
    "dataset": "dataset",
    "prompts": "prompts",
    "trainer": "trainer",
}

#: Kinds of which a recipe may name several, with the section and key that name them. Settings of each
#: stand in ``[KIND.NAME]``.
LISTS = {"metric": ("evaluation", "metrics"), "logger": ("logging", "loggers")}


@dataclass(frozen=True)
class Layer:
    """Values and where they come from. `file` and `prefix` locate the line of each key, if in a file."""

    label: str
    values: dict[str, Any]
    file: Path | None = None
    prefix: str = ""

    def origin(self, dotted: str) -> str:
        """``label (file:line)`` of one key."""
        if self.file is None:
            return self.label
        line = key_line(self.file, f"{self.prefix}{dotted}")
        return (
            f"{self.label} ({self.file.name}:{line})"
            if line
            else f"{self.label} ({self.file.name})"
        )


def merge(layers: Sequence[Layer]) -> tuple[dict[str, Any], dict[str, str]]:
    """The merged table, and for every dotted key the origin of its value.

    Tables merge key by key, lists are replaced whole. A layer that gives a component slot another
    ``name`` drops the settings that earlier layers gave to the old one.
    """
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        for slot in SLOTS:
            table: Any = layer.values.get(slot)
            named = isinstance(table, dict) and "name" in table and slot in merged
            if named and merged[slot].get("name") != table["name"]:
                merged[slot] = {}
                origins = {k: o for k, o in origins.items() if not k.startswith(f"{slot}.")}
        _overlay(merged, layer.values, layer)
        for dotted in flatten(layer.values):
            origins[dotted] = layer.origin(dotted)
    return merged, origins


def _overlay(into: dict[str, Any], values: dict[str, Any], layer: Layer, prefix: str = "") -> None:
    for key, value in values.items():
        old = into.get(key)
        dotted = f"{prefix}{key}"
        if isinstance(value, dict):
            if old is not None and not isinstance(old, dict):
                raise ConfigError(
                    f"{layer.origin(dotted)}: '{dotted}' is {old!r} elsewhere, not a table.", dotted
                )
            into[key] = old if old is not None else {}
            _overlay(into[key], value, layer, f"{dotted}.")
        elif isinstance(old, dict):
            raise ConfigError(
                f"{layer.origin(dotted)}: '{dotted}' is a table; set one of its keys, for example "
                f"{dotted}.{next(iter(old), 'name')}.",
                dotted,
            )
        else:
            into[key] = copy.deepcopy(value)


def parse_assignment(text: str) -> dict[str, Any]:
    """``a.b=value`` as nested tables; the value is read as TOML, else taken as text.

    Raises `ConfigError` when there is no ``=`` or the key is empty.
    """
    dotted, equals, raw = text.partition("=")
    parts = [part.strip() for part in dotted.split(".")]
    if not equals or not all(parts):
        raise ConfigError(
            f"--set {text}: expected KEY=VALUE, for example --set training.steps=500."
        )
    raw = raw.strip()
    try:
        table = tomllib.loads(f"value = {raw}")
    except tomllib.TOMLDecodeError:
        table = {}
    # Text with line breaks could be more than one key; then it is text.
    value: Any = table["value"] if set(table) == {"value"} else raw
    for part in reversed(parts):
        value = {part: value}
    return value
