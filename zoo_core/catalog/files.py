"""Registry files: TOML that names variants of families, and presets of recipes.

```toml
[backbone.sdxl-td4_4]              # [KIND.NAME]
family = "sdxl"                    # the family that builds it
channels = 320                     # hyperparameters of the family
transformer_depth = [0, 4, 4]
summary = "..."                    # reserved: one line for listings
reference = {params_b = 1.32}      # reserved: published figures, never used in computing
preset.paper = {vae = {name = "sd2-vae"}}   # reserved: recipe values this variant brings, by preset

[preset.laptop]                    # a recipe to start from
extends = "other"                  # reserved: another preset to start from
```
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from zoo_core.errors import ConfigError, did_you_mean
from zoo_core.interfaces.manifest import KINDS
from zoo_core.schema import key_line, load_toml

RESERVED = ("family", "summary", "reference", "preset")


class Variant(msgspec.Struct, frozen=True):
    """A named set of hyperparameters of a family, and where it is written down."""

    kind: str
    name: str
    family: str
    settings: dict[str, Any]
    provider: str
    file: Path
    summary: str = ""
    reference: dict[str, Any] = {}
    preset: dict[str, dict[str, Any]] = {}

    @property
    def line(self) -> int | None:
        """The line of its table's header in `file`, from 1."""
        return key_line(self.file, f"{self.kind}.{self.name}")

    @property
    def origin(self) -> str:
        """``file:line`` of the definition."""
        line = self.line
        return f"{self.file}:{line}" if line else str(self.file)


class Preset(msgspec.Struct, frozen=True):
    """A recipe to start from, not yet resolved."""

    name: str
    values: dict[str, Any]
    provider: str
    file: Path
    summary: str = ""
    extends: str | None = None

    @property
    def origin(self) -> str:
        """``file:line`` of the definition."""
        line = key_line(self.file, f"preset.{self.name}")
        return f"{self.file}:{line}" if line else str(self.file)


def read_registry(path: Path, provider: str) -> tuple[list[Variant], list[Preset]]:
    """All variants and presets of one file. Raises `ConfigError` with file and line."""
    table = load_toml(path)
    variants: list[Variant] = []
    presets: list[Preset] = []
    for kind, entries in table.items():
        if kind not in (*KINDS, "preset"):
            hint = (
                did_you_mean(kind, (*KINDS, "preset"))
                or f"Expected one of {', '.join(KINDS)}, preset."
            )
            raise ConfigError(f"{_at(path, kind)}: unknown table '[{kind}]'. {hint}")
        if not isinstance(entries, dict):
            raise ConfigError(
                f"{_at(path, kind)}: '{kind}' must hold tables such as [{kind}.my-name]."
            )
        for name, entry in entries.items():
            if not isinstance(entry, dict):
                where = _at(path, f"{kind}.{name}")
                raise ConfigError(f"{where}: '{kind}.{name}' must be a table, not {entry!r}.")
            if ":" in name or not name.strip():
                where = _at(path, f"{kind}.{name}")
                raise ConfigError(f"{where}: the name '{name}' must not be empty or contain ':'.")
            if kind == "preset":
                presets.append(_preset(name, entry, provider, path))
            else:
                variants.append(_variant(kind, name, entry, provider, path))
    return variants, presets


def _variant(kind: str, name: str, entry: dict[str, Any], provider: str, path: Path) -> Variant:
    family = entry.get("family")
    if not isinstance(family, str):
        where = _at(path, f"{kind}.{name}")
        raise ConfigError(
            f"{where}: '{kind}.{name}' needs family = \"...\", the family that builds it."
        )
    for key, expected in (("summary", str), ("reference", dict), ("preset", dict)):
        if not isinstance(entry.get(key, expected()), expected):
            word = "text" if expected is str else "a table"
            where = _at(path, f"{kind}.{name}.{key}")
            raise ConfigError(f"{where}: '{kind}.{name}.{key}' must be {word}.")
    return Variant(
        kind=kind,
        name=name,
        family=family,
        settings={key: value for key, value in entry.items() if key not in RESERVED},
        provider=provider,
        file=path,
        summary=entry.get("summary", ""),
        reference=entry.get("reference", {}),
        preset=entry.get("preset", {}),
    )


def _preset(name: str, entry: dict[str, Any], provider: str, path: Path) -> Preset:
    values = dict(entry)
    summary = values.pop("summary", "")
    extends = values.pop("extends", None)
    if not isinstance(summary, str) or not isinstance(extends, str | None):
        where = _at(path, f"preset.{name}")
        raise ConfigError(f"{where}: 'summary' and 'extends' of preset '{name}' must be text.")
    return Preset(name, values, provider, path, summary, extends)


def _at(path: Path, dotted: str) -> str:
    line = key_line(path, dotted)
    return f"{path}:{line}" if line else str(path)
