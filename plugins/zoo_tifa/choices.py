"""How a free answer becomes one of a question's choices."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, final

from zoo_tifa.sentences import SentenceEncoder


class Matching(ABC):
    """A rule from a free answer to the choice that it stands for."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What the score's name says of it; empty where there is nothing to say."""

    @abstractmethod
    def choose(self, answer: str, choices: Sequence[str]) -> str:
        """One of `choices`, or an empty string where the answer stands for none."""

    @abstractmethod
    def protocol(self) -> Any:
        """What the choice depends on, as plain values."""


@final
class Literal(Matching):
    """The answer must be a choice; capitals and outer spaces do not matter."""

    @property
    def name(self) -> str:
        return ""

    def choose(self, answer: str, choices: Sequence[str]) -> str:
        if answer in choices:
            return answer
        folded = _folded(answer)
        return next((choice for choice in choices if _folded(choice) == folded), "")

    def protocol(self) -> Any:
        return "literal"


@final
class Nearest(Matching):
    """An answer that is literally no choice is the choice whose sentence embedding is nearest.

    TIFA v1.0's rule, with the cosine of its embeddings; of equally near choices the first. An empty
    answer is an answer too.
    """

    def __init__(self, encoder: SentenceEncoder) -> None:
        self._encoder = encoder

    @property
    def name(self) -> str:
        return self._encoder.name

    def choose(self, answer: str, choices: Sequence[str]) -> str:
        if answer in choices:
            return answer
        asked = self._encoder.embed(answer)
        likeness = [float(self._encoder.embed(choice) @ asked) for choice in choices]
        return choices[likeness.index(max(likeness))]

    def protocol(self) -> Any:
        return self._encoder.protocol()


def _folded(text: str) -> str:
    return text.strip().lower()
