"""One update: gradient of the global batch from micro-batches, checked, clipped, applied."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import torch

from zoo_core.diffusion.objective import batch_mean, batch_share, training_loss
from zoo_core.diffusion.schedule import NoiseSchedule
from zoo_core.errors import TrainingError
from zoo_core.interfaces.backbone import Backbone
from zoo_core.recipe import Recipe
from zoo_gpu_trainer.feed import Feed


@dataclass(frozen=True)
class Update:
    """What one update did. `gradient_norm` is the whole gradient's, before clipping."""

    loss: float
    gradient_norm: float
    learning_rate: float


class Updater:
    """AdamW with linear warm-up and a constant rate (Li et al. 2024, section 3)."""

    def __init__(
        self, recipe: Recipe, backbone: Backbone, feed: Feed, device: torch.device
    ) -> None:
        settings = recipe.optimizer
        self.recipe = recipe
        self.backbone = backbone
        self.feed = feed
        self.device = device
        self.schedule = NoiseSchedule(recipe.diffusion)
        self.optimizer = torch.optim.AdamW(
            backbone.parameters(),
            lr=settings.learning_rate,
            betas=(settings.beta1, settings.beta2),
            eps=settings.epsilon,
            weight_decay=settings.weight_decay,
            fused=True,
        )

    def learning_rate(self, step: int) -> float:
        """The rate of update number `step`, counted from 0."""
        settings = self.recipe.optimizer
        if step >= settings.warmup_steps:
            return settings.learning_rate
        return settings.learning_rate * (step + 1) / settings.warmup_steps

    def update(self, step: int) -> Update:
        """Train on the global samples of update `step`: step * batch_size up to the next.

        Raises `TrainingError`, before any weight changes, when the loss or the gradient is not
        finite; it names the samples of the micro-batch.
        """
        training = self.recipe.training
        self.backbone.train()
        seen = []
        first = step * training.batch_size
        for start in range(first, first + training.batch_size, training.micro_batch):
            batch = self.feed.batch(start, start + training.micro_batch)
            with torch.autocast(
                self.device.type, dtype=torch.bfloat16, enabled=training.precision == "bf16"
            ):
                losses = training_loss(
                    self.backbone,
                    batch.latents,
                    batch.draw.noise,
                    batch.draw.timesteps,
                    batch.text.states,
                    batch.text.mask,
                    self.schedule,
                )
            finite = torch.isfinite(losses)
            if not finite.all():
                self._refuse("loss", step, batch.members[(~finite).cpu().numpy()])
            batch_share(losses, training.batch_size).backward()
            seen.append(losses)
        limit = self.recipe.optimizer.gradient_clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.backbone.parameters(), limit).item()
        if not math.isfinite(norm):
            self._refuse("gradient", step, batch.members)
        rate = self.learning_rate(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return Update(batch_mean(seen), norm, rate)

    def _refuse(self, what: str, step: int, members: np.ndarray) -> NoReturn:
        self.optimizer.zero_grad(set_to_none=True)
        keys = [self.feed.dataset[int(member)].key for member in members[:8]]
        more = f" and {len(members) - 8} more" if len(members) > 8 else ""
        raise TrainingError(
            f"The {what} of step {step + 1} is not finite (samples {', '.join(keys)}{more}). The weights "
            f"were not changed and the last checkpoint stands. A lower optimizer.learning_rate, a longer "
            f"optimizer.warmup_steps or training.precision=fp32 usually helps."
        )
