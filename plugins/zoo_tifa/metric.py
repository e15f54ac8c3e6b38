"""The TIFA score: mean over prompts of the share of questions answered as expected."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np

from zoo_core.evaluation.mean import mean_score
from zoo_core.interfaces.metric import Metric, Need, Score
from zoo_core.interfaces.prompts import Prompt
from zoo_core.interfaces.vqa import VQA
from zoo_tifa.choices import Literal, Matching, Nearest
from zoo_tifa.config import TIFAConfig
from zoo_tifa.dependencies import with_dependencies
from zoo_tifa.sentences import build_encoder

#: The second figure, among the details of the score.
DEPENDENT = "dependency_aware"


def build(config: TIFAConfig, vqa: VQA) -> TIFA:
    """The metric with the question answering model and the embedding its settings name.

    Raises `ConfigError` when the embedding's files are missing or are others.
    """
    matching: Matching = Literal()
    if config.embedding:
        matching = Nearest(build_encoder(config.weights, config.sha256))
    return TIFA(config.vqa, vqa, matching)


@final
class TIFA(Metric):
    """Hu et al. 2023, section 3: accuracy over a prompt's questions, averaged over prompts.

    The model is asked freely, and its answer becomes a choice. With an embedding this is TIFA v1.0, and
    the name says which: ``tifa[blip-vqa-base+all-mpnet-base-v2]``. Without one an answer counts when it
    equals the expected one, capitals and outer spaces aside: for models that answer with a choice.
    Prompts without questions are left out; the score says over how many prompts it was taken.
    """

    def __init__(self, vqa_name: str, vqa: VQA, matching: Matching) -> None:
        self._vqa_name = vqa_name
        self._vqa = vqa
        self._matching = matching

    @property
    def name(self) -> str:
        return f"tifa[{'+'.join(filter(None, (self._vqa_name, self._matching.name)))}]"

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"questions"})

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
            questions = []
            for question, answer in zip(prompt.questions, answers, strict=True):
                choice = self._matching.choose(answer, question.choices)
                questions.append(
                    {
                        "question": question.question,
                        "element_type": question.element_type,
                        "choices": len(question.choices),
                        "expected": question.answer,
                        "answer": answer,
                        "choice": choice,
                        "right": choice == question.answer,
                        "parents": list(question.parents),
                    }
                )
            rows.append({"prompt": prompt.id, "questions": questions})
        return rows

    def summarize(self, rows: Sequence[Mapping[str, Any]]) -> Score:
        """Value, standard error and interval over prompts, and as details:

        `chance` (guessing uniformly among the choices), those of `mean_score`, the accuracy of each
        category over all its questions as ``category.NAME``, and where questions have parents the
        figures of `DEPENDENT`: the score when a question counts as wrong once a parent fails, its
        standard error and interval, how many questions have parents, and how many right answers were
        voided. Where no question has parents there is no second figure: it would be the first again.
        Sums are exact, so that neither order nor the number of processes changes a digit; mean and
        deviation are those of TIFA's own code.
        """
        if not rows:
            raise ValueError(
                "TIFA needs at least one image whose prompt has questions; the prompt set has none."
            )
        by_type: dict[str, list[int]] = defaultdict(list)
        scores: list[dict[str, Any]] = []
        dependent: list[dict[str, Any]] = []
        chances = []
        children = voided = 0
        for row in rows:
            questions = row["questions"]
            verdicts = [int(question["right"]) for question in questions]
            counted = [int(verdict) for verdict in with_dependencies(questions)]
            scores.append({"prompt": row["prompt"], "score": statistics.mean(verdicts)})
            dependent.append({"prompt": row["prompt"], "score": statistics.mean(counted)})
            chances.append(sum(1 / question["choices"] for question in questions) / len(questions))
            children += sum(len(question["parents"]) > 0 for question in questions)
            voided += sum(verdicts) - sum(counted)
            for question, verdict in zip(questions, verdicts, strict=True):
                by_type[question["element_type"]].append(verdict)
        score = mean_score(self.name, scores)
        details = {"chance": math.fsum(chances) / len(chances), **score.details}
        for category in sorted(by_type):
            details[f"category.{category}"] = statistics.mean(map(float, by_type[category]))
        if children:
            second = mean_score(DEPENDENT, dependent)
            assert second.interval is not None
            details[DEPENDENT] = second.value
            if second.stderr is not None:
                details[f"{DEPENDENT}.stderr"] = second.stderr
            details[f"{DEPENDENT}.lower"], details[f"{DEPENDENT}.upper"] = second.interval
            details[f"{DEPENDENT}.questions"] = children
            details[f"{DEPENDENT}.voided"] = voided
        return replace(score, details=details)

    def protocol(self) -> dict[str, Any]:
        return {
            "variant": "tifa-1.0" if self._matching.name else "tifa-1.0, literal answers",
            "vqa": self._vqa_name,
            "vqa_hash": self._vqa.fingerprint(),
            "matching": self._matching.protocol(),
        }
