"""A debug-size recipe and the trainer's parts built from it."""

from pathlib import Path

import pytest
import torch

from zoo_core.catalog import open_catalog
from zoo_core.interfaces.group import Alone
from zoo_core.recipe import resolve_recipe
from zoo_core.recipe.components import Components
from zoo_gpu_trainer.config import GPUTrainerConfig
from zoo_gpu_trainer.feed import Feed
from zoo_gpu_trainer.phases import Phases
from zoo_gpu_trainer.update import Updater

CPU = torch.device("cpu")

#: A variant of each family that trains in milliseconds; a table of the user's own kind.
REGISTRY = """
[backbone.sd2-debug]
family = "sd2"
channels = 16
channel_mult = [1, 2]
res_blocks = 1
transformer_depth = [1, 0]
head_width = 8
norm_groups = 8

[backbone.pixart-debug]
family = "pixart"
hidden_size = 32
depth = 2
heads = 4
"""

SMALL = {
    "scale.width_divisor": 1,
    "dataset.samples": 12,
    "training.batch_size": 4,
    "training.micro_batch": 4,
    "training.steps": 4,
    "training.log_every": 1,
    "training.checkpoint_every": 2,
    "data.cache": "false",
}


@pytest.fixture(scope="session")
def catalog(tmp_path_factory):
    path: Path = tmp_path_factory.mktemp("registry") / "debug.toml"
    path.write_text(REGISTRY)
    return open_catalog((path,))


@pytest.fixture(scope="session")
def recipe_for(catalog):
    """`recipe_for({"training.seed": 1}, name)` resolves a small recipe."""

    def resolve(changes: dict | None = None, name: str = "sd2-debug"):
        values = {**SMALL, **(changes or {})}
        return resolve_recipe(
            catalog, name, "laptop", assignments=[f"{key}={value}" for key, value in values.items()]
        )

    return resolve


@pytest.fixture(scope="session")
def components(catalog, recipe_for):
    return Components(recipe_for(), catalog)


@pytest.fixture(scope="session")
def updater_for(catalog, recipe_for):
    """`updater_for({"optimizer.gradient_clip": 0})` builds a fresh updater of equal initial weights."""

    def build(changes: dict | None = None, name: str = "sd2-debug", **settings):
        recipe = recipe_for(changes, name)
        parts = Components(recipe, catalog)
        phases = Phases(CPU)
        feed = Feed(recipe, parts.dataset(), parts.vae(), parts.text_encoder(), CPU, None, phases)
        torch.manual_seed(0)
        config = GPUTrainerConfig(**settings)
        micro_batch = recipe.training.micro_batch
        return Updater(recipe, config, parts.backbone(), feed, CPU, Alone(), phases, micro_batch)

    return build


@pytest.fixture
def updater(updater_for):
    return updater_for()
