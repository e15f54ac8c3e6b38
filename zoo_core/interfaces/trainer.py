"""Trainers: the loop is a plugin, the core has none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo_core.interfaces.reporter import Reporter
    from zoo_core.recipe import Recipe
    from zoo_core.recipe.components import Components
    from zoo_core.runs.folder import RunFolder


@dataclass(frozen=True)
class Outcome:
    """How a call of `Trainer.fit` ended: at which step, and whether the recipe is finished."""

    step: int
    finished: bool


class Trainer(ABC):
    """Carries a recipe from where its run folder stands to its end."""

    @abstractmethod
    def unavailable(self) -> str | None:
        """Why this trainer cannot run here, in a sentence; None when it can."""

    @abstractmethod
    def fit(
        self, recipe: Recipe, components: Components, run: RunFolder, reporter: Reporter
    ) -> Outcome:
        """Train, continuing from the run's last good checkpoint if it has one.

        Returns early, with a checkpoint written, after an interrupt. Raises `TrainingError` on a
        non-finite loss and `CheckpointError` on a checkpoint that does not belong to the recipe.
        """
