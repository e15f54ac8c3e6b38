"""The distance on Gaussians whose distance is known, and the statistics it is made of."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from zoo_fid.distance import frechet_distance, influence, one_blas_thread
from zoo_fid.statistics import FeatureStatistics, StreamingStatistics


def statistics(features: np.ndarray) -> FeatureStatistics:
    collected = StreamingStatistics(features.shape[1])
    collected.add(features)
    return collected.result()


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return frechet_distance(statistics(a), statistics(b)).distance


def draw(seed: int, count: int, dimensions: int, scale: float = 1.0) -> np.ndarray:
    """Correlated samples float64 [N, D]."""
    generator = np.random.default_rng(seed)
    mixing = generator.standard_normal((dimensions, dimensions)) / math.sqrt(dimensions)
    return generator.standard_normal((count, dimensions)) @ mixing * scale + generator.normal()


def in_the_covariance_form(of: FeatureStatistics) -> FeatureStatistics:
    assert of.centred is not None
    covariance = of.centred.T @ of.centred / (of.count - 1)
    return FeatureStatistics(of.count, of.mean, covariance=covariance)


SIZES = st.tuples(st.integers(2, 24), st.integers(2, 24), st.integers(1, 12))


@given(SIZES, st.integers(0, 2**32 - 1))
def test_the_distance_is_the_definition_by_a_matrix_square_root(sizes, seed):
    """Against sqrtm of the symmetric form A^(1/2) B A^(1/2), from eigenvectors."""
    first, second, dimensions = sizes
    a, b = draw(seed, first, dimensions), draw(seed + 1, second, dimensions)
    one, two = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    squares, vectors = np.linalg.eigh(one)
    root = vectors * np.sqrt(np.maximum(squares, 0)) @ vectors.T
    inner = np.linalg.eigvalsh(root @ two @ root)
    shift = a.mean(axis=0) - b.mean(axis=0)
    trace = np.sqrt(np.maximum(inner, 0)).sum()
    expected = shift @ shift + np.trace(one) + np.trace(two) - 2 * trace
    scale = np.trace(one) + np.trace(two) + shift @ shift
    assert distance(a, b) == pytest.approx(max(0, expected), abs=1e-6 * scale)
    assert distance(a, b) == pytest.approx(distance(b, a), abs=1e-7 * scale)
    assert distance(a, a) == pytest.approx(0, abs=1e-12 * scale)


@pytest.mark.parametrize(("first", "second"), [(500, 400), (20, 30), (20, 400), (500, 30)])
def test_gaussians_of_one_shape_have_a_closed_form(first, second):
    """With B = c^2 A the distance is |m - n|^2 + (c - 1)^2 tr A, whatever the form of the statistics."""
    a = draw(3, first, 64)
    b = a[:second] if second <= first else np.concatenate([a, a])[:second]
    if first == second or second < first:
        a = b
    shift = np.linspace(-1, 1, 64)
    own = statistics(a)
    expected = shift @ shift + (1.5 - 1) ** 2 * own.variance
    assert distance(a, a * 1.5 - own.mean * 0.5 + shift) == pytest.approx(expected, rel=1e-9)


def test_both_forms_give_one_distance():
    a, b = draw(0, 30, 48), draw(1, 40, 48)
    rows = [statistics(x) for x in (a, b)]
    squares = [in_the_covariance_form(x) for x in rows]
    expected = frechet_distance(*rows).distance
    for first in (rows[0], squares[0]):
        for second in (rows[1], squares[1]):
            found = frechet_distance(first, second).distance
            # The eigenvalues of a singular product are exact to the root of the machine's precision.
            assert found == pytest.approx(expected, rel=1e-6)


def test_features_that_never_move_do_no_harm():
    """As with units that stay at zero for all images: the covariance has no Cholesky factor."""
    a, b = draw(0, 400, 16), draw(1, 300, 16)
    still = np.zeros((400, 5))
    padded = distance(np.hstack([a, still]), np.hstack([b, still[:300]]))
    assert padded == pytest.approx(distance(a, b), rel=1e-9)
    assert distance(np.hstack([a, still]), np.hstack([a, still])) == pytest.approx(0, abs=1e-9)


def test_the_parts_add_up_and_the_mean_is_one_of_them():
    a = draw(0, 200, 8)
    terms = frechet_distance(statistics(a), statistics(a + 3))
    assert terms.mean == pytest.approx(9 * 8)
    assert terms.covariance == pytest.approx(0, abs=1e-10)
    assert terms.distance == terms.mean + max(terms.covariance, -terms.mean)


# --- Statistics -------------------------------------------------------------------------------------


@given(
    st.integers(1, 6),
    st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(lambda parts: sum(parts) > 1),
    st.integers(0, 2**32 - 1),
)
def test_portions_do_not_change_a_bit(dimensions, portions, seed):
    rows = np.random.default_rng(seed).standard_normal((sum(portions), dimensions)) + 100
    whole = statistics(rows)
    collected = StreamingStatistics(dimensions)
    for start, size in zip(np.cumsum([0, *portions]), portions, strict=False):
        collected.add(rows[start : start + size])
    found = collected.result()
    assert len(collected) == found.count == len(rows)
    for name, value in whole.arrays().items():
        assert np.array_equal(value, found.arrays()[name]), name
    assert ("centred" in whole.arrays()) == (len(rows) <= dimensions)


@given(st.integers(1, 5), st.integers(2, 40), st.integers(2, 40), st.floats(0, 1e7))
def test_merging_is_stable_under_a_large_offset(dimensions, first, second, offset):
    generator = np.random.default_rng(first * 41 + second)
    rows = generator.standard_normal((first + second, dimensions)).round(3) + offset
    left, right = StreamingStatistics(dimensions), StreamingStatistics(dimensions)
    left.add(rows[:first])
    right.add(rows[first:])
    left.merge(right)
    assert len(right) == second, "the other one is unchanged"
    found = left.result()
    near = rows - offset  # of small numbers numpy's own covariance is exact enough
    expected = np.atleast_2d(np.cov(near, rowvar=False))
    if found.covariance is None:
        found = in_the_covariance_form(found)
    assert found.covariance == pytest.approx(expected, abs=1e-13 * (1 + offset) + 1e-12)
    assert found.mean == pytest.approx(rows.mean(axis=0), rel=1e-14)


def test_memory_is_that_of_two_square_matrices():
    collected = StreamingStatistics(32)
    for seed in range(50):
        collected.add(draw(seed, 100, 32))
    held = sum(block.shape[0] for block in collected._waiting)
    assert held <= 32
    assert collected.result().covariance.shape == (32, 32)


def test_float32_features_are_summed_up_as_float64():
    rows = np.full((3000, 2), 0.1, dtype=np.float32)
    rows[0] = 1e4
    found = statistics(rows)
    assert found.mean == pytest.approx(rows.astype(np.float64).mean(axis=0), rel=1e-15)
    assert found.covariance.dtype == np.float64


def test_one_sample_has_no_covariance():
    collected = StreamingStatistics(3)
    collected.add(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="at least 2 samples, not 1"):
        collected.result()


def test_arrays_of_a_file_come_back_or_are_refused():
    for rows in (draw(0, 5, 8), draw(0, 50, 8)):
        found = FeatureStatistics.from_arrays(statistics(rows).arrays())
        assert frechet_distance(found, statistics(rows)).distance == pytest.approx(0, abs=1e-9)
    broken = {**statistics(draw(0, 5, 8)).arrays(), "mean": np.zeros(7)}
    with pytest.raises(ValueError, match="no feature statistics"):
        FeatureStatistics.from_arrays(broken)


# --- Influence --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "others", "dimensions"), [(60, 80, 6), (60, 80, 100), (60, 40, 100)]
)
def test_influence_is_what_leaving_a_sample_out_does(count, others, dimensions):
    a, b = draw(5, count, dimensions), draw(6, others, dimensions, 1.3) + 0.2
    own, other = statistics(a), statistics(b)
    figures = influence([a[:5], a[5:]], own, other)
    assert figures.sum() == pytest.approx(0, abs=1e-8 * np.abs(figures).sum())
    whole = frechet_distance(own, other).distance
    left_out = np.array([distance(np.delete(a, i, axis=0), b) for i in range(count)])
    jackknife = (count - 1) * (whole - left_out)
    # Both are the derivative but for terms of the order of 1 / N, the same for all up to that order.
    assert np.corrcoef(figures, jackknife)[0, 1] > 0.85
    assert figures.std() == pytest.approx(jackknife.std(), rel=0.25)


@pytest.mark.parametrize(("count", "dimensions"), [(50, 4), (8, 16)])
def test_influence_is_the_derivative_by_a_samples_weight(count, dimensions):
    """Weights as fractions: N copies of all samples and one copy more of sample i."""
    a, b = draw(7, count, dimensions), draw(8, 90, dimensions, 0.8)
    own, other = statistics(a), statistics(b)
    figures = influence([a], own, other)
    step = 1e-5

    def weighted(i: int, sign: int) -> float:
        weights = np.ones(count)
        weights[i] += sign * step * count
        weights /= weights.sum()
        mean = weights @ a
        centred = (a - mean) * np.sqrt(weights * count)[:, None]
        moved = FeatureStatistics(count, mean, centred=centred)
        if own.centred is None:
            moved = in_the_covariance_form(moved)
        return frechet_distance(moved, other).distance

    for i in range(0, count, 7):
        slope = (weighted(i, 1) - weighted(i, -1)) / (2 * step)
        assert figures[i] == pytest.approx(slope, rel=1e-3, abs=1e-4 * np.abs(figures).max())


def test_the_standard_error_is_the_deviation_over_repetitions():
    other = statistics(draw(1, 2000, 10))
    mixing = draw(2, 10, 10)
    values, errors = [], []
    for seed in range(150):
        rows = np.abs(np.random.default_rng(seed).standard_normal((120, 10))) @ mixing
        own = statistics(rows)
        values.append(frechet_distance(own, other).distance)
        errors.append(influence([rows], own, other).std() / math.sqrt(120))
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.15)


def test_linear_algebra_runs_on_one_thread_and_is_as_before_afterwards():
    def threads() -> list[int]:
        return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]

    before = threads()
    assert before, "numpy has a BLAS that threadpoolctl knows"
    with one_blas_thread():
        assert set(threads()) == {1}
    assert threads() == before
