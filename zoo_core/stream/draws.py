"""The random draws of the diffusion objective, by global sample index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoo_core.stream.bits import integers, normal
from zoo_core.stream.purposes import LATENT, NOISE, TIMESTEP


def timesteps(seed: int, indices: ArrayLike, count: int = 1000) -> NDArray[np.int64]:
    """A timestep a sample, uniform over 0..count-1: int64 [n]."""
    return integers(seed, TIMESTEP, indices, count)[:, 0]


def noise(seed: int, indices: ArrayLike, shape: Sequence[int]) -> NDArray[np.float32]:
    """The noise to predict: float32 [n, *shape], unit normal."""
    return normal(seed, NOISE, indices, shape)


def latent_noise(seed: int, indices: ArrayLike, shape: Sequence[int]) -> NDArray[np.float32]:
    """The unit normal for `Moments.sample`: float32 [n, *shape]. Drawn anew in every epoch."""
    return normal(seed, LATENT, indices, shape)
