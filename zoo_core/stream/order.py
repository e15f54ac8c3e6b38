"""A new order of the dataset every epoch, with random access and no memory.

The position in an epoch is encrypted by a small keyed Feistel network over the smallest power of two
that holds the dataset; a result outside the dataset is encrypted again until it falls inside (cycle
walking: Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). Both keep the map a
bijection, so every sample of the dataset comes exactly once an epoch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoo_core.stream.bits import as_indices, bits
from zoo_core.stream.purposes import ORDER

# Four rounds are enough for a wide block (Luby and Rackoff 1988); narrow ones, which small datasets
# have, mix less a round.
ROUNDS = 12


def dataset_index(seed: int, sample_indices: ArrayLike, length: int) -> NDArray[np.int64]:
    """Which element of a dataset of `length` elements each global sample is: int64 [n].

    Sample s is in epoch ``s // length``; within an epoch the map is a bijection of 0..length-1, with
    keys of its own.
    """
    assert length >= 1, f"a dataset has at least one sample, not {length}"
    epochs, positions = np.divmod(as_indices(sample_indices), length)
    if length == 1:
        return positions
    distinct, which = np.unique(epochs, return_inverse=True)
    keys = bits(seed, ORDER, distinct, ROUNDS)[which]
    width = (length - 1).bit_length()
    current = _encrypt(positions.astype(np.uint64), keys, width)
    outside = np.flatnonzero(current >= length)
    while outside.size:
        current[outside] = _encrypt(current[outside], keys[outside], width)
        outside = outside[current[outside] >= length]
    return current.astype(np.int64)


def _encrypt(
    values: NDArray[np.uint64], keys: NDArray[np.uint64], width: int
) -> NDArray[np.uint64]:
    """A bijection of 0..2^width-1 by values [n], under keys [n, ROUNDS].

    The halves may differ by a bit. Each round changes one half by a function of the other, so it is
    its own inverse.
    """
    high_bits = width // 2
    low_bits = width - high_bits
    high_mask, low_mask = np.uint64((1 << high_bits) - 1), np.uint64((1 << low_bits) - 1)
    high, low = values >> np.uint64(low_bits), values & low_mask
    for number in range(ROUNDS):
        if number % 2:
            high = high ^ (_mix(low + keys[:, number]) & high_mask)
        else:
            low = low ^ (_mix(high + keys[:, number]) & low_mask)
    return (high << np.uint64(low_bits)) | low


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea and Flood, OOPSLA 2014): every bit depends on every bit."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
