"""The loop: from where the run folder stands to the recipe's last step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from types import TracebackType
from typing import Any, Self

import torch

from zoo_core.errors import CheckpointError
from zoo_core.evaluation.milestone import Evaluator
from zoo_core.interfaces.group import Group
from zoo_core.interfaces.reporter import Reporter
from zoo_core.interfaces.trainer import Outcome
from zoo_core.recipe import Recipe
from zoo_core.runs import checkpoints
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.loggers import Loggers, training_scalars
from zoo_gpu_trainer import memory
from zoo_gpu_trainer.interrupt import StopRequest
from zoo_gpu_trainer.milestones import Milestones
from zoo_gpu_trainer.patience import PatientLog
from zoo_gpu_trainer.processes import Processes
from zoo_gpu_trainer.saver import OPTIMIZER, Saver
from zoo_gpu_trainer.state import (
    optimizer_moments,
    optimizer_steps,
    restore_average,
    restore_backbone,
    restore_optimizer,
    whole,
)
from zoo_gpu_trainer.update import NotFinite, Update, Updater, Wishes


class Loop:
    """One call of `fit` in one process, and how far it has come."""

    def __init__(
        self,
        recipe: Recipe,
        run: RunFolder,
        group: Group,
        reporter: Reporter,
        stop: StopRequest,
        updater: Updater,
        evaluator: Evaluator | None,
        machine: memory.Machine,
        loggers: Loggers,
    ) -> None:
        self.recipe = recipe
        self.run = run
        self.group = group
        self.reporter = reporter
        self.stop = stop
        self.updater = updater
        self.machine = machine
        self.loggers = loggers
        self.data = updater.feed.dataset.fingerprint()
        self.attempt = group.broadcast(run.next_attempt() if group.leads else 0)
        self.stopping = False
        self.passed_over = 0
        self.unlogged: list[Update] = []
        self._open = ExitStack()
        self._train: PatientLog | None = None
        self._events: PatientLog | None = None
        if group.leads:
            say = reporter.say
            self._train = self._open.enter_context(
                PatientLog(run.writer("train", self.attempt), say)
            )
            self._events = self._open.enter_context(
                PatientLog(run.writer("events", self.attempt), say)
            )
        self.saver = Saver(run, recipe, group, self._save_failed)
        self.step = 0
        restored = self._restore()
        if restored is not None:
            self.step, state = restored
            self.unlogged = [Update(**update) for update in state["unlogged"]]
            reporter.say(f"Continuing from step {self.step} of {recipe.training.steps}.")
        self.begun_at = self.step
        self.milestones = Milestones(
            recipe, run, group, reporter, evaluator, self.attempt, self.begun_at, loggers
        )
        loggers.start(run.path, recipe.to_table(), self.step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.saver.close()
        self._open.__exit__(kind, error, trace)

    def run_to_end(self) -> Outcome:
        """Train to the last step or to the stop request; a checkpoint stands at the step returned."""
        training = self.recipe.training
        self._event("start", data=self.data, machine=asdict(self.machine))
        self._milestone()
        total = training.steps * training.batch_size
        done = self.step * training.batch_size
        label = f"training {self.recipe.name}"
        with self.reporter.progress(label, total, "images", done=done) as progress:
            began = time.perf_counter()
            while self.step < training.steps and not self.stopping:
                update = self._update()
                if update is not None:
                    self.unlogged.append(update)
                    progress.advance(training.batch_size, f"loss {update.loss:.4f}")
                if self.step % training.log_every == 0 or self.step == training.steps:
                    began = self._log(began)
                paused = time.perf_counter()
                if self._saves_at(self.step):
                    self._save()
                self._milestone()
                began += time.perf_counter() - paused
        return self._end()

    def _update(self) -> Update | None:
        """One step forward; None when its batch was passed over."""
        wishes = Wishes(stop=self.stop(), save=self.saver.wants_retry)
        while True:
            try:
                update, agreed = self.updater.update(self.step, wishes)
            except torch.OutOfMemoryError:
                if self.recipe.training.micro_batch != "auto":
                    raise
                self._use_less_memory()
                continue
            except NotFinite as problem:
                agreed = problem.wishes
                self._pass_over(problem)
                update = None
            else:
                self.step += 1
                self.passed_over = 0
            self.stop.stepping = True
            self.stopping = self.stopping or agreed.stop
            if agreed.save:
                self._save()
                self.milestones.try_record()
            return update

    def _use_less_memory(self) -> None:
        """Halve the micro-batch and go on; the samples of the step stay the same."""
        self.updater.forget()
        smaller = memory.lowered(self.machine.micro_batch)
        self.machine = replace(self.machine, micro_batch=smaller)
        memory.record(self.run, self.machine)
        if self.group.size > 1:
            raise memory.OutOfMemory
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.updater.micro_batch = smaller
        self.reporter.say(f"Out of memory; going on with a micro-batch of {smaller}.")
        self._event("micro-batch", micro_batch=smaller)

    def _pass_over(self, problem: NotFinite) -> None:
        """Do as ``training.on_nonfinite`` says; the step counts, so the stream goes on."""
        training = self.recipe.training
        self.passed_over += 1
        if training.on_nonfinite == "stop" or self.passed_over > training.nonfinite_limit:
            self._event("nonfinite", what=problem.what, samples=problem.keys)
            raise problem
        self._event(training.on_nonfinite, what=problem.what, samples=problem.keys)
        at = self.step + 1
        if training.on_nonfinite == "skip":
            self.reporter.say(
                f"The {problem.what} of step {at} is not finite; its batch is skipped."
            )
        else:
            # Not to where an interrupt happened to leave one: a restart must not change the result.
            restored = self._restore(self._saves_at)
            if restored is None:
                raise CheckpointError(
                    f"{problem} There is no checkpoint to go back to yet: use training.on_nonfinite=skip, "
                    f"or a smaller training.checkpoint_every."
                )
            self.unlogged.clear()
            self.reporter.say(
                f"The {problem.what} of step {at} is not finite; going on after it with the weights of "
                f"step {restored[0]}."
            )
        self.step = at

    def _restore(
        self, among: Callable[[int], bool] = lambda step: True
    ) -> tuple[int, dict[str, Any]] | None:
        """Load the newest good checkpoint: its step and state. None, with nothing done, without one."""
        self.saver.wait()
        found = None
        if self.group.leads:
            found = checkpoints.latest(self.run, self.reporter.say, among)
        found = self.group.broadcast(found)
        if found is None:
            return None
        found.require(self.recipe.name, self.recipe.fingerprint())
        tensors, state = checkpoints.load(found.path, verified=True)
        if state["data"] != self.data:
            raise CheckpointError(
                f"{found.path}: trained on data of fingerprint {state['data'][:12]}, but the dataset's is "
                f"{self.data[:12]} now. Restore the data, or choose another folder with --run."
            )
        updater = self.updater
        restore_backbone(updater.backbone, tensors["backbone"])
        if updater.average is not None:
            restore_average(updater.average.tensors, tensors["ema"])
        restore_optimizer(
            updater.optimizer,
            updater.backbone,
            found.path / OPTIMIZER,
            state["optimizer_steps"],
            self.group.saving if isinstance(self.group, Processes) else None,
        )
        return found.step, state

    def _saves_at(self, step: int) -> bool:
        """Whether the recipe wants a checkpoint of `step`."""
        return self.milestones.here(step) or step % self.recipe.training.checkpoint_every == 0

    def _save(self) -> None:
        """Begin a checkpoint of this step, unless there is one."""
        if self.step in (self.begun_at, self.saver.saved_step):
            return None
        updater = self.updater
        with updater.phases("checkpoint"):
            # A checkpoint says that all before it is logged, so the log comes first.
            if not self.group.broadcast(self._train is None or self._train.sync()):
                return self.saver.refuse(self.step, "the training log cannot be written.")
            leads = self.group.leads
            weights = {"backbone": whole(updater.backbone.state_dict().items(), leads)}
            if updater.average is not None:
                weights["ema"] = whole(updater.average.tensors.items(), leads)
            state = {
                "unlogged": [asdict(update) for update in self.unlogged],
                "optimizer_steps": optimizer_steps(updater.optimizer),
                "data": self.data,
            }
            moments = optimizer_moments(updater.optimizer, updater.backbone)
            return self.saver.save(self.step, weights, moments, state)

    def _save_failed(self, step: int, reason: str) -> None:
        self.reporter.say(f"{reason} Training goes on and tries again.")
        self._event("checkpoint-failed", at=step, reason=reason)

    def _milestone(self) -> None:
        """Score the present weights where that is due and was not done."""
        if self.stopping or not self.milestones.due(self.step):
            return
        with self.updater.phases("checkpoint"):
            self.saver.wait()
        with self.updater.phases("evaluation"):
            done = self.milestones.score(self.updater.backbone, self.step, self.stop)
        self.stopping = self.stopping or not done

    def _log(self, began: float) -> float:
        """Write a line of ``train.jsonl``; means are over the updates since the last one."""
        updates, phases = self.unlogged, self.updater.phases.take()
        seconds = time.perf_counter() - began
        if self._train is not None and updates:
            batch_size = self.recipe.training.batch_size
            images = self.step * batch_size
            row = {
                "step": self.step,
                "images": images,
                "loss": math.fsum(update.loss for update in updates) / len(updates),
                "gradient_norm": math.fsum(u.gradient_norm for u in updates) / len(updates),
                "learning_rate": updates[-1].learning_rate,
                "images_per_second": len(updates) * batch_size / seconds,
                "seconds": seconds,
                "phases": phases,
            }
            self._train.append(row)
            self.loggers.scalars(training_scalars(row), self.step, images)
        updates.clear()
        return time.perf_counter()

    def _end(self) -> Outcome:
        """A checkpoint of the last step, on the disk, whatever it takes."""
        self._save()
        self.saver.wait()
        if self.group.broadcast(self.saver.failed):
            self._save()
            self.saver.wait()
        self.milestones.record_late()
        if self.group.broadcast(self.saver.failed):
            raise CheckpointError(
                f"{self.run.checkpoints}: the checkpoint of step {self.step} could not be written. Free "
                f"some space; the same command continues from the one before."
            )
        finished = self.step >= self.recipe.training.steps and not self.milestones.due(self.step)
        finished = self.group.broadcast(finished)
        self._event("finish" if finished else "interrupt")
        return Outcome(self.step, finished)

    def _event(self, event: str, **details: Any) -> None:
        if self._events is not None:
            self._events.append({"event": event, "step": self.step, **details})
