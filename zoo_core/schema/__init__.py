"""Typed settings: what a TOML table may contain, and clear words when it does not fit."""

from zoo_core.schema.config import (
    Config,
    Field,
    convert,
    describe,
    field_names,
    flatten,
    to_dict,
)
from zoo_core.schema.toml import key_line, load_toml

__all__ = [
    "Config",
    "Field",
    "convert",
    "describe",
    "field_names",
    "flatten",
    "key_line",
    "load_toml",
    "to_dict",
]
