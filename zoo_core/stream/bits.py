"""Counter-based random words, and their exactly specified conversion to numbers.

Words come from Philox4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011),
whose output numpy fixes for good. The conversions are our own, since numpy may change the algorithms
of its distributions between versions. Specification, for seed S, purpose P and sample index I:

- key: BLAKE2b-128, personalised ``zoo-stream``, of S as 8 bytes little endian followed by P in UTF-8;
  read as two 64-bit words, little endian;
- word w is output w mod 4 of the block with counter (1 + w div 4, I, 0, 0);
- uniform: the word's upper 53 bits times 2^-53;
- integer below n: the upper 64 bits of the 128-bit product of word and n;
- normals 2j and 2j+1: Box-Muller in float64 from words 2j and 2j+1, rounded to float32.

A longer draw of the same triple therefore begins with the shorter one.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoo_core.stream.purposes import PROMPT_NOISE

_WORDS_AT_A_TIME = 1 << 16  # words converted at a time, so that intermediates stay in the cache


def key(seed: int, purpose: str) -> NDArray[np.uint64]:
    """The Philox key of a seed (0..2^63-1) and a purpose: uint64 [2]."""
    assert 0 <= seed < 1 << 63, f"a seed is in 0..2^63-1, not {seed}"
    material = seed.to_bytes(8, "little") + purpose.encode()
    digest = hashlib.blake2b(material, digest_size=16, person=b"zoo-stream").digest()
    return np.frombuffer(digest, dtype="<u8").astype(np.uint64)


def as_indices(indices: ArrayLike) -> NDArray[np.int64]:
    """Sample indices as int64 [n]; they are integers in 0..2^63-1."""
    given = np.asarray(indices)
    assert given.ndim == 1, f"sample indices are one-dimensional, not of shape {given.shape}"
    assert given.size == 0 or given.dtype.kind in "iu", f"indices are integers, not {given.dtype}"
    result = given.astype(np.int64)
    assert result.size == 0 or int(result.min()) >= 0, "sample indices start at 0"
    return result


def bits(seed: int, purpose: str, indices: ArrayLike, words: int) -> NDArray[np.uint64]:
    """Random words of each sample: uint64 [n, words], row i a function of `indices[i]` alone."""
    samples = as_indices(indices)
    out = np.empty((samples.size, words), dtype=np.uint64)
    generator = np.random.Philox(key=0)
    # Setting the state of one generator is some ten times cheaper than making one a sample.
    state = generator.state
    state["state"]["key"] = key(seed, purpose)
    counter = np.zeros(4, dtype=np.uint64)  # numpy steps the first word before each block: from 1
    state["state"]["counter"] = counter
    for row, sample in enumerate(samples):
        counter[1] = sample
        generator.state = state
        out[row] = generator.random_raw(words)
    return out


def to_uniform(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Words as float64 in [0, 1), multiples of 2^-53, same shape."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def to_integers(words: NDArray[np.uint64], below: ArrayLike) -> NDArray[np.int64]:
    """Words as int64 in 0..below-1, same shape; `below` (1..2^63-1) broadcasts.

    The upper half of word * below; no value is more likely than another by more than 2^-64.
    """
    bound = np.asarray(below).astype(np.uint64)
    low32, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    a_low, a_high = words & low32, words >> shift
    b_low, b_high = bound & low32, bound >> shift
    middle = a_high * b_low + ((a_low * b_low) >> shift)
    other = a_low * b_high + (middle & low32)
    return (a_high * b_high + (middle >> shift) + (other >> shift)).astype(np.int64)


def to_normal(words: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Words (an even number in the last dimension) as float32 unit normals, same shape.

    Box and Muller 1958. The radius is of a uniform in (0, 1], so that its logarithm is finite: values
    reach 8.6. Sine and cosine may differ by the last float64 bit between processors, which changes
    one float32 result in about 10^8; the words themselves never differ.
    """
    assert words.shape[-1] % 2 == 0, "normals are made in pairs"
    radius = (words[..., 0::2] >> np.uint64(11)).astype(np.float64)
    radius += 1.0
    radius *= 2.0**-53
    np.log(radius, out=radius)
    radius *= -2.0
    np.sqrt(radius, out=radius)
    angle = (words[..., 1::2] >> np.uint64(11)) * (2.0 * math.pi * 2.0**-53)
    out = np.empty(words.shape, dtype=np.float32)
    np.multiply(radius, np.cos(angle), out=out[..., 0::2], casting="same_kind")
    np.multiply(radius, np.sin(angle), out=out[..., 1::2], casting="same_kind")
    return out


def uniform(seed: int, purpose: str, indices: ArrayLike, count: int = 1) -> NDArray[np.float64]:
    """`count` numbers in [0, 1) a sample: float64 [n, count]."""
    return to_uniform(bits(seed, purpose, indices, count))


def integers(
    seed: int, purpose: str, indices: ArrayLike, below: int, count: int = 1
) -> NDArray[np.int64]:
    """`count` integers in 0..below-1 a sample: int64 [n, count]."""
    assert below >= 1, f"integers are drawn below a bound of at least 1, not {below}"
    return to_integers(bits(seed, purpose, indices, count), below)


def normal(
    seed: int, purpose: str, indices: ArrayLike, shape: Sequence[int]
) -> NDArray[np.float32]:
    """Unit normals a sample: float32 [n, *shape]."""
    samples = as_indices(indices)
    size = math.prod(shape)
    even = size + size % 2
    out = np.empty((samples.size, size), dtype=np.float32)
    step = max(1, _WORDS_AT_A_TIME // max(1, even))
    for start in range(0, samples.size, step):
        words = bits(seed, purpose, samples[start : start + step], even)
        out[start : start + step] = to_normal(words)[:, :size]
    return out.reshape(samples.size, *shape)


def prompt_noise(seed: int, prompt_id: str, shape: Sequence[int]) -> NDArray[np.float32]:
    """The noise a prompt's image is drawn from: float32 [*shape], unit normal.

    A function of the seed and the prompt's id, so it does not change with the batch, the process or
    the order in which prompts are drawn.
    """
    return normal(seed, f"{PROMPT_NOISE}\0{prompt_id}", [0], shape)[0]
