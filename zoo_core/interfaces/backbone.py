"""The denoising backbone: the one thing that varies in a study."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from zoo_core.interfaces.config import BackboneConfig


class Backbone(nn.Module, ABC):
    """Predicts the noise (or what the diffusion settings name) from noisy latents and text.

    Implementations are final: they hold a library's module rather than derive from one.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def forward(
        self, latents: Tensor, timesteps: Tensor, text: Tensor, text_mask: Tensor | None = None
    ) -> Tensor:
        """Prediction for a batch.

        latents: [B, C, H, W] float, noisy and scaled to about unit variance.
        timesteps: [B] int64 in 0..999.
        text: [B, L, D] float text states.
        text_mask: [B, L] bool, True where a token counts; None when all do.
        Returns [B, C, H, W] in the dtype of `latents` (or the autocast dtype).
        """

    @abstractmethod
    def repeated_blocks(self) -> list[nn.Module]:
        """The submodules to shard and compile one by one, in order of execution."""

    def parameters_without_gradient(self) -> frozenset[str]:
        """Names of parameters whose gradient is zero or missing by construction (none by default)."""
        return frozenset()
