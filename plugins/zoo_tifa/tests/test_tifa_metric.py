"""The TIFA score on answers whose score is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_core.evaluation.rows import decode, encode
from zoo_core.interfaces.prompts import Prompt, Question
from zoo_core.interfaces.vqa import VQA
from zoo_tifa.config import TIFAConfig
from zoo_tifa.metric import build

IMAGE = np.zeros((8, 8, 3), dtype=np.uint8)


class Recorded(VQA):
    """Answers read from a table."""

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers = answers

    def answer(self, image, questions):
        return [self.answers[question.question] for question in questions]

    def fingerprint(self) -> str:
        return "recorded"


def _prompt(name: str, *expected: str, parents: dict[int, tuple[int, ...]] | None = None) -> Prompt:
    questions = tuple(
        Question(
            f"{name} {place}?",
            ("yes", "no"),
            answer,
            "object" if place % 2 else "color",
            parents=(parents or {}).get(place, ()),
        )
        for place, answer in enumerate(expected)
    )
    return Prompt(name, name, questions)


def _metric(answers: dict[str, str]):
    return build(TIFAConfig(vqa="recorded"), vqa=Recorded(answers))


def test_score_is_the_mean_over_prompts_not_over_questions():
    prompts = [_prompt("a", "yes"), _prompt("b", "yes", "yes", "no", "no")]
    metric = _metric({"a 0?": "yes", "b 0?": "no", "b 1?": " Yes ", "b 2?": "yes", "b 3?": "yes"})
    score = metric.summarize(metric.score_images(prompts, [IMAGE, IMAGE]))
    assert score.metric == "tifa[recorded]"
    assert score.value == pytest.approx((1 + 1 / 4) / 2)
    assert score.count == 2
    assert score.details["chance"] == pytest.approx(0.5)
    assert score.details["category.object"] == pytest.approx(1 / 2)
    assert score.details["category.color"] == pytest.approx(1 / 3)
    assert score.details["stdev"] == pytest.approx(np.std([1, 0.25], ddof=1))
    assert score.stderr == pytest.approx(np.std([1, 0.25], ddof=1) / np.sqrt(2))


def test_an_answer_outside_the_choices_is_wrong():
    metric = _metric({"a 0?": ""})
    assert metric.summarize(metric.score_images([_prompt("a", "yes")], [IMAGE])).value == 0


def test_no_questions_is_an_error_that_says_so():
    metric = _metric({})
    assert metric.score_images([Prompt("a", "a")], [IMAGE]) == []
    with pytest.raises(ValueError, match="needs at least one image"):
        metric.summarize([])


@given(
    st.lists(st.lists(st.booleans(), min_size=1, max_size=5), min_size=1, max_size=8), st.randoms()
)
@settings(max_examples=25, deadline=None)
def test_rows_merge_in_any_order_to_the_same_score(verdicts, random):
    prompts = [_prompt(f"p{n}", *["yes"] * len(row)) for n, row in enumerate(verdicts)]
    answers = {
        question.question: "yes" if right else "no"
        for prompt, row in zip(prompts, verdicts, strict=True)
        for question, right in zip(prompt.questions, row, strict=True)
    }
    metric = _metric(answers)
    rows = metric.score_images(prompts, [IMAGE] * len(prompts))
    shuffled = random.sample(rows, len(rows))
    assert metric.summarize(rows) == metric.summarize(shuffled)
    assert metric.summarize(rows).value == pytest.approx(
        np.mean([np.mean(row) for row in verdicts])
    )


def test_the_interval_is_over_prompts():
    prompts = [_prompt(f"p{n}", "yes", "yes") for n in range(12)]
    answers = {
        f"p{n} {place}?": "yes" if (n + place) % 3 else "no" for n in range(12) for place in (0, 1)
    }
    score = _metric(answers).summarize(_metric(answers).score_images(prompts, [IMAGE] * 12))
    assert score.interval is not None
    assert score.interval[0] < score.value < score.interval[1]


def test_several_images_of_a_prompt_count_as_one():
    prompts = [_prompt("a", "yes"), _prompt("b", "yes")]
    metric = _metric({"a 0?": "yes", "b 0?": "no"})
    rows = metric.score_images([prompts[0], prompts[0], prompts[1]], [IMAGE] * 3)
    assert metric.summarize(rows).value == 0.5
    assert metric.summarize(rows).count == 2


def test_a_question_counts_as_wrong_when_its_parent_fails():
    """A chain 0 <- 1 <- 2 beside 3: 0 fails, so 1 is void; 2 counts, since 1 was answered right."""
    parents = {1: (0,), 2: (1,)}
    prompts = [_prompt("a", "yes", "yes", "yes", "yes", parents=parents), _prompt("b", "yes")]
    metric = _metric({"a 0?": "no", "a 1?": "yes", "a 2?": "yes", "a 3?": "yes", "b 0?": "yes"})
    score = metric.summarize(metric.score_images(prompts, [IMAGE, IMAGE]))
    assert score.value == (3 / 4 + 1) / 2
    assert score.details["dependency_aware"] == (2 / 4 + 1) / 2
    assert score.details["dependency_aware.questions"] == 2
    assert score.details["dependency_aware.voided"] == 1
    assert score.details["dependency_aware.stderr"] == pytest.approx(
        np.std([0.5, 1], ddof=1) / 2**0.5
    )
    lower, upper = (score.details[f"dependency_aware.{end}"] for end in ("lower", "upper"))
    assert lower <= score.details["dependency_aware"] <= upper


def test_any_failing_parent_voids():
    prompt = _prompt("a", "yes", "yes", "yes", parents={2: (0, 1)})
    for wrong in (0, 1):
        answers = {f"a {place}?": "no" if place == wrong else "yes" for place in range(3)}
        metric = _metric(answers)
        score = metric.summarize(metric.score_images([prompt], [IMAGE]))
        assert score.value == pytest.approx(2 / 3)
        assert score.details["dependency_aware"] == pytest.approx(1 / 3)


def test_without_parents_there_is_no_second_figure():
    metric = _metric({"a 0?": "yes"})
    score = metric.summarize(metric.score_images([_prompt("a", "yes")], [IMAGE]))
    assert not any(key.startswith("dependency_aware") for key in score.details)


def test_rows_survive_being_kept():
    prompts = [_prompt("a", "yes", "no", parents={1: (0,)}), _prompt("b", "yes")]
    metric = _metric({"a 0?": "yes", "a 1?": "", "b 0?": "maybe"})
    for some in (prompts, prompts[1:]):
        rows = metric.score_images(some, [IMAGE] * len(some))
        kept, _ = decode(encode(rows, {}, metric.name))
        assert kept == rows
        assert metric.summarize(kept) == metric.summarize(rows)


def test_name_and_protocol_say_how_answers_become_choices():
    metric = _metric({})
    assert metric.name == "tifa[recorded]"
    assert metric.protocol()["matching"] == "literal"
    assert metric.protocol()["variant"] == "tifa-1.0, literal answers"
    assert metric.needs == {"questions"}
