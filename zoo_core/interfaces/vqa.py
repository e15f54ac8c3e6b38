"""Answering questions about images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from zoo_core.interfaces.prompts import Question


class VQA(ABC):
    """A visual question answering model, or anything else that answers questions about an image."""

    @abstractmethod
    def answer(self, image: np.ndarray, questions: Sequence[Question]) -> list[str]:
        """One answer a question for an image uint8 [H, W, 3]; an empty string where it cannot tell."""

    @abstractmethod
    def fingerprint(self) -> str:
        """What the answers depend on (weights hash or version), part of every score."""
