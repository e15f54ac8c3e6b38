"""The two ways in which FID's evaluators bring an image to the network's 299 x 299 pixels.

They give different scores for the same images (Parmar et al. 2022, arXiv 2104.11222), so each has a
metric of its own name.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from zoo_fid.inception import SIZE


def tensorflow_bilinear(image: NDArray[np.uint8], size: int = SIZE) -> Tensor:
    """float32 [1, 3, S, S] in [0, 255], channels-last, of an image uint8 [H, W, 3].

    TensorFlow 1's ``resize_bilinear`` without aligned corners: output pixel i reads position
    i * (input / output), and there is no antialiasing. Rows are interpolated first and columns of the
    result then; the published order takes the same differences, so the bits are the same.
    """
    x = torch.from_numpy(image).float()  # [H, W, 3]
    low, high, part = _grid(x.shape[1], size)
    left = x.index_select(1, low)
    x = left + (x.index_select(1, high) - left) * part[None, :, None]  # [H, S, 3]
    low, high, part = _grid(x.shape[0], size)
    above = x.index_select(0, low)
    x = above + (x.index_select(0, high) - above) * part[:, None, None]  # [S, S, 3]
    return x.permute(2, 0, 1)[None]


@lru_cache(maxsize=16)
def _grid(length: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """The two neighbours int64 [S] of every output position, and how far it is towards the second."""
    places = torch.arange(size, dtype=torch.float32) * torch.tensor(length / size)
    low = places.long()
    return low, (low + 1).clamp_max(length - 1), places - low.float()


def pillow_bicubic(image: NDArray[np.uint8], size: int = SIZE) -> Tensor:
    """float32 [1, 3, S, S] in [0, 255], channels-last, of an image uint8 [H, W, 3].

    Clean-fid's: Pillow's antialiased bicubic filter on each channel as floats, clipped, not rounded.
    """
    planes = [Image.fromarray(image[:, :, channel].astype(np.float32)) for channel in range(3)]
    fitted = [plane.resize((size, size), Image.Resampling.BICUBIC) for plane in planes]
    resized = np.stack([np.asarray(plane) for plane in fitted], axis=2)
    return torch.from_numpy(resized.clip(0, 255)).permute(2, 0, 1)[None]


def normalized(pixels: Tensor) -> Tensor:
    """Pixels in [0, 255] as the network takes them, in [-1, 1)."""
    return (pixels - 128) / 128
