"""The trainer: its parts built and put together, in every process of the group."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from zoo_core.errors import TrainingError
from zoo_core.evaluation.drawing import Painter
from zoo_core.evaluation.milestone import Evaluator
from zoo_core.interfaces.group import Group
from zoo_core.interfaces.reporter import Reporter
from zoo_core.interfaces.trainer import Outcome, Trainer
from zoo_core.recipe import Recipe
from zoo_core.recipe.components import Components
from zoo_core.runs import checkpoints
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.loggers import Loggers
from zoo_core.runs.weights import load_initial_weights
from zoo_gpu_trainer import memory
from zoo_gpu_trainer.config import GPUTrainerConfig
from zoo_gpu_trainer.feed import Feed
from zoo_gpu_trainer.interrupt import StopRequest
from zoo_gpu_trainer.latents import cached_moments
from zoo_gpu_trainer.launch import launch
from zoo_gpu_trainer.loop import Loop
from zoo_gpu_trainer.phases import Phases
from zoo_gpu_trainer.processes import choose_device, device_count, joined
from zoo_gpu_trainer.shard import shard, sharding
from zoo_gpu_trainer.switches import prepare
from zoo_gpu_trainer.update import Updater

#: How gloo words that the process at the other end is gone.
_LOST = ("Connection reset by peer", "Connection closed by peer", "Broken pipe")


def build(config: GPUTrainerConfig) -> GPUTrainer:
    """The trainer with its settings."""
    return GPUTrainer(config)


class GPUTrainer(Trainer):
    """The paper's recipe (AdamW, warm-up, constant rate, epsilon loss) on one device or many."""

    def __init__(self, config: GPUTrainerConfig) -> None:
        self.config = config

    def unavailable(self) -> str | None:
        return None  # PyTorch always has a processor to run on; a named device is checked in `fit`

    def processes(self, recipe: Recipe) -> int:
        return self.config.processes or device_count(recipe)

    def launch(self, recipe: Recipe, arguments: Sequence[str], reporter: Reporter) -> None:
        processes = self.processes(recipe)
        check_batch(recipe, processes)
        threads = self.config.threads or max(1, (os.cpu_count() or 1) // processes)
        launch(arguments, processes, self.config.max_restarts, threads, reporter)

    @contextmanager
    def group(self, recipe: Recipe) -> Iterator[Group]:
        with joined(recipe, self.config) as group:
            try:
                yield group
            except RuntimeError as error:
                if group.size > 1 and any(sign in str(error) for sign in _LOST):
                    raise TrainingError(
                        f"Process {group.rank} lost another process of the run, which says why if it could. "
                        f"The last checkpoint stands."
                    ) from error
                raise

    def fit(
        self,
        recipe: Recipe,
        components: Components,
        run: RunFolder,
        group: Group,
        reporter: Reporter,
    ) -> Outcome:
        check_batch(recipe, group.size)
        device = choose_device(recipe)
        machine = self._machine(recipe, run, group, device)
        torch.set_num_threads(machine.threads)
        with StopRequest(reporter) as stop:
            phases = Phases(device)
            sinks = components.loggers() if group.leads else {}
            painter = Painter(
                recipe,
                components.vae().to(device),
                components.text_encoder().to(device),
                device,
                group,
            )
            evaluator = None
            if recipe.metrics:
                evaluator = Evaluator(recipe, components, painter, group)
            dataset = components.dataset()
            moments = None
            if recipe.data.cache:
                moments = cached_moments(
                    dataset, painter.vae, device, self.config.encode_batch, reporter, group
                )
            feed = Feed(recipe, dataset, painter.vae, painter.text_encoder, device, moments, phases)
            # Initial weights depend on the seed alone, so equal seeds start equal on any machine.
            torch.manual_seed(recipe.training.seed)
            backbone = components.backbone()
            begun = group.broadcast(group.leads and bool(checkpoints.published(run)))
            if recipe.training.init_from and not begun:
                loaded = load_initial_weights(
                    backbone,
                    Path(recipe.training.init_from),
                    recipe.training.init_sha256 or None,
                    reporter.say,
                )
                reporter.say(loaded.sentence())
            backbone.to(device)
            prepare(backbone, self.config, device)
            mode = sharding(self.config, group)
            if mode != "none":
                shard(backbone, mode, self.config, device)
            updater = Updater(
                recipe, self.config, backbone, feed, device, group, phases, machine.micro_batch
            )
            with (
                Loggers(sinks, reporter.say) as loggers,
                Loop(
                    recipe, run, group, reporter, stop, updater, evaluator, machine, loggers
                ) as loop,
            ):
                return loop.run_to_end()

    def _machine(
        self, recipe: Recipe, run: RunFolder, group: Group, device: torch.device
    ) -> memory.Machine:
        """Device, threads and micro-batch of this start: the last one's where they still fit."""
        share = recipe.training.batch_size // group.size
        threads = self.config.threads or torch.get_num_threads()
        micro_batch = memory.first_micro_batch(recipe.training.micro_batch, share, device)
        name = memory.device_name(device)
        before = memory.recorded(run) if group.leads else None
        if before and (before.device, before.processes) == (name, group.size):
            threads = self.config.threads or before.threads
            if recipe.training.micro_batch == "auto":
                micro_batch = min(before.micro_batch, share)
        machine = group.broadcast(memory.Machine(name, group.size, threads, micro_batch))
        if group.leads:
            memory.record(run, machine)
        return machine


def check_batch(recipe: Recipe, processes: int) -> None:
    """Raise `TrainingError` unless the batch divides evenly over the processes."""
    batch = recipe.training.batch_size
    if batch % processes:
        fits = max(count for count in range(1, processes + 1) if batch % count == 0)
        raise TrainingError(
            f"training.batch_size {batch} does not divide over {processes} processes. {fits} processes "
            f"would fit (trainer.processes={fits}), or a batch of {(batch // processes + 1) * processes}."
        )
