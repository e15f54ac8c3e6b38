"""A finished or unfinished run, ready to draw."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from zoo_core.catalog import Catalog
from zoo_core.errors import CheckpointError
from zoo_core.evaluation.drawing import Painter
from zoo_core.interfaces.backbone import Backbone
from zoo_core.recipe import Layer, Recipe, merge, recipe_from_table
from zoo_core.recipe.components import Components
from zoo_core.runs import checkpoints
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.weights import restore_weights
from zoo_core.schema import load_toml
from zoo_core.workflow.train import RECIPE


@dataclass(frozen=True)
class LoadedRun:
    """A run's recipe with one checkpoint's weights, in evaluation mode on the device."""

    run: RunFolder
    recipe: Recipe
    components: Components
    backbone: Backbone
    painter: Painter
    step: int


def load_run(
    catalog: Catalog,
    path: Path,
    checkpoint: int | None = None,
    overrides: dict[str, Any] | None = None,
) -> LoadedRun:
    """Read a run folder and load its newest good checkpoint, or the one of a given step.

    overrides: recipe values that take the place of the run's, such as ``{"sampling": {"steps": 20}}``.
    Raises `RunError` when it is no run, `CheckpointError` when it has no such checkpoint, and
    `PluginError` when a plugin it used is missing.
    """
    run = RunFolder.open(path)
    label = f"{path / RECIPE}"
    layers = [Layer(label, load_toml(run.path / RECIPE)), Layer("option", overrides or {})]
    recipe = recipe_from_table(catalog, merge(layers)[0], label)
    place = _checkpoint(run, checkpoint)
    tensors, _ = checkpoints.load(place.path, verified=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    components = Components(recipe, catalog)
    backbone = components.backbone()
    restore_weights(backbone, tensors["backbone"])
    painter = Painter(
        recipe, components.vae().to(device), components.text_encoder().to(device), device
    )
    return LoadedRun(run, recipe, components, backbone.to(device).eval(), painter, place.step)


def _checkpoint(run: RunFolder, step: int | None) -> checkpoints.Checkpoint:
    if step is None:
        newest = checkpoints.latest(run, _warn)
        if newest is None:
            raise CheckpointError(
                f"{run.path} has no checkpoint yet; train it further with the command that began it."
            )
        return newest
    found = dict(checkpoints.published(run))
    if step not in found:
        have = ", ".join(str(item) for item in sorted(found)) or "none"
        raise CheckpointError(f"{run.path} has no checkpoint of step {step}; it has {have}.")
    return checkpoints.verify(found[step])


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=2)
