"""Random weights and pictures that are the same on every machine, to hold implementations against each other.

Both come from raw 64-bit words of Philox and whole-number arithmetic, so they do not depend on the
versions of torch, numpy or Pillow: a reference implementation can run in an environment of its own.
Weights keep signals at a scale near one through all layers ("visible"): with the small weights of a
fresh initialisation, a wrong resize or a swapped token would hide below the tolerance.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_NORMS = (".ln_", "ln_", ".norm", "layer_norm", "layernorm", "LayerNorm", "layrnorm")


def seeded_state(shapes: Mapping[str, Sequence[int]], half: bool = False) -> dict[str, Tensor]:
    """One tensor a name, each a function of its name and shape: float32, or float16 when `half`.

    Biases and norms are near 0 and 1, embeddings have deviation 0.5, matrices 1 / sqrt(inputs). A
    float16 tensor holds exactly what is left of the float32 one after rounding.
    """
    state = {name: seeded_tensor(name, tuple(shape)) for name, shape in shapes.items()}
    return {name: value.half() for name, value in state.items()} if half else state


def seeded_tensor(name: str, shape: tuple[int, ...]) -> Tensor:
    """A float32 tensor whose values are uniform; deviation and mean follow from its name."""
    unit = torch.from_numpy(_uniform(name, math.prod(shape)).reshape(shape))
    last = name.rsplit(".", 1)[-1]
    if last == "bias" or last.endswith("_bias"):
        return unit * 0.1
    if len(shape) == 1 and any(part in name for part in _NORMS):
        return 1 + unit * 0.1
    if "embedding" in name or len(shape) < 2:
        return unit * 0.5
    # Projections kept as plain parameters are [inputs, outputs], all else is [outputs, inputs, ...].
    inputs = shape[0] if last in ("proj", "text_projection") else math.prod(shape[1:])
    return unit / inputs**0.5


def _uniform(name: str, count: int) -> NDArray[np.float32]:
    """Values of mean 0 and deviation 1, uniform on a grid of 2**-23 of their width."""
    digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
    generator = np.random.Philox(key=int.from_bytes(digest, "little"))
    words = generator.random_raw((count + 1) // 2).astype("<u8").view("<u4")[:count]
    centred = (words >> np.uint32(8)).astype(np.float32) - np.float32(2**23)
    return centred * np.float32(12**0.5 / 2**24)


def seeded_picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """An image uint8 [H, W, 3] of waves, hard edges and fine noise, so that every resize differs."""
    y = np.arange(height, dtype=np.int64)[:, None, None]
    x = np.arange(width, dtype=np.int64)[None, :, None]
    channel = np.arange(3, dtype=np.int64)[None, None, :]
    waves = np.abs((x * (5 + seed % 7) + y * (3 + channel) + x * y // (11 + seed)) % 401 - 200) // 2
    edges = 80 * ((x // 13 + y // 17 + channel + seed) % 2)
    generator = np.random.Philox(key=seed)
    words = generator.random_raw(height * width * 3).astype(np.uint64)
    noise = (words >> np.uint64(58)).astype(np.int64).reshape(height, width, 3)  # 0 to 63
    return (waves + edges + noise).astype(np.uint8)
