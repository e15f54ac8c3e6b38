"""Real images that generated ones are compared with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


class ImageSource(ABC):
    """A fixed, ordered set of images, read one at a time."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abstractmethod
    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """The images, uint8 [H, W, 3] each, always in the same order; sizes may differ."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A hexadecimal digest of the content, by which statistics of the set are cached."""
