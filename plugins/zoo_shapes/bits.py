"""Counter-based random draws: a pure function of (seed, purpose, index, attempt).

The raw 64-bit words of numpy's Philox 4x64 are used directly. Its stream is fixed by the algorithm
(Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011); the distribution methods of
`numpy.random.Generator` may change between numpy versions, so none of them is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

_KEY = 0x7A6F6F5F73686170  # "zoo_shap": keeps this stream apart from other users of Philox
_WORDS = 32  # words fetched at a time; a scene needs about twenty
_MAX = 1 << 64


class RawBits:
    """A stream of draws for one (seed, purpose, index, attempt), each in [0, 2**64).

    `purpose` separates uses of one index (a split's scenes, captions), `attempt` the redraws of one
    scene. Raises ValueError for a number outside its range.
    """

    __slots__ = ("_at", "_generator", "_words")

    def __init__(self, seed: int, purpose: int, index: int, attempt: int = 0) -> None:
        named = (("seed", seed), ("purpose", purpose), ("index", index), ("attempt", attempt))
        for name, value in named:
            if not 0 <= value < _MAX:
                raise ValueError(
                    f"{name} is {value}; it must be a whole number from 0 to 2**64 - 1"
                )
        self._generator = np.random.Philox(
            key=np.array([seed, _KEY], dtype=np.uint64),
            counter=np.array([0, index, attempt, purpose], dtype=np.uint64),
        )
        self._words: list[int] = []
        self._at = 0

    def word(self) -> int:
        """The next raw word, a whole number in [0, 2**64)."""
        if self._at == len(self._words):
            self._words = self._generator.random_raw(_WORDS).tolist()
            self._at = 0
        value = self._words[self._at]
        self._at += 1
        return value

    def below(self, n: int) -> int:
        """A whole number in [0, n), uniform up to a bias of n / 2**64."""
        if n < 1:
            raise ValueError(f"cannot draw a number below {n}; the bound must be 1 or more")
        return (self.word() * n) >> 64

    def fraction(self) -> float:
        """A float in [0, 1) with 53 random bits."""
        return (self.word() >> 11) * 2.0**-53

    def choose(self, options: Sequence[T]) -> T:
        """One of `options`, all equally likely."""
        return options[self.below(len(options))]

    def weighted(self, options: Sequence[T], weights: Sequence[int]) -> T:
        """One of `options`, with probability in proportion to its whole-number weight."""
        at = self.below(sum(weights))
        for option, weight in zip(options, weights, strict=True):
            at -= weight
            if at < 0:
                return option
        raise AssertionError("the draw is below the sum of the weights")

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """A new list of `options` in random order (Fisher-Yates)."""
        out = list(options)
        for last in range(len(out) - 1, 0, -1):
            other = self.below(last + 1)
            out[last], out[other] = out[other], out[last]
        return out

    def sixteenths(self, limit: int) -> float:
        """A multiple of 1/16 in [-limit/16, limit/16]: exact in binary floating point."""
        return (self.below(2 * limit + 1) - limit) / 16.0
