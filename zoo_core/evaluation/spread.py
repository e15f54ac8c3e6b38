"""How far a score would move with other prompts: the bootstrap over prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from zoo_core.stream.bits import key

_PURPOSE = "bootstrap"
_AT_A_TIME = 1 << 21  # values resampled at a time, some 30 MB of intermediates


def bootstrap_interval(
    values_by_prompt: Mapping[str, float] | Sequence[float],
    *,
    level: float = 0.95,
    resamples: int = 5000,
    seed: int = 0,
) -> tuple[float, float]:
    """Lower and upper end of the interval of the mean over prompts.

    The percentile interval of Efron and Tibshirani 1993, chapter 13: as many prompts as there are,
    drawn with replacement `resamples` times. A function of the multiset of values and of the seed:
    neither names nor order matter, and the random numbers are the same in every version of numpy.

    values_by_prompt: one finite value a prompt. level: in (0, 1). Raises `ValueError` when there is
    no value, or one that is not finite.
    """
    assert 0 < level < 1, f"a level is between 0 and 1, not {level}"
    assert resamples >= 1, f"at least one resample, not {resamples}"
    given = values_by_prompt.values() if isinstance(values_by_prompt, Mapping) else values_by_prompt
    values = np.sort(np.fromiter(given, dtype=np.float64))
    if values.size == 0:
        raise ValueError("the spread over prompts needs the value of at least one prompt")
    if not np.isfinite(values).all():
        raise ValueError("the spread over prompts needs finite values; one is NaN or infinite")
    means = _resampled_means(values, resamples, seed)
    tail = (1 - level) / 2
    lower, upper = np.quantile(means, (tail, 1 - tail))
    return float(lower), float(upper)


def _resampled_means(values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Means of `resamples` draws of n out of n values with replacement: float64 [resamples]."""
    count = values.size
    generator = np.random.Philox(key=key(seed, _PURPOSE))
    half = (count + 1) // 2  # each word of 64 bits gives two indices
    rows = max(1, _AT_A_TIME // count)
    means = np.empty(resamples)
    for start in range(0, resamples, rows):
        block = min(rows, resamples - start)
        words = generator.random_raw(block * half).astype("<u8").view("<u4").astype(np.uint64)
        # The upper half of word * count; no index is likelier than another by more than 2^-32.
        chosen = (words.reshape(block, 2 * half)[:, :count] * np.uint64(count)) >> np.uint64(32)
        means[start : start + block] = values.take(chosen.astype(np.int64)).mean(axis=1)
    return means
