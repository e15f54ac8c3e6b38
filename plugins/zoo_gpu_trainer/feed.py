"""From global sample indices to what the objective needs: latents, text states, timesteps, noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zoo_core.diffusion.objective import Draw, draw
from zoo_core.interfaces.dataset import Dataset
from zoo_core.interfaces.text_encoder import TextEncoder, TextStates
from zoo_core.interfaces.vae import VAE, Moments
from zoo_core.recipe import Recipe
from zoo_core.stream.captions import choose_captions
from zoo_core.stream.draws import latent_noise
from zoo_core.stream.order import dataset_index
from zoo_gpu_trainer.latents import encode_samples


@dataclass(frozen=True)
class Batch:
    """One micro-batch, on the device.

    members: int64 [B], the samples' places in the dataset.
    latents: [B, C, H, W]; draw: timesteps [B] and noise [B, C, H, W]; text: states [B, L, D], mask.
    """

    members: np.ndarray
    latents: Tensor
    draw: Draw
    text: TextStates


class Feed:
    """Micro-batches by global sample index; every random draw is a function of (seed, index)."""

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        vae: VAE,
        text_encoder: TextEncoder,
        device: torch.device,
        moments: np.ndarray | None,
    ) -> None:
        self.recipe = recipe
        self.dataset = dataset
        self.vae = vae
        self.text_encoder = text_encoder
        self.device = device
        self.moments = moments
        self.seed = recipe.training.seed

    def batch(self, start: int, stop: int) -> Batch:
        """The micro-batch of global samples start..stop-1."""
        indices = np.arange(start, stop, dtype=np.int64)
        members = dataset_index(self.seed, indices, len(self.dataset))
        if self.moments is not None:
            mean, logvar = torch.from_numpy(self.moments[members]).to(self.device).chunk(2, dim=1)
            moments = Moments(mean, logvar)
            captions = [self.dataset.captions(int(member)) for member in members]
        else:
            samples = [self.dataset[int(member)] for member in members]
            moments = encode_samples(self.vae, samples, self.device)
            captions = [sample.captions for sample in samples]
        shape = self.recipe.latent_shape
        resample = torch.from_numpy(latent_noise(self.seed, indices, shape)).to(self.device)
        choices = choose_captions(self.seed, indices, captions, self.recipe.captions)
        with torch.no_grad():
            latents = self.vae.scale(moments.sample(resample))
            text = self.text_encoder.encode([choice.text for choice in choices])
        drawn = draw(self.seed, indices, shape, self.recipe.diffusion.timesteps)
        return Batch(members, latents, drawn.to(self.device), text)
