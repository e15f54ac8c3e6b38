"""The training objective, with its draws and its reduction independent of how a batch is cut."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from zoo_core.diffusion.schedule import NoiseSchedule
from zoo_core.interfaces.backbone import Backbone
from zoo_core.stream import draws


@dataclass(frozen=True)
class Draw:
    """What the objective draws for B samples: timesteps int64 [B], noise float32 [B, C, H, W]."""

    timesteps: Tensor
    noise: Tensor

    def to(self, device: torch.device) -> Draw:
        """The same draw on a device."""
        return Draw(self.timesteps.to(device), self.noise.to(device))


def draw(seed: int, indices: ArrayLike, shape: Sequence[int], timestep_count: int = 1000) -> Draw:
    """Timesteps and noise of global samples, on the CPU.

    Functions of the seed and each sample's index, so all backbones see the same. `shape` is that of
    one latent, [C, H, W]; timesteps are uniform over 0..timestep_count-1.
    """
    return Draw(
        timesteps=torch.from_numpy(draws.timesteps(seed, indices, timestep_count)),
        noise=torch.from_numpy(draws.noise(seed, indices, shape)),
    )


def training_loss(
    backbone: Backbone,
    latents: Tensor,
    noise: Tensor,
    timesteps: Tensor,
    text: Tensor,
    mask: Tensor | None,
    schedule: NoiseSchedule,
) -> Tensor:
    """The mean squared error of each sample's prediction (Ho et al. 2020, equation 14): float32 [B].

    latents, noise: [B, C, H, W] float, latents scaled to about unit variance. timesteps: [B] int64.
    text: [B, L, D]; mask: [B, L] bool or None. Not reduced over the batch: see `batch_share`.
    """
    noisy = schedule.add_noise(latents, noise, timesteps)  # [B, C, H, W]
    prediction = backbone(noisy, timesteps, text, mask)  # [B, C, H, W]
    target = schedule.target(latents, noise, timesteps)  # [B, C, H, W]
    assert prediction.shape == target.shape, f"{prediction.shape} for {target.shape}"
    return (prediction.float() - target.float()).square().flatten(1).mean(dim=1)  # [B]


def batch_share(losses: Tensor, global_batch: int) -> Tensor:
    """What a micro-batch adds to the loss of its global batch: the scalar to call `backward` on.

    The sum of its losses [B] over the size of the global batch. The shares of all micro-batches of
    all processes add up to the mean over the global batch, whatever their sizes.
    """
    return losses.sum() / global_batch


def batch_mean(losses: Iterable[Tensor]) -> float:
    """The mean of the losses [B] of several micro-batches, for the log.

    Summed without rounding, so the same losses give the same bits however they were divided.
    """
    values = [value for part in losses for value in part.detach().double().tolist()]
    assert values, "a batch has at least one sample"
    return math.fsum(values) / len(values)
