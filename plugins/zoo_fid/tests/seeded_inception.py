"""Random Inception weights, pictures and features that are the same for us and for the references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_core.testing.seeded import seeded_picture, seeded_tensor

#: Heights and widths of the pictures of each of two sets; most are not square.
SIZES = ((256, 256), (64, 64), (200, 333), (299, 299), (480, 270), (33, 57), (299, 150), (128, 640))
#: Sets of features as (name, samples of the first, samples of the second, dimensions): more samples than
#: dimensions, fewer, and one of each.
FEATURES = (("many", 900, 700, 64), ("few", 40, 50, 2048), ("mixed", 100, 900, 256))


def inception_state(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Weights of the published names. Convolutions keep the scale of what they see, so that features
    come out between 0 and some tens, as with trained weights; normalisations are far from the identity.
    """
    return {name: _tensor(name, tuple(shape)) for name, shape in shapes.items()}


def _tensor(name: str, shape: tuple[int, ...]) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    value = seeded_tensor(name, shape)
    if name.endswith(("bn.weight", "running_var")):  # uniform in about 0.57 to 1.43
        return 1 + value / 2
    if name.endswith("running_mean"):
        return value / 2
    return value * 2**0.5 if name.endswith("conv.weight") else value


def save_published(state: Mapping[str, Tensor], path: Path) -> None:
    """A file as the published one: a pickled dictionary in torch's old format."""
    torch.save(dict(state), path, _use_new_zipfile_serialization=False)


def pictures(which: int) -> list[NDArray[np.uint8]]:
    """The images uint8 [H, W, 3] of set 0 or 1; those of set 1 are much darker.

    The references' distances of so few images are exact to 1e-6 only where the sets differ clearly: by
    rounding, some 2000 eigenvalues of zero become 1e-8 of the largest each (measured against the singular
    values: 2.5e-6 of a distance of 584, 9e-8 of this one).
    """
    found = [seeded_picture(*size, seed=8 * which + place) for place, size in enumerate(SIZES)]
    return [image // 8 for image in found] if which else found


def features(name: str, count: int, dimensions: int) -> NDArray[np.float32]:
    """Correlated, not negative, of unequal scale, like pooled activations: float32 [N, D]."""
    own = seeded_tensor(f"{name}.own", (count, dimensions)).double().numpy()
    common = seeded_tensor(f"{name}.common", (count, 8)).double().numpy()
    mixing = seeded_tensor("mixing", (8, dimensions)).double().numpy()
    scale = 1 / (1 + np.arange(dimensions) / 16)
    return np.abs((own + common @ mixing) * scale + (0.5 if "first" in name else 0.6)).astype(
        np.float32
    )


def efficientnet_inputs() -> Tensor:
    """Three pictures as float32 [3, 3, 224, 224] in [-1, 1]."""
    stacked = np.stack([seeded_picture(224, 224, seed=seed) for seed in (3, 4, 5)])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 127.5 - 1
