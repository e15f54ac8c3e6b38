"""Prompt sets: what a model is asked to draw, and what is asked about the result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from zoo_core.interfaces.images import ImageSource


@dataclass(frozen=True)
class Question:
    """One question of TIFA's format about an image drawn from a prompt.

    element_type: one of TIFA's twelve categories (object, color, counting, spatial, ...).
    choices: the answers allowed; `answer` is among them.
    parents: the places, from 0, of the prompt's questions that this one presupposes: "is the dog
        brown?" means nothing where "is there a dog?" fails.
    """

    question: str
    choices: tuple[str, ...]
    answer: str
    element_type: str = "other"
    element: str = ""
    parents: tuple[int, ...] = ()


@dataclass(frozen=True)
class Prompt:
    """One prompt. `id` is stable and seeds the prompt's noise; questions may be empty."""

    id: str
    text: str
    questions: tuple[Question, ...] = ()


class PromptSet(ABC):
    """An ordered, fixed list of prompts. A prefix of it is used where fewer are wanted."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of prompts."""

    @abstractmethod
    def prompts(self, limit: int | None = None) -> Sequence[Prompt]:
        """The first `limit` prompts, or all."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A hexadecimal digest of all prompts and questions."""

    def references(self, limit: int | None = None) -> ImageSource | None:
        """The real images that belong to the first `limit` prompts; None where the set has none."""
        return None
