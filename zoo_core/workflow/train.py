"""Training as a call: open the folder, hold its lock, write the recipe down, let the trainer run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import tomli_w

from zoo_core.catalog import Catalog
from zoo_core.errors import PluginError, RunError, ZooError
from zoo_core.interfaces.reporter import Reporter
from zoo_core.interfaces.trainer import Outcome
from zoo_core.recipe import Recipe
from zoo_core.recipe.components import Components
from zoo_core.recipe.recipe import is_free
from zoo_core.runs.checkpoints import remove_leftovers
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.initial import pin_initial_weights
from zoo_core.runs.lock import RunLock
from zoo_core.schema import flatten, load_toml

RECIPE = "recipe.toml"
PROVENANCE = "provenance.json"


def train(recipe: Recipe, catalog: Catalog, path: Path, reporter: Reporter) -> Outcome:
    """Train into a run folder, new or begun before, and return how far it came.

    Called in every process of a group. Raises `RunError` when the folder holds something else,
    another recipe, or a running trainer; what was there stays as it was.
    """
    trainer = Components(recipe, catalog).trainer()
    if reason := trainer.unavailable():
        raise PluginError(f"The trainer '{recipe.slots['trainer'].name}' cannot run: {reason}")
    with trainer.group(recipe) as group, ExitStack() as stack:
        refusal: ZooError | None = None
        if group.leads:
            try:
                recipe = pin_initial_weights(recipe, path, reporter.say)
                stack.enter_context(_prepared(recipe, path))
            except ZooError as error:
                refusal = error
        if group.broadcast(refusal is not None):
            if refusal is not None:
                raise refusal
            return Outcome(0, finished=False)  # the leader says why
        recipe = group.broadcast(recipe)
        components = Components(recipe, catalog)
        return trainer.fit(recipe, components, RunFolder.open(path), group, reporter)


@contextmanager
def _prepared(recipe: Recipe, path: Path) -> Iterator[None]:
    """The run's folder with its recipe written down, locked while the context lasts."""
    run = RunFolder.ensure(path)
    with RunLock.acquire(run) as lock:
        agree(recipe, run)
        remove_leftovers(run, lock)
        run.write_text_atomic(RECIPE, tomli_w.dumps(recipe.to_table()))
        run.write_text_atomic(PROVENANCE, json.dumps(recipe.provenance(), indent=1))
        yield


def differences(recipe: Recipe, written: dict[str, Any]) -> list[str]:
    """Every value that differs between a recipe and the table of a run folder, in words."""
    new, old = flatten(recipe.to_table()), flatten(written)
    return [
        f"{key}: {old.get(key, 'absent')} before, {new.get(key, 'absent')} now"
        for key in sorted(new.keys() | old.keys())
        if new.get(key) != old.get(key)
    ]


def agree(recipe: Recipe, run: RunFolder) -> None:
    """Refuse to continue a folder under a recipe that would train something else.

    Values outside the recipe's fingerprint (length, logging, scoring) may change.
    """
    path = run.path / RECIPE
    if not path.is_file():
        return
    written = load_toml(path)
    changed = differences(recipe, written)
    harmful = [line for line in changed if not is_free(line.partition(":")[0])]
    if harmful:
        listed = "\n  ".join(harmful)
        raise RunError(
            f"{run.path} was begun with other settings:\n  {listed}\n"
            f"Give them again to continue it, or choose another folder with --run."
        )
