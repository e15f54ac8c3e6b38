"""One update: gradient of the global batch from micro-batches, checked, clipped, applied."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from zoo_core.diffusion.objective import batch_share, training_loss
from zoo_core.diffusion.schedule import NoiseSchedule
from zoo_core.errors import TrainingError
from zoo_core.interfaces.backbone import Backbone
from zoo_core.interfaces.group import Group
from zoo_core.recipe import Recipe
from zoo_core.stream.shares import micro_batches, share
from zoo_gpu_trainer.average import WeightAverage
from zoo_gpu_trainer.config import GPUTrainerConfig
from zoo_gpu_trainer.feed import Feed
from zoo_gpu_trainer.phases import Phases
from zoo_gpu_trainer.processes import Processes
from zoo_gpu_trainer.shard import synchronise_gradients
from zoo_gpu_trainer.switches import wants_channels_last


@dataclass(frozen=True)
class Update:
    """What one update did. `gradient_norm` is the whole gradient's, before clipping."""

    loss: float
    gradient_norm: float
    learning_rate: float


@dataclass(frozen=True)
class Wishes:
    """What processes ask for at the end of a step; one that asks is enough."""

    stop: bool = False
    save: bool = False


class NotFinite(TrainingError):
    """The loss or the gradient of a step is not finite; no weight was changed.

    keys: the samples at fault, or all of the batch where the gradient does not tell.
    """

    def __init__(
        self, what: Literal["loss", "gradient"], step: int, keys: list[str], wishes: Wishes
    ) -> None:
        self.what = what
        self.keys = keys
        self.wishes = wishes
        more = f" and {len(keys) - 8} more" if len(keys) > 8 else ""
        super().__init__(
            f"The {what} of step {step + 1} is not finite (samples {', '.join(keys[:8])}{more}). The weights "
            f"were not changed and the last checkpoint stands. A lower optimizer.learning_rate, a longer "
            f"optimizer.warmup_steps or training.precision=fp32 usually helps; "
            f"training.on_nonfinite=skip or rollback passes over such batches."
        )


class Updater:
    """AdamW with linear warm-up and a constant rate (Li et al. 2024, section 3)."""

    def __init__(
        self,
        recipe: Recipe,
        config: GPUTrainerConfig,
        backbone: Backbone,
        feed: Feed,
        device: torch.device,
        group: Group,
        phases: Phases,
        micro_batch: int,
    ) -> None:
        settings = recipe.optimizer
        self.recipe = recipe
        self.config = config
        self.backbone = backbone
        self.feed = feed
        self.device = device
        self.group = group
        self.phases = phases
        self.micro_batch = micro_batch
        self.schedule = NoiseSchedule(recipe.diffusion)
        self.parameters = list(backbone.parameters())
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=settings.learning_rate,
            betas=(settings.beta1, settings.beta2),
            eps=settings.epsilon,
            weight_decay=settings.weight_decay,
            fused=config.fused,
        )
        self.average: WeightAverage | None = None
        if recipe.training.ema_decay:
            self.average = WeightAverage(backbone, recipe.training.ema_decay)
        self._channels_last = wants_channels_last(config, device)

    def learning_rate(self, step: int) -> float:
        """The rate of update number `step`, counted from 0."""
        settings = self.recipe.optimizer
        if step >= settings.warmup_steps:
            return settings.learning_rate
        return settings.learning_rate * (step + 1) / settings.warmup_steps

    def update(self, step: int, wishes: Wishes) -> tuple[Update, Wishes]:
        """Train on the global samples of update `step`: step * batch_size up to the next.

        Every process takes its share of them, `group.rank`'s from the front. Returns the wishes of
        all processes. Raises `NotFinite` in all of them, before any weight changes.
        """
        losses = self._gradient(step)
        with self.phases("exchange"):
            batch, agreed = self._exchange(losses, wishes)
        first = step * self.recipe.training.batch_size
        bad = np.flatnonzero(~np.isfinite(batch))
        if len(bad):
            self.forget()
            raise NotFinite("loss", step, self.feed.keys(first + bad), agreed)
        rate = self.learning_rate(step)
        with self.phases("optimizer"):
            limit = self.recipe.optimizer.gradient_clip or math.inf
            norm = torch.nn.utils.clip_grad_norm_(self.parameters, limit)
            gradient_norm = (norm.full_tensor() if isinstance(norm, DTensor) else norm).item()
            if math.isfinite(gradient_norm):
                for parameters in self.optimizer.param_groups:
                    parameters["lr"] = rate
                self.optimizer.step()
                if self.average is not None:
                    self.average.update()
            self.forget()
        if not math.isfinite(gradient_norm):
            everyone = np.arange(first, first + len(batch), dtype=np.int64)
            raise NotFinite("gradient", step, self.feed.keys(everyone), agreed)
        # Summed without rounding: the same losses give the same mean however they were divided.
        return Update(math.fsum(batch) / len(batch), gradient_norm, rate), agreed

    def forget(self) -> None:
        """Drop the gradient."""
        self.optimizer.zero_grad(set_to_none=True)

    def _gradient(self, step: int) -> Tensor:
        """Add up the gradient of this process's share; the loss of each sample, [B / W]."""
        training = self.recipe.training
        self.backbone.train()
        losses = []
        first = step * training.batch_size
        mine = share(range(first, first + training.batch_size), self.group.rank, self.group.size)
        for samples in micro_batches(mine, self.micro_batch):
            batch = self.feed.batch(samples)
            last = samples.stop == mine.stop
            with self.phases("forward_backward"):
                synchronise_gradients(self.backbone, last or self.config.reduce_every_micro_batch)
                latents = batch.latents
                if self._channels_last:
                    latents = latents.contiguous(memory_format=torch.channels_last)
                with torch.autocast(
                    self.device.type, dtype=torch.bfloat16, enabled=training.precision == "bf16"
                ):
                    loss = training_loss(
                        self.backbone,
                        latents,
                        batch.draw.noise,
                        batch.draw.timesteps,
                        batch.text.states,
                        batch.text.mask,
                        self.schedule,
                    )
                # Sharded gradients are averaged over the processes, and here they are to be added.
                (batch_share(loss, training.batch_size) * self.group.size).backward()
                losses.append(loss.detach())
        return torch.cat(losses)

    def _exchange(self, losses: Tensor, own: Wishes) -> tuple[np.ndarray, Wishes]:
        """The losses float64 [B] of the whole batch in the samples' order, and everyone's wishes."""
        mine = losses.double().cpu()
        if not isinstance(self.group, Processes):
            return mine.numpy(), own
        row = torch.cat([mine, torch.tensor([own.stop, own.save], dtype=torch.float64)])
        rows = self.group.all_rows(row)
        wishes = Wishes(stop=bool(rows[:, -2].any()), save=bool(rows[:, -1].any()))
        return rows[:, :-2].flatten().numpy(), wishes
