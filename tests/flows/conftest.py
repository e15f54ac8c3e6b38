"""A real run made small: the debug preset and variants of ``tests/debug.toml``."""

import sys
from pathlib import Path

import pytest

from zoo_core.catalog import open_catalog
from zoo_core.interfaces.reporter import Reporter
from zoo_core.recipe import resolve_recipe
from zoo_core.workflow.train import train

DEBUG = Path(__file__).parents[1] / "debug.toml"


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
    return open_catalog((DEBUG,))


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def recipe_for(catalog):
    """`recipe_for("sd2-debug", {"training.steps": 2})` resolves a small recipe."""

    def resolve(name: str = "sd2-debug", changes: dict | None = None):
        assignments = [f"{key}={value}" for key, value in (changes or {}).items()]
        return resolve_recipe(catalog, name, "debug", assignments=assignments)

    return resolve


@pytest.fixture
def command():
    """`command(run, changes, name)`: the words of a small ``zoo train`` for a process of its own."""

    def words(run: Path, changes: dict | None = None, name: str = "sd2-debug") -> list[str]:
        start = [sys.executable, "-m", "zoo_core", "--registry", str(DEBUG), "train", name]
        sets = [
            part for item in (changes or {}).items() for part in ("--set", "{}={}".format(*item))
        ]
        return [*start, "--preset", "debug", "--run", str(run), *sets]

    return words


@pytest.fixture
def run_small(catalog, recipe_for, told):
    """`run_small(path, name, changes)` trains and returns the outcome."""

    def run(path: Path, name: str = "sd2-debug", changes: dict | None = None):
        return train(recipe_for(name, changes), catalog, path, told)

    return run
