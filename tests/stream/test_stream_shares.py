"""Shares of an update: together they are the whole, whatever the number of processes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zoo_core.stream.shares import micro_batches, share

UPDATES = st.tuples(st.integers(0, 2**40), st.integers(0, 300)).map(
    lambda pair: range(pair[0], pair[0] + pair[1])
)


@given(UPDATES, st.integers(1, 40))
def test_shares_make_up_the_whole_in_order(samples, size):
    parts = [share(samples, rank, size) for rank in range(size)]
    assert [index for part in parts for index in part] == list(samples)
    lengths = [len(part) for part in parts]
    assert max(lengths) - min(lengths) <= 1


@given(UPDATES, st.integers(1, 400))
def test_micro_batches_make_up_a_share_in_order(samples, most):
    portions = list(micro_batches(samples, most))
    assert [index for portion in portions for index in portion] == list(samples)
    assert all(len(portion) == most for portion in portions[:-1])
    assert all(1 <= len(portion) <= most for portion in portions)
