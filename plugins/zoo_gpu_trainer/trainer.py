"""The loop: from where the run folder stands to the recipe's last step."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch

from zoo_core.analysis.curve import save_curve
from zoo_core.errors import TrainingError
from zoo_core.evaluation.drawing import Painter
from zoo_core.evaluation.milestone import Evaluation, Evaluator
from zoo_core.interfaces.reporter import Reporter
from zoo_core.interfaces.trainer import Outcome, Trainer
from zoo_core.recipe import Recipe
from zoo_core.recipe.components import Components
from zoo_core.runs import checkpoints
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.logs import last_attempt
from zoo_core.runs.weights import restore_weights
from zoo_gpu_trainer.config import GPUTrainerConfig
from zoo_gpu_trainer.feed import Feed
from zoo_gpu_trainer.interrupt import StopRequest
from zoo_gpu_trainer.latents import cached_moments
from zoo_gpu_trainer.state import optimizer_tensors, restore_optimizer
from zoo_gpu_trainer.update import Update, Updater


def build(config: GPUTrainerConfig) -> GPUTrainer:
    """The trainer with its settings."""
    return GPUTrainer(config)


class GPUTrainer(Trainer):
    """Trains on one device; the paper's recipe (AdamW, warm-up, constant rate, epsilon loss)."""

    def __init__(self, config: GPUTrainerConfig) -> None:
        self.config = config

    def unavailable(self) -> str | None:
        return None  # PyTorch always has a processor to run on; a named device is checked in `fit`

    def fit(
        self, recipe: Recipe, components: Components, run: RunFolder, reporter: Reporter
    ) -> Outcome:
        if self.config.threads is not None:
            torch.set_num_threads(self.config.threads)
        device = choose_device(recipe)
        with StopRequest(reporter) as stop:
            loop = _Loop.open(self.config, recipe, components, run, reporter, stop, device)
            if loop is None:
                return Outcome(0, finished=False)
            return loop.run_to_end()


def choose_device(recipe: Recipe) -> torch.device:
    """The device of ``training.device``. Raises `TrainingError` when it is not there."""
    wanted = recipe.training.device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise TrainingError(
            "training.device is 'cuda', but torch sees no CUDA device here. Use --set training.device=cpu."
        )
    return torch.device(wanted)


