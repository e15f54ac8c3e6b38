"""Drawing a prompt set with a backbone: text states once, noise fixed per prompt, fixed batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from zoo_core.adapters.pixels import to_images
from zoo_core.diffusion.sampler import sample_latents
from zoo_core.diffusion.schedule import NoiseSchedule
from zoo_core.interfaces.backbone import Backbone
from zoo_core.interfaces.prompts import Prompt
from zoo_core.interfaces.reporter import Reporter
from zoo_core.interfaces.text_encoder import TextEncoder, TextStates
from zoo_core.interfaces.vae import VAE
from zoo_core.recipe import Recipe
from zoo_core.stream.bits import prompt_noise


class Painter:
    """Draws images of prompts with a backbone that may still be in training.

    The text encoder and the VAE stay the same for the life of a painter, so the states of captions
    it has seen are kept.
    """

    def __init__(
        self, recipe: Recipe, vae: VAE, text_encoder: TextEncoder, device: torch.device
    ) -> None:
        self.recipe = recipe
        self.vae = vae
        self.text_encoder = text_encoder
        self.device = device
        self.schedule = NoiseSchedule(recipe.diffusion)
        self._states: dict[str, TextStates] = {}

    @torch.no_grad()
    def draw(
        self,
        backbone: Backbone,
        prompts: Sequence[Prompt],
        reporter: Reporter | None = None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> list[np.ndarray]:
        """Images uint8 [H, W, 3], one a prompt, in the prompts' order.

        Weights are used as they are; training mode and autocast are restored. When `interrupted`
        turns true, drawing stops after the current batch and fewer images come back.
        """
        was_training = backbone.training
        backbone.eval()
        images: list[np.ndarray] = []
        size = self.recipe.sampling.batch_size
        try:
            with (reporter or Reporter()).progress("drawing", len(prompts), "images") as progress:
                for start in range(0, len(prompts), size):
                    if interrupted():
                        break
                    batch = prompts[start : start + size]
                    images.extend(self._draw_batch(backbone, batch))
                    progress.advance(len(batch))
        finally:
            backbone.train(was_training)
        return images

    def _draw_batch(self, backbone: Backbone, prompts: Sequence[Prompt]) -> list[np.ndarray]:
        shape = self.recipe.latent_shape
        seed = self.recipe.sampling.seed
        noise = np.stack([prompt_noise(seed, prompt.id, shape) for prompt in prompts])
        text = self._encode([prompt.text for prompt in prompts])
        use_bf16 = self.recipe.training.precision == "bf16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=use_bf16):
            latents = sample_latents(
                backbone,
                text,
                self._encode([""]),
                torch.from_numpy(noise).to(self.device),
                self.recipe.sampling,
                self.schedule,
            )
        return list(to_images(self.vae.decode(self.vae.unscale(latents.float()))))

    def _encode(self, captions: Sequence[str]) -> TextStates:
        """Text states [B, L, D] on the device, each caption encoded once."""
        missing = [caption for caption in dict.fromkeys(captions) if caption not in self._states]
        if missing:
            encoded = self.text_encoder.encode(missing)
            for row, caption in enumerate(missing):
                mask = None if encoded.mask is None else encoded.mask[row]
                self._states[caption] = TextStates(encoded.states[row], mask)
        found = [self._states[caption] for caption in captions]
        masks = [state.mask for state in found if state.mask is not None]
        return TextStates(
            torch.stack([state.states for state in found]).to(self.device),
            torch.stack(masks).to(self.device) if masks else None,
        )
