"""Complaints about a recipe's values, each beginning with where the value came from."""

from __future__ import annotations

from typing import Any

from zoo_core.errors import ConfigError
from zoo_core.schema import Config, convert


def typed(
    values: Any, into: type[Config], name: str, origins: dict[str, str], whole: str | None = None
) -> Config:
    """The table `name` as its type; `whole` is the origin of a complaint about no key in particular."""
    if not isinstance(values, dict):
        raise ConfigError(
            f"{origin_of(origins, name)}: '{name}' must be a table, not {values!r}.", name
        )
    try:
        return convert(values, into, name)
    except ConfigError as error:
        dotted = f"{name}.{error.key}" if error.key else name
        where = whole if whole and dotted not in origins else origin_of(origins, dotted)
        raise ConfigError(f"{where}: {error}", key=dotted) from None


def origin_of(origins: dict[str, str], dotted: str) -> str:
    """The origin of a key, or of the nearest table or key around it that has one."""
    while dotted:
        inside = [key for key in origins if key == dotted or key.startswith(f"{dotted}.")]
        if inside:
            return origins[inside[0]]
        dotted = dotted.rpartition(".")[0]
    return "recipe"
