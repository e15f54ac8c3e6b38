"""The mean over prompts, with its spread, whatever the order of rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_core.evaluation.mean import mean_score


def test_prompts_count_alike_however_many_images_they_have():
    rows = [{"prompt": "a", "score": 1.0}, {"prompt": "b", "score": 0.0}]
    more = [*rows, {"prompt": "a", "score": 1.0}, {"prompt": "a", "score": 1.0}]
    assert mean_score("m", rows) == mean_score("m", more)
    score = mean_score("m", more)
    assert (score.value, score.count) == (0.5, 2)
    assert score.details == {"min": 0.0, "max": 1.0, "stdev": pytest.approx(0.5**0.5)}
    assert score.stderr == pytest.approx(0.5)
    assert score.interval == (0.0, 1.0)


def test_one_prompt_has_no_standard_error():
    score = mean_score("m", [{"prompt": "a", "figure": 0.25}], key="figure")
    assert (score.value, score.stderr, score.interval) == (0.25, None, (0.25, 0.25))


def test_nothing_to_average_is_an_error():
    with pytest.raises(ValueError, match="clip-score needs at least one image"):
        mean_score("clip-score", [])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20), st.randoms())
def test_the_order_of_rows_does_not_matter_to_any_bit(values, random):
    rows = [{"prompt": str(n // 2), "score": value} for n, value in enumerate(values)]
    shuffled = random.sample(rows, len(rows))
    score = mean_score("m", rows)
    assert score == mean_score("m", shuffled)
    prompts = [np.mean(values[n : n + 2]) for n in range(0, len(values), 2)]
    assert score.value == pytest.approx(np.mean(prompts), abs=1e-12)
