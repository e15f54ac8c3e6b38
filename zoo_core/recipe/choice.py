"""Which preset a recipe starts from when nobody said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo_core.catalog import Catalog
from zoo_core.errors import ConfigError
from zoo_core.recipe.accelerator import find_accelerator
from zoo_core.recipe.layers import Layer, merge, parse_assignment
from zoo_core.recipe.resolve import preset_layers
from zoo_core.schema import key_line, load_toml

SMALL, FULL = "laptop", "paper"


@dataclass(frozen=True)
class PresetChoice:
    """A preset's name, and why it was taken, as a sentence for a person."""

    name: str
    reason: str


def choose_preset(
    catalog: Catalog, recipe_file: Path | None = None, assignments: Sequence[str] = ()
) -> PresetChoice:
    """The preset a recipe file names; else ``paper`` where it can run, else ``laptop``.

    ``paper`` can run where there is an accelerator and a dataset is configured: by the preset itself,
    the recipe file or an assignment. Raises `ConfigError` for a preset the file names wrongly.
    """
    values = load_toml(recipe_file) if recipe_file is not None else {}
    named = values.pop("preset", None)
    if named is not None:
        return _named_in_file(catalog, named, recipe_file)
    missing = []
    if find_accelerator() is None:
        missing.append("there is no accelerator here")
    layers = [*preset_layers(catalog, FULL), Layer("recipe", values)]
    layers += [Layer("--set", parse_assignment(text)) for text in assignments]
    dataset = merge(layers)[0].get("dataset", {})
    if not dataset.get("name"):
        missing.append("no dataset is configured")
    if not missing:
        return PresetChoice(FULL, f"Preset '{FULL}'; pass --preset {SMALL} for the small setting.")
    full = f"--preset {FULL}" + ("" if dataset.get("name") else " --data NAME")
    return PresetChoice(
        SMALL,
        f"Preset '{SMALL}', since {' and '.join(missing)}; pass {full} for the paper's setting.",
    )


def _named_in_file(catalog: Catalog, named: object, path: Path | None) -> PresetChoice:
    assert path is not None
    where = f"{path}:{key_line(path, 'preset') or 1}"
    if not isinstance(named, str):
        raise ConfigError(f"{where}: 'preset' must be a preset's name, not {named!r}.", "preset")
    try:
        catalog.preset(named)
    except ConfigError as error:
        raise type(error)(f"{where}: {error}") from None
    return PresetChoice(named, f"Preset '{named}', as {path} says.")
