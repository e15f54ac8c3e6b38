"""Deterministic sampling with classifier-free guidance."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from zoo_core.diffusion.schedule import NoiseSchedule
from zoo_core.errors import ConfigError
from zoo_core.interfaces.backbone import Backbone
from zoo_core.interfaces.text_encoder import TextStates
from zoo_core.recipe.sections import SamplingSettings


@torch.no_grad()
def sample_latents(
    backbone: Backbone,
    text: TextStates,
    uncond: TextStates,
    noise: Tensor,
    settings: SamplingSettings,
    schedule: NoiseSchedule,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Latents float32 [B, C, H, W], scaled as in training, by DDIM (Song et al. 2021, eta 0).

    text: states [B, L, D] of the captions. uncond: states [1, L, D] of the empty caption, of the same
    length. noise: [B, C, H, W], unit normal, the only randomness. Each step runs the backbone once on
    2B inputs and extrapolates from the unconditional to the conditional prediction by
    ``settings.guidance`` (Ho and Salimans 2022); with guidance 1 it runs on B inputs and `uncond` is
    not used. Timesteps are those of Stable Diffusion: leading spacing, offset 1.

    The backbone's mode, autocast and device are the caller's. `progress` is called with (steps done,
    steps in all). A prompt's latents do not depend on the rest of the batch, rounding aside. Raises
    `ConfigError` when the process is too short for the steps asked for.
    """
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    check_steps(settings.steps, schedule.timesteps)
    process = schedule.settings
    scheduler = DDIMScheduler(
        num_train_timesteps=process.timesteps,
        beta_start=process.beta_start,
        beta_end=process.beta_end,
        beta_schedule=process.beta_schedule,
        prediction_type=process.prediction,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="leading",
    )
    scheduler.set_timesteps(settings.steps)
    guided = settings.guidance != 1
    states, mask = _doubled(text, uncond) if guided else (text.states, text.mask)
    latents = noise.float()  # [B, C, H, W]; DDIM's initial noise has unit variance
    for done, timestep in enumerate(scheduler.timesteps.tolist(), start=1):
        inputs = torch.cat([latents, latents]) if guided else latents  # [2B or B, C, H, W]
        steps = torch.full((len(inputs),), timestep, dtype=torch.int64, device=latents.device)
        prediction = backbone(inputs, steps, states, mask).float()  # [2B or B, C, H, W]
        if guided:
            without, given = prediction.chunk(2)  # [B, C, H, W] each
            prediction = without + settings.guidance * (given - without)
        latents = scheduler.step(prediction, timestep, latents, eta=0.0).prev_sample
        if progress is not None:
            progress(done, settings.steps)
    return latents


def check_steps(steps: int, timesteps: int) -> None:
    """Raise `ConfigError` unless `steps` sampling steps fit a process of `timesteps` steps.

    Leading spacing with offset 1 starts at 1 + (steps - 1) * (timesteps div steps), which must exist.
    """
    if steps > timesteps or 1 + (steps - 1) * (timesteps // steps) >= timesteps:
        raise ConfigError(
            f"sampling.steps is {steps}, but the diffusion process has {timesteps} steps; "
            f"expected at most {max(1, timesteps - 1)}. Lower it: --set sampling.steps=50.",
            key="sampling.steps",
        )


def _doubled(text: TextStates, uncond: TextStates) -> tuple[Tensor, Tensor | None]:
    """States [2B, L, D] and mask [2B, L] (or None) of both halves, the unconditional one first."""
    batch = len(text.states)
    assert uncond.states.shape == (1, *text.states.shape[1:]), "states of one empty caption"
    states = torch.cat([uncond.states.expand(batch, -1, -1).to(text.states), text.states])
    if text.mask is None and uncond.mask is None:
        return states, None
    return states, torch.cat([_mask(uncond).expand(batch, -1), _mask(text)])


def _mask(text: TextStates) -> Tensor:
    """The mask [B, L], made of True where there is none."""
    if text.mask is not None:
        return text.mask
    return torch.ones(text.states.shape[:2], dtype=torch.bool, device=text.states.device)
