"""A finished or unfinished run, ready to draw."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from zoo_core.catalog import Catalog
from zoo_core.errors import CheckpointError
from zoo_core.evaluation.drawing import Painter
from zoo_core.interfaces.backbone import Backbone
from zoo_core.interfaces.group import Group
from zoo_core.recipe import Layer, Recipe, merge, recipe_from_table, without_loggers
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
    recipe = run_recipe(catalog, run, [Layer("option", overrides or {})])
    place = find_checkpoint(run, checkpoint, _warn)
    components = Components(recipe, catalog)
    studio = Studio(recipe, components, _device())
    painter, backbone = studio.with_weights(place.path)
    return LoadedRun(run, recipe, components, backbone, painter, place.step)


def run_recipe(catalog: Catalog, run: RunFolder, layers: Sequence[Layer]) -> Recipe:
    """The recipe of a run with values laid over it.

    A layer that names other metrics leaves those of the run out, their settings too. Raises
    `ConfigError` and `PluginError` as `recipe_from_table` does.
    """
    path = run.path / RECIPE
    written = without_loggers(load_toml(path))
    table, _ = merge([Layer(str(path), written), *layers])
    kept = table.get("evaluation", {}).get("metrics", [])
    given = {name for layer in layers for name in layer.values.get("metric", {})}
    if "metric" in table:
        table["metric"] = {
            name: settings
            for name, settings in table["metric"].items()
            if name in kept or name in given
        }
    return recipe_from_table(catalog, table, str(path))


def find_checkpoint(
    run: RunFolder, step: int | None, warn: Callable[[str], None]
) -> checkpoints.Checkpoint:
    """The checkpoint of a step, or the newest that is whole. Raises `CheckpointError`."""
    if step is None:
        newest = checkpoints.latest(run, warn)
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


class Studio:
    """What draws the images of a run: its autoencoder and text encoder, and one backbone at a time.

    Each part is built when it is first needed.
    """

    def __init__(
        self,
        recipe: Recipe,
        components: Components,
        device: torch.device,
        group: Group | None = None,
    ) -> None:
        self.recipe = recipe
        self.components = components
        self.device = device
        self.group = group
        self._painter: Painter | None = None
        self._backbone: Backbone | None = None

    def with_weights(self, checkpoint: Path, group: str = "backbone") -> tuple[Painter, Backbone]:
        """The painter and the backbone with the weights of a checkpoint that was just verified.

        group: ``backbone`` for the weights of training, ``ema`` for their average. Raises
        `CheckpointError` when it has no such weights or they belong to another model.
        """
        tensors, _ = checkpoints.load(checkpoint, verified=True)
        if group not in tensors:
            raise CheckpointError(
                f"{checkpoint}: no average of the weights in it. It is kept by runs trained with "
                "training.ema_decay above 0."
            )
        if self._backbone is None:
            self._backbone = self.components.backbone()
        # The average is of the parameters; buffers are those of training.
        restore_weights(self._backbone, {**tensors["backbone"], **tensors[group]})
        if self._painter is None:
            vae = self.components.vae().to(self.device)
            text_encoder = self.components.text_encoder().to(self.device)
            self._painter = Painter(self.recipe, vae, text_encoder, self.device, self.group)
        return self._painter, self._backbone.to(self.device).eval()


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=2)
