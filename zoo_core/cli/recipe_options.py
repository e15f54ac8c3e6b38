"""The options of commands that take a recipe by the name of a backbone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from zoo_core.cli.completion import complete_dataset, complete_preset, complete_set
from zoo_core.cli.output import say

if TYPE_CHECKING:
    from zoo_core.catalog import Catalog
    from zoo_core.recipe import Recipe

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--preset",
        metavar="PRESET",
        shell_complete=complete_preset,
        help="The recipe to start from, such as 'laptop' or 'paper' ('zoo list presets'). Without it: the "
        "recipe file's; else 'paper' where an accelerator and a dataset are there, 'laptop' elsewhere.",
    ),
    click.option(
        "--recipe",
        "recipe_file",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="A TOML file of settings laid over the preset.",
    ),
    click.option(
        "--set",
        "assignments",
        metavar="KEY=VALUE",
        multiple=True,
        shell_complete=complete_set,
        help="One setting laid over all others, such as training.steps=500; may be repeated. Lengths may "
        "be images: training.steps=8Mi, 512Ki, 1.5M, '51200 images'.",
    ),
    click.option(
        "--data",
        metavar="NAME",
        shell_complete=complete_dataset,
        help="The dataset to train on; short for --set dataset.name=NAME.",
    ),
)


def recipe_options(command: F) -> F:
    """Adds --preset, --recipe, --set and --data: `preset`, `recipe_file`, `assignments` and `data`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def chosen_recipe(
    catalog: Catalog,
    name: str,
    preset: str | None,
    recipe_file: Path | None,
    assignments: tuple[str, ...],
    data: str | None,
    *,
    need_dataset: bool = True,
    tell: Callable[[str], None] = say,
) -> Recipe:
    """The recipe that the options give; without --preset the choice is told.

    Raises `ConfigError` as `resolve_recipe` does.
    """
    from zoo_core.recipe import resolve_recipe

    catalog.find("backbone", name)  # a misspelled name is told before any other complaint
    if data is not None:
        assignments = (f"dataset.name={json.dumps(data)}", *assignments)
    if preset is None:
        from zoo_core.recipe.choice import choose_preset

        choice = choose_preset(catalog, recipe_file, assignments)
        preset = choice.name
        tell(choice.reason)
    return resolve_recipe(catalog, name, preset, recipe_file, assignments, need_dataset)
