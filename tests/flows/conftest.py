"""A real run made small: the laptop preset with few steps, few images and few prompts."""

from pathlib import Path

import pytest

from zoo_core.catalog import open_catalog
from zoo_core.interfaces.reporter import Reporter
from zoo_core.recipe import resolve_recipe
from zoo_core.workflow.train import train

SMALL = {
    "dataset.samples": 24,
    "training.steps": 4,
    "training.batch_size": 4,
    "training.micro_batch": 4,
    "training.log_every": 1,
    "training.checkpoint_every": 2,
    "evaluation.every": 2,
    "evaluation.prompts": 2,
    "evaluation.final_prompts": 3,
    "evaluation.grid": 2,
    "sampling.steps": 2,
    "sampling.batch_size": 2,
}


class Told(Reporter):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def catalog():
    return open_catalog()


@pytest.fixture
def small_values():
    """The dotted keys and values that make a run small."""
    return dict(SMALL)


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def recipe_for(catalog):
    """`recipe_for(name, {"training.steps": 2})` resolves a small recipe."""

    def resolve(name: str = "sd2", changes: dict | None = None):
        values = {**SMALL, **(changes or {})}
        return resolve_recipe(
            catalog, name, "laptop", assignments=[f"{key}={value}" for key, value in values.items()]
        )

    return resolve


@pytest.fixture
def run_small(catalog, recipe_for, told):
    """`run_small(path, name, changes)` trains and returns the outcome."""

    def run(path: Path, name: str = "sd2", changes: dict | None = None):
        return train(recipe_for(name, changes), catalog, path, told)

    return run
