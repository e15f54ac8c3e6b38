"""What turns images into feature vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


class FeatureExtractor(ABC):
    """A fixed map from an image to a vector.

    name: what a Frechet distance over these features is called. dimensions: the length D of a vector.
    """

    name: str
    dimensions: int

    @abstractmethod
    def features(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Vectors float32 [N, D] of images uint8 [H, W, 3], whose sizes may differ.

        A vector is a function of its image alone: neither the others, nor their number, nor the number
        of threads changes a bit of it.
        """

    @abstractmethod
    def protocol(self) -> dict[str, Any]:
        """All that a vector depends on besides the image: weights and preprocessing."""
