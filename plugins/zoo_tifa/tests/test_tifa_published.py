"""TIFA's own files: the sample's result comes out exactly, and the benchmark's prompts are read."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo_core.interfaces.prompts import Question
from zoo_core.interfaces.vqa import VQA
from zoo_tifa.config import TIFAConfig, TIFAFileConfig
from zoo_tifa.metric import build
from zoo_tifa.prompts import TIFAPrompts

FOLDER = Path(os.environ.get("ZOO_TEST_DATA", "../shared/data")) / "tifa"
IMAGE = np.zeros((8, 8, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder() -> Path:
    if not FOLDER.is_dir():
        pytest.skip(f"TIFA's sample is not at {FOLDER}; point ZOO_TEST_DATA at its parent")
    return FOLDER


class Published(VQA):
    """The answers that the sample's result lists, by prompt."""

    def __init__(self, result: dict[str, Any], key: str) -> None:
        self.answers = {
            question: entry[key]
            for entries in result["question_details"].values()
            for question, entry in entries.items()
        }

    def answer(self, image: np.ndarray, questions: Sequence[Question]) -> list[str]:
        return [self.answers[question.question] for question in questions]

    def fingerprint(self) -> str:
        return "the sample's answers"


@pytest.mark.parametrize("key", ["free_form_vqa", "multiple_choice_vqa"])
def test_the_published_sample_comes_out_exactly(folder, key):
    result = json.loads((folder / "sample_evaluation_result.json").read_text())
    config = TIFAFileConfig(
        path=str(folder / "sample_question_answers.json"),
        texts=str(folder / "sample_text_inputs.json"),
    )
    prompts = TIFAPrompts(config).prompts()
    metric = build(TIFAConfig(vqa="published"), vqa=Published(result, key))
    rows = metric.score_images(prompts, [IMAGE] * len(prompts))
    score = metric.summarize(rows)
    assert sum(len(prompt.questions) for prompt in prompts) == 19
    assert score.value == result["tifa_average"] == 0.8125
    assert score.details["stdev"] == result["tifa_stdev"]
    categories = {
        name.removeprefix("category."): value
        for name, value in score.details.items()
        if name.startswith("category.")
    }
    assert categories == result["accuracy_by_type"]
    for row in rows:
        mean = sum(question["right"] for question in row["questions"]) / len(row["questions"])
        assert mean == result["caption_scores"][row["prompt"]]


def test_the_files_agree_with_the_result(folder):
    prompts = TIFAPrompts(TIFAFileConfig(path=str(folder / "sample_question_answers.json")))
    result = json.loads((folder / "sample_evaluation_result.json").read_text())
    assert {prompt.id for prompt in prompts.prompts()} == set(result["question_details"])
    for prompt in prompts.prompts():
        entries = result["question_details"][prompt.id]
        assert [question.question for question in prompt.questions] == list(entries)
        for question in prompt.questions:
            entry = entries[question.question]
            assert prompt.text == entry["caption"]
            assert question.choices == tuple(entry["choices"])
            assert question.answer == entry["answer"]
            assert question.element == entry["element"]


def test_the_benchmarks_prompts_are_read(folder):
    """All 4081, of which only the sample's two have questions here."""
    prompts = TIFAPrompts(
        TIFAFileConfig(
            path=str(folder / "sample_question_answers.json"),
            texts=str(folder / "tifa_v1.0_text_inputs.json"),
        )
    )
    assert len(prompts) == 4081
    assert sum(len(prompt.questions) for prompt in prompts.prompts()) == 19
    assert prompts.prompts(1)[0].id == "coco_301091"
    alone = TIFAPrompts(TIFAFileConfig(path=str(folder / "tifa_v1.0_text_inputs.json")))
    assert [p.text for p in alone.prompts()] == [p.text for p in prompts.prompts()]
