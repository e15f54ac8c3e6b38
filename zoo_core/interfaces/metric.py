"""Metrics: per-image results that can be merged, and a score with its spread."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from zoo_core.interfaces.images import ImageSource
from zoo_core.interfaces.prompts import Prompt

Need = Literal["questions", "references"]


@dataclass(frozen=True)
class Score:
    """A metric's value over a prompt set.

    stderr: standard error over prompts, or None where it has no meaning.
    details: further named figures, such as the accuracy of each category.
    interval: the 95 % interval of the value, by bootstrap over prompts; None where it was not taken.
    """

    metric: str
    value: float
    stderr: float | None
    count: int
    details: Mapping[str, float] = field(default_factory=dict)
    interval: tuple[float, float] | None = None


class Metric(ABC):
    """Scores images against their prompts, one image at a time, then sums up.

    Rows are plain dictionaries keyed by prompt, so results of several processes merge by
    concatenation, in any order, to exactly the same score.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """The score's name, saying which model scored: ``"tifa[shapes-reader]"``."""

    @property
    def needs(self) -> frozenset[Need]:
        """What the metric needs besides prompts and images drawn from them."""
        return frozenset()

    def use_references(self, references: ImageSource) -> None:
        """Take the real images to compare with; called once, before `summarize`, when needed."""
        assert "references" not in self.needs, f"{self.name} needs references but takes none"

    @abstractmethod
    def score_images(
        self, prompts: Sequence[Prompt], images: Sequence[np.ndarray]
    ) -> list[dict[str, Any]]:
        """One row an image; each has ``"prompt"`` (the prompt's id) and what `summarize` needs.

        images: uint8 [H, W, 3] each, drawn from the prompt of the same position. Values are plain
        (numbers, strings, lists, dictionaries) or one-dimensional numpy arrays, so that rows can be
        kept as Parquet. A row is a function of its prompt and image alone, not of the others.
        """

    @abstractmethod
    def summarize(self, rows: Sequence[Mapping[str, Any]]) -> Score:
        """The score of all rows, whatever their order. Raises `ValueError` when there is none."""

    @abstractmethod
    def protocol(self) -> dict[str, Any]:
        """All that the figures depend on besides images and prompts: variant, weights, preprocessing."""
