"""The order of the dataset: a bijection each epoch, random access, no pattern."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from zoo_core.stream.order import dataset_index

GOLDEN = Path(__file__).parent / "golden_stream.json"


@given(seed=st.integers(0, 2**63 - 1), length=st.integers(1, 2500), epoch=st.integers(0, 2**40))
def test_every_epoch_visits_everything_once(seed: int, length: int, epoch: int) -> None:
    order = dataset_index(seed, np.arange(length) + epoch * length, length)
    np.testing.assert_array_equal(np.sort(order), np.arange(length))


@given(
    seed=st.integers(0, 2**63 - 1),
    length=st.integers(1, 10**12),
    samples=st.lists(st.integers(0, 2**62), min_size=1, max_size=10),
)
def test_random_access_equals_any_batch(seed: int, length: int, samples: list[int]) -> None:
    together = dataset_index(seed, samples, length)
    assert together.dtype == np.int64
    assert together.min() >= 0
    assert together.max() < length
    alone = [int(dataset_index(seed, [sample], length)[0]) for sample in samples]
    assert together.tolist() == alone


def test_golden_order() -> None:
    """Remade by ``python -m tests.stream.remake_golden``."""
    golden = json.loads(GOLDEN.read_text())["order"]
    assert set(golden) == {"3", "10", "610000000"}
    for length, order in golden.items():
        assert dataset_index(0, range(12), int(length)).tolist() == order


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    length = 1000
    epochs = dataset_index(3, np.arange(3 * length), length).reshape(3, length)
    other = dataset_index(4, np.arange(length), length)
    for first, second in itertools.combinations([*epochs, other, np.arange(length)], 2):
        assert (first == second).sum() < 12  # one place in a thousand agrees by chance
        assert abs(stats.spearmanr(first, second).statistic) < 5 / np.sqrt(length)


@pytest.mark.parametrize("length", [2, 3, 4])
def test_all_orders_of_a_tiny_dataset_are_equally_likely(length: int) -> None:
    epochs = 6000
    orders = dataset_index(1, np.arange(epochs * length), length).reshape(epochs, length)
    found = dict.fromkeys(itertools.permutations(range(length)), 0)
    for order in orders.tolist():
        found[tuple(order)] += 1
    assert stats.chisquare(list(found.values())).pvalue > 1e-4


@pytest.mark.parametrize("length", [16, 17, 100])
def test_every_place_gets_every_sample_equally_often(length: int) -> None:
    epochs = 4000
    orders = dataset_index(2, np.arange(epochs * length), length).reshape(epochs, length)
    for place in (0, 1, length // 2, length - 1):
        counts = np.bincount(orders[:, place], minlength=length)
        assert stats.chisquare(counts).pvalue > 1e-5
    steps = np.bincount((orders[:, 1] - orders[:, 0]) % length, minlength=length)[1:]
    assert stats.chisquare(steps).pvalue > 1e-5  # neighbours in the order are unrelated


def test_a_dataset_needs_a_sample() -> None:
    with pytest.raises(AssertionError):
        dataset_index(0, [0], 0)
