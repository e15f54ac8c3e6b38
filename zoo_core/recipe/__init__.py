"""Recipes: typed settings in layers, each value remembering where it came from. No torch."""

from zoo_core.recipe.layers import Layer, merge, parse_assignment
from zoo_core.recipe.recipe import Recipe, Slot
from zoo_core.recipe.resolve import (
    preset_layers,
    recipe_from_table,
    resolve_recipe,
    without_loggers,
)

__all__ = [
    "Layer",
    "Recipe",
    "Slot",
    "merge",
    "parse_assignment",
    "preset_layers",
    "recipe_from_table",
    "resolve_recipe",
    "without_loggers",
]
