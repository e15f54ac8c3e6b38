"""What HPSv2 sees: the whole image, its longer side at 224 pixels, on black."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from zoo_core.adapters.clip import DEVIATION, MEAN


def pixels(image: NDArray[np.uint8], size: int = 224, antialias: bool = True) -> Tensor:
    """float32 [3, S, S] of an image uint8 [H, W, 3].

    The published order: values to [0, 1], bicubic resize of the *tensor* (so values may leave [0, 1]),
    zeros around it to a square, then the normalisation, which gives the zeros CLIP's black. Two cases in
    which the published code fails are defined here: an image whose longer side is already 224 is padded
    too, and a side that would round to 0 pixels has 1.
    """
    height, width = image.shape[:2]
    scale = size / max(height, width)
    # Python's round, halves to the even number, as published.
    new = [max(1, round(side * scale)) for side in (height, width)]
    seen = F.to_tensor(image)  # [3, H, W]
    seen = F.resize(seen, new, InterpolationMode.BICUBIC, antialias=antialias)
    below, right = size - new[0], size - new[1]
    padding = [right // 2, below // 2, right - right // 2, below - below // 2]
    return F.normalize(F.pad(seen, padding), list(MEAN), list(DEVIATION))
