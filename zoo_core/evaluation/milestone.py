"""One point of a learning curve: draw the prompts, score them, keep the grid and the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from zoo_core.evaluation.drawing import Painter
from zoo_core.evaluation.grid import save_grid
from zoo_core.evaluation.protocol import fingerprint, protocol
from zoo_core.interfaces.backbone import Backbone
from zoo_core.interfaces.metric import Score
from zoo_core.interfaces.prompts import Prompt
from zoo_core.interfaces.reporter import Reporter
from zoo_core.recipe import Recipe
from zoo_core.recipe.components import Components
from zoo_core.runs.folder import RunFolder


class Evaluator:
    """Scores a backbone under a recipe's protocol, as often as asked. Built once a process."""

    def __init__(self, recipe: Recipe, components: Components, painter: Painter) -> None:
        self.recipe = recipe
        self.prompts = components.prompts()
        self.metrics = components.metrics()
        self.painter = painter

    def evaluate(
        self,
        backbone: Backbone,
        limit: int | None,
        reporter: Reporter,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Evaluation | None:
        """Draw the first `limit` prompts (all when None) and score them; None when interrupted."""
        prompts = list(self.prompts.prompts(limit))
        images = self.painter.draw(backbone, prompts, reporter, interrupted)
        if len(images) < len(prompts):
            return None
        lines = []
        rows: dict[str, list[dict[str, Any]]] = {}
        for metric in self.metrics:
            rows[metric.name] = metric.score_images(prompts, images)
            score = metric.summarize(rows[metric.name])
            ingredients = protocol(self.recipe, self.prompts, len(prompts), metric)
            lines.append(ScoreLine(score, ingredients))
        return Evaluation(prompts, images, lines, rows)


@dataclass(frozen=True)
class ScoreLine:
    """A score with the protocol it was taken under."""

    score: Score
    ingredients: dict[str, Any]

    def as_row(self) -> dict[str, Any]:
        """The line of ``scores.jsonl``, without step and attempt."""
        row = asdict(self.score)
        row["protocol"] = fingerprint(self.ingredients)
        row["ingredients"] = self.ingredients
        return row


@dataclass(frozen=True)
class Evaluation:
    """Images uint8 [H, W, 3] and scores of one checkpoint; `rows` by metric, one an image."""

    prompts: Sequence[Prompt]
    images: Sequence[np.ndarray]
    lines: Sequence[ScoreLine]
    rows: dict[str, list[dict[str, Any]]]

    def save_grid(self, run: RunFolder, step: int, count: int) -> None:
        """Write the first images with their prompts to ``samples/step-NNNNNN.png``."""
        captions = [prompt.text for prompt in self.prompts[:count]]
        save_grid(run.samples / f"step-{step:06d}.png", self.images[:count], captions)