@dataclass
class _Loop:
    """The parts of one call of `fit` and how far it has come."""

    recipe: Recipe
    run: RunFolder
    reporter: Reporter
    stop: StopRequest
    updater: Updater
    evaluator: Evaluator | None
    attempt: int
    begun_at: int
    step: int
    unlogged: list[Update]
    saved_at: int = -1

    @classmethod
    def open(
        cls,
        config: GPUTrainerConfig,
        recipe: Recipe,
        components: Components,
        run: RunFolder,
        reporter: Reporter,
        stop: StopRequest,
        device: torch.device,
    ) -> _Loop | None:
        """Everything built and the newest checkpoint loaded; None when interrupted on the way."""
        painter = Painter(
            recipe, components.vae().to(device), components.text_encoder().to(device), device
        )
        evaluator = Evaluator(recipe, components, painter) if recipe.metrics else None
        dataset = components.dataset()
        moments = None
        if recipe.data.cache:
            moments = cached_moments(
                dataset, painter.vae, device, config.encode_batch, reporter, stop
            )
            if moments is None:
                return None
        feed = Feed(recipe, dataset, painter.vae, painter.text_encoder, device, moments)
        # Initial weights depend on the seed alone, so equal seeds start equal on any machine.
        torch.manual_seed(recipe.training.seed)
        backbone = components.backbone().to(device)
        updater = Updater(recipe, backbone, feed, device)
        step, unlogged = _restore(recipe, run, updater, reporter)
        attempt = run.next_attempt()
        return cls(recipe, run, reporter, stop, updater, evaluator, attempt, step, step, unlogged)

    def run_to_end(self) -> Outcome:
        """Train to the last step or to the stop request; a checkpoint stands at the step returned."""
        with self.run.writer("events", self.attempt) as events:
            events.append({"event": "start", "step": self.step})
            self._train()
            finished = self.step >= self.recipe.training.steps and not self._is_due()
            events.append({"event": "finish" if finished else "interrupt", "step": self.step})
        return Outcome(self.step, finished)

    def _train(self) -> None:
        training = self.recipe.training
        if self._is_due():
            self._milestone()
        label = f"training {self.recipe.name}"
        total = training.steps * training.batch_size
        with (
            self.run.writer("train", self.attempt) as log,
            self.reporter.progress(
                label, total, "images", done=self.step * training.batch_size
            ) as progress,
        ):
            began = time.perf_counter()
            while self.step < training.steps and not self.stop():
                update = self.updater.update(self.step)
                self.step += 1
                self.unlogged.append(update)
                progress.advance(training.batch_size, f"loss {update.loss:.4f}")
                if self.step % training.log_every == 0 or self.step == training.steps:
                    log.append(self._line(time.perf_counter() - began))
                    began = time.perf_counter()
                    self.unlogged.clear()
                if self._is_milestone() or self.step % training.checkpoint_every == 0:
                    paused = time.perf_counter()
                    log.sync()
                    self._save()
                    if self._is_due():
                        self._milestone()
                    began += time.perf_counter() - paused
        if self.stop():
            self._save()

    def _line(self, seconds: float) -> dict[str, Any]:
        """A line of ``train.jsonl``: loss and gradient norm are means over the updates since the last."""
        updates = self.unlogged
        batch_size = self.recipe.training.batch_size
        return {
            "step": self.step,
            "images": self.step * batch_size,
            "loss": math.fsum(update.loss for update in updates) / len(updates),
            "gradient_norm": math.fsum(update.gradient_norm for update in updates) / len(updates),
            "learning_rate": updates[-1].learning_rate,
            "images_per_second": len(updates) * batch_size / seconds,
            "seconds": seconds,
        }

    def _is_milestone(self) -> bool:
        at_end = self.step == self.recipe.training.steps
        return at_end or (self.step > 0 and self.step % self.recipe.evaluation.every == 0)

    def _is_due(self) -> bool:
        """Whether the present weights are to be scored and were not.

        A score of this step counts when it was taken in this attempt, or when this attempt began at
        the checkpoint of that very step.
        """
        if self.evaluator is None or not self._is_milestone():
            return False
        return not any(
            row["step"] == self.step
            and (row["attempt"] == self.attempt or self.step == self.begun_at)
            for row in self.run.read_log("scores").rows
        )

    def _milestone(self) -> None:
        """Draw, score and record; leaves no score when stopped on the way."""
        assert self.evaluator is not None
        settings = self.recipe.evaluation
        final = self.step == self.recipe.training.steps
        limit = settings.final_prompts if final else settings.prompts
        began = time.perf_counter()
        evaluation = self.evaluator.evaluate(self.updater.backbone, limit, self.reporter, self.stop)
        if evaluation is not None:
            self._record(evaluation, time.perf_counter() - began)

    def _record(self, evaluation: Evaluation, seconds: float) -> None:
        evaluation.save_grid(self.run, self.step, self.recipe.evaluation.grid)
        images = self.step * self.recipe.training.batch_size
        with self.run.writer("scores", self.attempt) as log:
            for line in evaluation.lines:
                log.append(
                    {"step": self.step, "images": images, "seconds": seconds, **line.as_row()}
                )
        for line in evaluation.lines:
            score = line.score
            spread = "" if score.stderr is None else f" +/- {score.stderr:.3f}"
            self.reporter.say(
                f"step {self.step}: {score.metric} = {score.value:.3f}{spread} over {score.count} prompts"
            )
        rows = last_attempt(self.run.read_log("scores").rows)
        save_curve(self.run.path / "curve.png", rows, self.recipe.name)

    def _save(self) -> None:
        """Publish a checkpoint of this step, unless the attempt began at it."""
        if self.step == self.begun_at or self.step == self.saved_at:
            return
        updater = self.updater
        checkpoints.save(
            self.run,
            self.step,
            {
                "backbone": updater.backbone.state_dict(),
                "optimizer": optimizer_tensors(updater.optimizer, updater.backbone),
            },
            {"unlogged": [asdict(update) for update in self.unlogged]},
            samples=self.step * self.recipe.training.batch_size,
            variant=self.recipe.name,
            fingerprint=self.recipe.fingerprint(),
        )
        self.saved_at = self.step
        checkpoints.prune(self.run, self.recipe.training.keep_checkpoints)


def _restore(
    recipe: Recipe, run: RunFolder, updater: Updater, reporter: Reporter
) -> tuple[int, list[Update]]:
    """Load the newest good checkpoint: its step (0 without one) and the updates not yet logged then."""
    newest = checkpoints.latest(run, reporter.say)
    if newest is None:
        return 0, []
    newest.require(recipe.name, recipe.fingerprint())
    tensors, state = checkpoints.load(newest.path, verified=True)
    restore_weights(updater.backbone, tensors["backbone"])
    restore_optimizer(updater.optimizer, updater.backbone, tensors["optimizer"])
    reporter.say(f"Continuing from step {newest.step} of {recipe.training.steps}.")
    return newest.step, [Update(**update) for update in state["unlogged"]]
