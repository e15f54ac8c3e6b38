"""The TIFA score: mean over prompts of the share of questions answered as expected."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo_core.interfaces.metric import Metric, Score
from zoo_core.interfaces.prompts import Prompt
from zoo_core.interfaces.vqa import VQA
from zoo_tifa.config import TIFAConfig


def build(config: TIFAConfig, vqa: VQA) -> TIFA:
    """The metric with the question answering model its settings name."""
    return TIFA(config.vqa, vqa)


class TIFA(Metric):
    """Hu et al. 2023, section 3: accuracy over a prompt's questions, averaged over prompts.

    An answer counts when it equals the expected one, capitals and outer spaces aside. Prompts
    without questions are left out; the score says over how many prompts it was taken.
    """

    def __init__(self, vqa_name: str, vqa: VQA) -> None:
        self._vqa_name = vqa_name
        self._vqa = vqa

    @property
    def name(self) -> str:
        return f"tifa[{self._vqa_name}]"

    def score_images(
        self, prompts: Sequence[Prompt], images: Sequence[np.ndarray]
    ) -> list[dict[str, Any]]:
        """One row an image with questions: prompt, and for each question category, answer, verdict."""
        assert len(prompts) == len(images), "one image a prompt"
        rows = []
        for prompt, image in zip(prompts, images, strict=True):
            if not prompt.questions:
                continue
            answers = self._vqa.answer(image, prompt.questions)
            questions = [
                {
                    "question": question.question,
                    "element_type": question.element_type,
                    "choices": len(question.choices),
                    "expected": question.answer,
                    "answer": answer,
                    "right": _normal(answer) == _normal(question.answer),
                }
                for question, answer in zip(prompt.questions, answers, strict=True)
            ]
            rows.append({"prompt": prompt.id, "questions": questions})
        return rows

    def summarize(self, rows: Sequence[Mapping[str, Any]]) -> Score:
        """Value, standard error over prompts, and as details: `chance` (guessing uniformly among the
        choices), `stdev` over prompts, and the accuracy of each category as ``category.NAME``.
        """
        if not rows:
            raise ValueError(
                "TIFA needs at least one image whose prompt has questions; the prompt set has none."
            )
        by_type: dict[str, list[bool]] = defaultdict(list)
        scores, chances = [], []
        for row in sorted(rows, key=lambda row: row["prompt"]):
            questions = row["questions"]
            scores.append(sum(q["right"] for q in questions) / len(questions))
            chances.append(sum(1 / q["choices"] for q in questions) / len(questions))
            for question in questions:
                by_type[question["element_type"]].append(question["right"])
        count = len(scores)
        value = math.fsum(scores) / count
        details = {"chance": math.fsum(chances) / count}
        stderr = None
        if count > 1:
            stdev = math.sqrt(math.fsum((s - value) ** 2 for s in scores) / (count - 1))
            details["stdev"] = stdev
            stderr = stdev / math.sqrt(count)
        for category in sorted(by_type):
            verdicts = by_type[category]
            details[f"category.{category}"] = sum(verdicts) / len(verdicts)
        return Score(self.name, value, stderr, count, details)

    def protocol(self) -> dict[str, Any]:
        return {"variant": "tifa-1.0", "vqa": self._vqa_name, "vqa_hash": self._vqa.fingerprint()}


def _normal(answer: str) -> str:
    return answer.strip().lower()
