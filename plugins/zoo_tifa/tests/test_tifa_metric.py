"""The TIFA score on answers whose score is known."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def _prompt(name: str, *expected: str) -> Prompt:
    questions = tuple(
        Question(f"{name} {place}?", ("yes", "no"), answer, "object" if place % 2 else "color")
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


def test_the_published_sample_comes_out():
    """TIFA's own sample result: 19 questions on two images, 0.8125 with deviation 0.2652."""
    folder = Path(os.environ.get("ZOO_TEST_DATA", "../shared/data")) / "tifa"
    if not folder.is_dir():
        pytest.skip(f"the public TIFA sample is not at {folder}; point ZOO_TEST_DATA at its parent")
    published = json.loads((folder / "sample_evaluation_result.json").read_text())
    prompts, answers = [], {}
    for name, details in published["question_details"].items():
        questions = []
        for text, entry in details.items():
            questions.append(
                Question(text, tuple(entry["choices"]), entry["answer"], entry["element_type"])
            )
            answers[text] = entry.get("multiple_choice_vqa", entry.get("prediction_vqa"))
        prompts.append(Prompt(name, name, tuple(questions)))
    metric = _metric(answers)
    score = metric.summarize(metric.score_images(prompts, [IMAGE] * len(prompts)))
    assert sum(len(prompt.questions) for prompt in prompts) == 19
    assert score.value == pytest.approx(published["tifa_average"])
    assert score.details["stdev"] == pytest.approx(published["tifa_stdev"])
    for category, accuracy in published["accuracy_by_type"].items():
        assert score.details[f"category.{category}"] == pytest.approx(accuracy)
