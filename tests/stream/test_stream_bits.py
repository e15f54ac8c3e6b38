"""Random words and their conversions: exact, independent of each other, and of the right shape."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from zoo_core.stream import purposes
from zoo_core.stream.bits import (
    bits,
    integers,
    key,
    normal,
    prompt_noise,
    to_integers,
    to_normal,
    to_uniform,
    uniform,
)
from zoo_core.stream.draws import latent_noise, noise, timesteps

GOLDEN = Path(__file__).parent / "golden_stream.json"


def test_words_are_philox_blocks_of_the_sample() -> None:
    seed, sample = 7, 12345
    reference = np.random.Philox(key=key(seed, "noise"), counter=[0, sample, 0, 0])
    np.testing.assert_array_equal(bits(seed, "noise", [sample], 11)[0], reference.random_raw(11))


def test_golden_values() -> None:
    """Remade by ``python -m tests.stream.remake_golden``, which must never be needed."""
    golden = json.loads(GOLDEN.read_text())
    assert len(golden["bits"]) >= 10
    for case in golden["bits"]:
        words = bits(case["seed"], case["purpose"], [case["index"]], len(case["words"]))
        assert [f"{word:016x}" for word in words[0]] == case["words"], case
    assert timesteps(0, range(8)).tolist() == golden["timesteps"]
    np.testing.assert_allclose(normal(0, "noise", [3], (6,))[0], golden["normals"], rtol=2e-7)


@given(
    seed=st.integers(0, 2**63 - 1),
    indices=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=20),
    words=st.integers(1, 9),
    data=st.data(),
)
def test_a_row_depends_on_its_index_alone(
    seed: int, indices: list[int], words: int, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(indices)))
    whole = bits(seed, "noise", indices, words)
    parts = [bits(seed, "noise", part, words) for part in (indices[:cut], indices[cut:])]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    np.testing.assert_array_equal(bits(seed, "noise", indices[::-1], words), whole[::-1])
    np.testing.assert_array_equal(bits(seed, "noise", indices, words + 3)[:, :words], whole)


def test_normals_do_not_depend_on_the_batch_or_the_shape() -> None:
    shape = (4, 32, 32)
    whole = noise(5, np.arange(40), shape)  # more than one inner block of words
    assert whole.shape == (40, *shape)
    assert whole.dtype == np.float32
    for sample in (0, 15, 16, 17, 39):
        np.testing.assert_array_equal(whole[sample], noise(5, [sample], shape)[0])
    np.testing.assert_array_equal(normal(5, "noise", [3], (7,))[0], whole[3].reshape(-1)[:7])
    assert normal(5, "noise", [], shape).shape == (0, *shape)


@given(
    word=st.integers(0, 2**64 - 1),
    below=st.one_of(st.integers(1, 50), st.integers(1, 2**63 - 1)),
)
def test_integers_are_the_upper_half_of_the_product(word: int, below: int) -> None:
    found = to_integers(np.array([word], dtype=np.uint64), below)
    assert found.tolist() == [word * below >> 64]


def test_conversions_at_the_ends_of_their_range() -> None:
    ends = np.array([0, 2**64 - 1], dtype=np.uint64)
    assert to_uniform(ends).tolist() == [0.0, 1 - 2.0**-53]
    pair = to_normal(
        np.array([[0, 0]], dtype=np.uint64)
    )  # the smallest uniform: the largest radius
    np.testing.assert_allclose(pair, [[np.sqrt(2 * 53 * np.log(2)), 0.0]], rtol=1e-6)
    flat = to_normal(np.array([[2**64 - 1, 0]], dtype=np.uint64))
    np.testing.assert_array_equal(flat, [[0.0, 0.0]])


def test_uniforms_and_integers_are_uniform() -> None:
    values = uniform(11, "caption-drop", np.arange(20_000), 2).reshape(-1)
    assert stats.kstest(values, "uniform").pvalue > 1e-4
    counts = np.bincount(integers(11, "timestep", np.arange(50_000), 100)[:, 0], minlength=100)
    assert stats.chisquare(counts).pvalue > 1e-4


def test_normals_are_normal_and_uncorrelated() -> None:
    values = noise(2, np.arange(2000), (4, 4, 4)).reshape(2000, 64)
    assert stats.kstest(values.reshape(-1), "norm").pvalue > 1e-4
    correlation = np.corrcoef(values.T) - np.eye(64)
    assert np.abs(correlation).max() < 5.5 / np.sqrt(2000)
    neighbours = np.corrcoef(values[:-1].reshape(-1), values[1:].reshape(-1))[0, 1]
    assert abs(neighbours) < 5 / np.sqrt(values.size)
    pairs = (values[:, 0::2] ** 2 + values[:, 1::2] ** 2).reshape(-1)  # chi-square, 2 degrees
    assert stats.kstest(pairs, "expon", args=(0, 2)).pvalue > 1e-4


def test_purposes_and_seeds_do_not_share_numbers() -> None:
    streams = {
        (seed, purpose): bits(seed, purpose, np.arange(500), 4).reshape(-1)
        for seed in (0, 1, 2**40)
        for purpose in purposes.ALL
    }
    assert len(streams) == 21
    together = np.concatenate(list(streams.values()))
    assert len(np.unique(together)) == together.size
    # Counters, keys and words are mixed: one bit of difference changes half the bits of the result.
    first, second = streams[0, purposes.NOISE], streams[1, purposes.NOISE]
    flipped = np.unpackbits((first ^ second).view(np.uint8)).mean()
    assert abs(flipped - 0.5) < 0.01
    uniforms = {name: to_uniform(words) for name, words in streams.items()}
    correlation = np.corrcoef(np.stack(list(uniforms.values()))) - np.eye(21)
    assert np.abs(correlation).max() < 5.5 / np.sqrt(2000)


def test_latent_noise_is_not_the_training_noise() -> None:
    pair = np.corrcoef(
        latent_noise(0, range(100), (64,)).reshape(-1), noise(0, range(100), (64,)).reshape(-1)
    )
    assert abs(pair[0, 1]) < 5 / np.sqrt(6400)


def test_prompt_noise_is_fixed_by_the_prompt() -> None:
    shape = (4, 8, 8)
    first = prompt_noise(0, "shapes-17", shape)
    assert first.shape == shape
    assert first.dtype == np.float32
    prompt_noise(0, "shapes-18", shape)
    np.testing.assert_array_equal(first, prompt_noise(0, "shapes-17", shape))
    assert not np.array_equal(first, prompt_noise(0, "shapes-18", shape))
    assert not np.array_equal(first, prompt_noise(1, "shapes-17", shape))
    assert not np.array_equal(prompt_noise(0, "é", shape), prompt_noise(0, "e", shape))


def test_timesteps_cover_the_whole_process() -> None:
    found = timesteps(0, range(20_000), 10)
    assert found.dtype == np.int64
    assert set(found.tolist()) == set(range(10))


@pytest.mark.parametrize("indices", [[-1], [0.5], [[0, 1]]])
def test_indices_that_are_none_are_refused(indices: list) -> None:
    with pytest.raises(AssertionError):
        bits(0, "noise", indices, 1)
