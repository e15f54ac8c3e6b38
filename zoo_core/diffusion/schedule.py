"""The forward process of latent diffusion, as diffusers computes it."""

from __future__ import annotations

from torch import Tensor

from zoo_core.recipe.sections import DiffusionSettings


class NoiseSchedule:
    """How noise is added over T steps, and what a backbone is trained to predict.

    With the default settings this is LDM's schedule (Rombach et al. 2022): 1000 steps whose square
    roots of beta run linearly from sqrt(0.00085) to sqrt(0.012), predicting the noise.
    """

    def __init__(self, settings: DiffusionSettings) -> None:
        from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

        self.settings = settings
        self._ddpm = DDPMScheduler(
            num_train_timesteps=settings.timesteps,
            beta_start=settings.beta_start,
            beta_end=settings.beta_end,
            beta_schedule=settings.beta_schedule,
        )

    @property
    def timesteps(self) -> int:
        """T, the length of the process; timesteps are 0..T-1."""
        return self.settings.timesteps

    @property
    def alphas_cumprod(self) -> Tensor:
        """float32 [T]: the share of the signal's variance that is left after each step."""
        return self._ddpm.alphas_cumprod

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Noisy latents [B, C, H, W]: sqrt(a_t) x + sqrt(1 - a_t) e (Ho et al. 2020, equation 4).

        latents, noise: [B, C, H, W] float; timesteps: [B] int64 in 0..T-1. In the dtype of `latents`.
        """
        return self._ddpm.add_noise(latents, noise, timesteps)  # [B, C, H, W]

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the backbone should predict, [B, C, H, W].

        The noise; or, for ``prediction = "v_prediction"``, sqrt(a_t) e - sqrt(1 - a_t) x (Salimans
        and Ho 2022, appendix D).
        """
        if self.settings.prediction == "epsilon":
            return noise
        return self._ddpm.get_velocity(latents, noise, timesteps)  # [B, C, H, W]
