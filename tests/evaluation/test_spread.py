"""The bootstrap over prompts: right, repeatable, and blind to order."""

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from zoo_core.evaluation.spread import bootstrap_interval

GOLDEN = (0.4357142857142858, 1.385714285714286)
VALUES = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40)


@settings(max_examples=50, deadline=None)
@given(VALUES, st.randoms())
def test_order_and_names_do_not_matter(values, random):
    shuffled = random.sample(values, len(values))
    interval = bootstrap_interval(values, resamples=50)
    assert bootstrap_interval(shuffled, resamples=50) == interval
    named = {f"p{place}": value for place, value in enumerate(shuffled)}
    assert bootstrap_interval(named, resamples=50) == interval


@settings(max_examples=50, deadline=None)
@given(VALUES)
def test_the_interval_is_within_the_values_and_in_order(values):
    lower, upper = bootstrap_interval(values, resamples=50)
    slack = 1e-9 * max(1.0, max(map(abs, values)))
    assert min(values) - slack <= lower <= upper <= max(values) + slack


def test_it_agrees_with_scipy():
    values = np.random.default_rng(3).beta(2, 1, size=60)
    ours = bootstrap_interval(list(values), resamples=20_000)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    spread = values.std(ddof=1) / math.sqrt(values.size)
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.08 * spread)


def test_it_covers_the_true_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(1)
    inside = 0
    for _ in range(400):
        lower, upper = bootstrap_interval(list(generator.uniform(size=50)), resamples=400)
        inside += lower <= 0.5 <= upper
    assert 0.90 <= inside / 400 <= 0.98


def test_it_narrows_with_the_level_and_with_more_prompts():
    values = list(np.random.default_rng(2).normal(size=200))
    wide, narrow = bootstrap_interval(values), bootstrap_interval(values, level=0.5)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    fourfold = bootstrap_interval(values * 4)
    assert (fourfold[1] - fourfold[0]) / (wide[1] - wide[0]) == pytest.approx(0.5, rel=0.1)


def test_a_seed_is_a_function():
    values = [0.0, 0.25, 0.5, 1.0, 1.0]
    assert bootstrap_interval(values) == bootstrap_interval(values)
    values = list(np.random.default_rng(4).normal(size=99))
    assert bootstrap_interval(values, seed=0) != bootstrap_interval(values, seed=1)


def test_the_numbers_stay_the_same_for_good():
    values = [0.1, 0.4, 0.45, 0.7, 0.9, 1.3, 2.2]
    assert bootstrap_interval(values) == pytest.approx(GOLDEN, abs=1e-12)


def test_one_prompt_has_no_spread():
    assert bootstrap_interval([0.7]) == (0.7, 0.7)


@pytest.mark.parametrize(
    ("values", "words"), [([], "at least one prompt"), ([0.5, math.nan], "finite")]
)
def test_what_cannot_be_resampled_is_refused(values, words):
    with pytest.raises(ValueError, match=words):
        bootstrap_interval(values)


def test_ten_thousand_prompts_take_about_a_second():
    values = list(np.random.default_rng(5).uniform(size=10_000))
    began = time.perf_counter()
    bootstrap_interval(values)
    assert time.perf_counter() - began < 10  # measured 0.6 s on one busy core
