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
from zoo_gpu_trainer.phases import Phases


@dataclass(frozen=True)
class Batch:
    """One micro-batch, on the device.

    latents: [B, C, H, W]; draw: timesteps [B] and noise [B, C, H, W]; text: states [B, L, D], mask.
    """

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
        phases: Phases,
    ) -> None:
        self.recipe = recipe
        self.dataset = dataset
        self.vae = vae
        self.text_encoder = text_encoder
        self.device = device
        self.moments = moments
        self.phases = phases
        self.seed = recipe.training.seed

    def members(self, indices: np.ndarray) -> np.ndarray:
        """The places in the dataset, int64 [B], of global samples [B]."""
        return dataset_index(self.seed, indices, len(self.dataset))

    def keys(self, indices: np.ndarray) -> list[str]:
        """The dataset's names of global samples."""
        return [self.dataset[int(member)].key for member in self.members(indices)]

    def batch(self, samples: range) -> Batch:
        """The micro-batch of these global samples."""
        indices = np.arange(samples.start, samples.stop, dtype=np.int64)
        shape = self.recipe.latent_shape
        with self.phases("data"):
            members = self.members(indices)
            loaded = None
            if self.moments is None:
                loaded = [self.dataset[int(member)] for member in members]
                captions = [sample.captions for sample in loaded]
            else:
                captions = [self.dataset.captions(int(member)) for member in members]
                both = torch.from_numpy(self.moments[members]).to(self.device)
            choices = choose_captions(self.seed, indices, captions, self.recipe.captions)
            resample = torch.from_numpy(latent_noise(self.seed, indices, shape)).to(self.device)
            drawn = draw(self.seed, indices, shape, self.recipe.diffusion.timesteps)
            drawn = drawn.to(self.device)
        with self.phases("encode"), torch.no_grad():
            if loaded is None:
                mean, logvar = both.chunk(2, dim=1)
                moments = Moments(mean, logvar)
            else:
                moments = encode_samples(self.vae, loaded, self.device)
            latents = self.vae.scale(moments.sample(resample))
            text = self.text_encoder.encode([choice.text for choice in choices])
        return Batch(latents, drawn, text)
