"""Images as bytes and as what autoencoders take."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_pixels(images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> Tensor:
    """Images uint8 [H, W, 3] of one size as float32 [B, 3, H, W] in [-1, 1]."""
    stacked = torch.from_numpy(np.stack(list(images))).permute(0, 3, 1, 2)
    return stacked.float() / 127.5 - 1


def to_images(pixels: Tensor) -> NDArray[np.uint8]:
    """Float images [B, 3, H, W] in about [-1, 1] as uint8 [B, H, W, 3], clamped and rounded."""
    scaled = ((pixels.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return scaled.permute(0, 2, 3, 1).cpu().numpy()
