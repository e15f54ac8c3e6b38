"""The frozen autoencoder between pixels and latents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo_core.interfaces.config import VAEConfig


@dataclass(frozen=True)
class Moments:
    """A diagonal Gaussian over latents, unscaled: mean and log variance, each [B, C, H, W]."""

    mean: Tensor
    logvar: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Latents [B, C, H, W] = mean + exp(logvar / 2) * noise, with noise from a unit normal."""
        return self.mean + torch.exp(0.5 * self.logvar) * noise


class VAE(nn.Module, ABC):
    """Images in [-1, 1] to latents and back. Scaling is one number for all channels."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def encode(self, images: Tensor) -> Moments:
        """Moments [B, C, H, W] of images [B, 3, f*H, f*W] float in [-1, 1], f the downsampling."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Images [B, 3, f*H, f*W] float, about [-1, 1] (not clamped), of unscaled latents [B, C, H, W]."""

    def scale(self, latents: Tensor) -> Tensor:
        """Latents of about unit variance, as the backbone sees them."""
        return (latents - self.config.shift_factor) * self.config.scaling_factor

    def unscale(self, latents: Tensor) -> Tensor:
        """The inverse of `scale`."""
        return latents / self.config.scaling_factor + self.config.shift_factor
