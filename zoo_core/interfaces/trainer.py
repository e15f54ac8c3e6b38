"""Trainers: the loop is a plugin, the core has none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_core.interfaces.group import Alone, Group

if TYPE_CHECKING:
    from zoo_core.interfaces.reporter import Reporter
    from zoo_core.recipe import Recipe
    from zoo_core.recipe.components import Components
    from zoo_core.runs.folder import RunFolder

#: Set by `Trainer.launch` in the processes it starts: the call that started them does the talking.
LAUNCHED = "ZOO_LAUNCHED"


@dataclass(frozen=True)
class Outcome:
    """How a call of `Trainer.fit` ended: at which step, and whether the recipe is finished."""

    step: int
    finished: bool


class Trainer(ABC):
    """Carries a recipe from where its run folder stands to its end.

    A trainer that works alone implements `unavailable` and `fit`. One that works in several processes
    says how many (`processes`), starts them (`launch`) and lets each find the others (`group`).
    """

    @abstractmethod
    def unavailable(self) -> str | None:
        """Why this trainer cannot run here, in a sentence; None when it can."""

    def processes(self, recipe: Recipe) -> int:
        """How many processes should work on this machine."""
        return 1

    def launch(self, recipe: Recipe, arguments: Sequence[str], reporter: Reporter) -> None:
        """Run ``python -m zoo_core ARGUMENTS`` in `processes` processes that find each other.

        Returns when all have ended well, interrupted ones included. Raises `TrainingError` when one
        failed; it has said why itself.
        """
        raise AssertionError("a trainer of one process is not launched")

    @contextmanager
    def group(self, recipe: Recipe) -> Iterator[Group]:
        """The processes that work on the run, this one among them, while the context lasts."""
        yield Alone()

    @abstractmethod
    def fit(
        self,
        recipe: Recipe,
        components: Components,
        run: RunFolder,
        group: Group,
        reporter: Reporter,
    ) -> Outcome:
        """Train, continuing from the run's last good checkpoint if it has one.

        Called in every process of `group`; only its leader writes to `run`. Returns early, with a
        checkpoint written, after an interrupt. Raises `TrainingError` on a non-finite loss and
        `CheckpointError` on a checkpoint that does not belong to the recipe.
        """
