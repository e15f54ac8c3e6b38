"""Training data by index, so that any sample can be fetched from its number alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True)
class Caption:
    """One caption of an image. `confidence` in 0..1 ranks synthetic captions, 1 for alt text."""

    text: str
    source: Literal["alt", "synthetic"] = "alt"
    confidence: float = 1.0


@dataclass(frozen=True)
class Sample:
    """One training pair.

    key: stable identity within the dataset.
    image: uint8 [H, W, 3], or None when `moments` is given.
    captions: alt text first, then synthetic captions by falling confidence.
    moments: float32 [2C, H/f, W/f], the VAE's mean and log variance, when precomputed.
    """

    key: str
    image: np.ndarray | None
    captions: tuple[Caption, ...]
    moments: np.ndarray | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Dataset(ABC):
    """Random access by index; length fixed for the life of a run."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples."""

    @abstractmethod
    def __getitem__(self, index: int) -> Sample:
        """The sample at `index` in 0..len-1, the same for every call. Raises `IndexError` outside."""

    def captions(self, index: int) -> tuple[Caption, ...]:
        """The captions of the sample at `index`, without its image where that is cheaper."""
        return self[index].captions

    @abstractmethod
    def fingerprint(self) -> str:
        """A hexadecimal digest that changes when the content does."""
