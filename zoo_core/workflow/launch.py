"""Training in as many processes as the trainer wants on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from zoo_core.catalog import Catalog
from zoo_core.interfaces.reporter import Reporter
from zoo_core.interfaces.trainer import Outcome
from zoo_core.recipe import Recipe
from zoo_core.recipe.components import Components
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.initial import pin_initial_weights
from zoo_core.workflow.train import agree, train


def rank() -> int | None:
    """This process's number where a launcher such as torchrun started it; None elsewhere."""
    value = os.environ.get("RANK")
    return int(value) if value is not None and "WORLD_SIZE" in os.environ else None


def train_on_machine(
    recipe: Recipe, catalog: Catalog, path: Path, reporter: Reporter, arguments: Sequence[str]
) -> Outcome:
    """Train in this process, or in several when the trainer wants them and this one is no member yet.

    arguments: of ``python -m zoo_core`` for each of them, the command that this call came from.
    Raises as `train` does.
    """
    trainer = Components(recipe, catalog).trainer()
    if rank() is not None or trainer.processes(recipe) == 1:
        return train(recipe, catalog, path, reporter)
    if RunFolder.exists(path):
        pinned = pin_initial_weights(recipe, path, reporter.say)
        agree(pinned, RunFolder.open(path))  # a refusal is best told once, by this process
    trainer.launch(recipe, arguments, reporter)
    return outcome_of(RunFolder.open(path))


def outcome_of(run: RunFolder) -> Outcome:
    """How the last attempt ended, as the run's events tell."""
    events = [row for row in run.read_log("events").rows if "step" in row]
    if not events:
        return Outcome(0, finished=False)
    return Outcome(events[-1]["step"], finished=events[-1]["event"] == "finish")
