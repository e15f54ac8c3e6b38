"""Which process takes which samples of an update, and in what portions."""

from __future__ import annotations

from collections.abc import Iterator


def share(samples: range, rank: int, size: int) -> range:
    """The part of an update's global samples that process `rank` of `size` takes.

    Parts are contiguous, in the order of ranks, and differ by one sample at most; those of all ranks
    make up the whole. Which rank a sample falls to changes none of its random numbers.
    """
    assert 0 <= rank < size, f"rank {rank} of {size} processes"
    count = len(samples)
    return samples[count * rank // size : count * (rank + 1) // size]


def micro_batches(samples: range, most: int) -> Iterator[range]:
    """The samples in portions of `most`, in order; the last one may be smaller."""
    assert most >= 1, f"a micro-batch has at least one sample, not {most}"
    for start in range(0, len(samples), most):
        yield samples[start : start + most]
