"""Scoring at milestones: which are due, and what is recorded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from zoo_core.analysis.curve import save_curve
from zoo_core.errors import RunError
from zoo_core.evaluation.milestone import Evaluator
from zoo_core.evaluation.result import Evaluation, ScoreLine
from zoo_core.interfaces.backbone import Backbone
from zoo_core.interfaces.group import Group
from zoo_core.interfaces.reporter import Reporter
from zoo_core.recipe import Recipe
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.loggers import Loggers, score_scalars
from zoo_core.runs.logs import last_attempt


@dataclass
class _Result:
    """An evaluation, and those of its lines that are not yet in the log."""

    evaluation: Evaluation
    step: int
    seconds: float
    lines: list[ScoreLine]


class Milestones:
    """The points of a run's learning curve."""

    def __init__(
        self,
        recipe: Recipe,
        run: RunFolder,
        group: Group,
        reporter: Reporter,
        evaluator: Evaluator | None,
        attempt: int,
        begun_at: int,
        loggers: Loggers,
    ) -> None:
        self.recipe = recipe
        self.run = run
        self.group = group
        self.reporter = reporter
        self.evaluator = evaluator
        self.attempt = attempt
        self.begun_at = begun_at
        self.loggers = loggers
        self._late: list[_Result] = []

    def here(self, step: int) -> bool:
        """Whether `step` is a milestone: a multiple of ``evaluation.every``, or the last."""
        return step == self.recipe.training.steps or (
            step > 0 and step % self.recipe.evaluation.every == 0
        )

    def due(self, step: int) -> bool:
        """Whether the weights of `step` are to be scored and were not; the leader knows, for all.

        A score of this step counts when it was taken in this attempt, or when this attempt began at
        the checkpoint of that very step.
        """
        if self.evaluator is None or not self.here(step):
            return False
        scored = self.group.leads and any(
            row["step"] == step and (row["attempt"] == self.attempt or step == self.begun_at)
            for row in self.run.read_log("scores").rows
            if "by" not in row  # those of `zoo eval` may be of other prompts
        )
        return not self.group.broadcast(scored)

    def score(self, backbone: Backbone, step: int, stop: Callable[[], bool]) -> bool:
        """Draw, score and record; False, with no score, when stopped on the way.

        The checkpoint of `step` is published before, so that an interrupted scoring goes on where it was.
        """
        assert self.evaluator is not None
        settings = self.recipe.evaluation
        final = step == self.recipe.training.steps
        limit = settings.final_prompts if final else settings.prompts
        began = time.perf_counter()
        evaluation = self.evaluator.evaluate(
            backbone, limit, self.reporter, stop, run=self.run, step=step
        )
        if evaluation is None:
            return False
        if self.group.leads:
            seconds = time.perf_counter() - began
            self._late.append(_Result(evaluation, step, seconds, list(evaluation.lines)))
            for line in evaluation.lines:
                score = line.score
                spread = "" if score.stderr is None else f" +/- {score.stderr:.3f}"
                self.reporter.say(
                    f"step {step}: {score.metric} = {score.value:.3f}{spread} over {score.count} prompts"
                )
            self.try_record()
        return True

    def try_record(self) -> None:
        """Write down what is not yet, or say why it cannot be."""
        try:
            self.record_late()
        except (OSError, RunError) as error:
            self.reporter.say(f"{error} The scores are kept and tried again.")

    def record_late(self) -> None:
        """Write down what is not yet. Raises `RunError` or OSError when the disk refuses it."""
        while self._late:
            result = self._late[0]
            images = result.step * self.recipe.training.batch_size
            with self.run.writer("scores", self.attempt) as log:
                while result.lines:
                    about = {"step": result.step, "images": images, "seconds": result.seconds}
                    row = {**about, **result.lines[0].as_row()}
                    log.append(row)
                    self.loggers.scalars(score_scalars([row]), result.step, images)
                    result.lines.pop(0)
            result.evaluation.save_grid(self.run, result.step, self.recipe.evaluation.grid)
            grid = self.run.samples / f"step-{result.step:06d}.png"
            self.loggers.image("samples", grid, result.step)
            rows = last_attempt(self.run.read_log("scores").rows)
            save_curve(self.run.path / "curve.png", rows, self.recipe.name)
            self._late.pop(0)
