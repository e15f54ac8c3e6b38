"""Hyperparameters of PixArt-alpha's transformer. Light: no torch."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from zoo_core.adapters.widths import divided, nearest_multiple
from zoo_core.errors import ConfigError
from zoo_core.interfaces import BackboneConfig


class PixArtConfig(BackboneConfig, frozen=True):
    """The defaults are PixArt-alpha-XL/2's (Li et al. 2024, Table 2), its text width 4096 (Flan-T5-XXL)."""

    text_width: Annotated[
        int,
        Meta(
            ge=1,
            le=16384,
            description="Width D of the text states; the recipe takes it from the text encoder",
        ),
    ] = 4096
    hidden_size: Annotated[int, Meta(ge=4, le=16384, description="Width h of every token")] = 1152
    depth: Annotated[int, Meta(ge=1, le=512, description="Transformer blocks d")] = 28
    heads: Annotated[int, Meta(ge=1, le=256, description="Attention heads")] = 16
    patch_size: Annotated[
        int, Meta(ge=1, le=64, description="Latent positions a token covers along one side")
    ] = 2
    caption_embedding: Annotated[
        Literal["auto", "always", "never"],
        Meta(
            description="Two layers that bring the text to hidden_size; auto: only when its width differs"
        ),
    ] = "auto"
    learned_sigma: Annotated[
        bool,
        Meta(
            description="Keep the original's output channels for a learned variance; the prediction is the "
            "first half either way"
        ),
    ] = True

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.hidden_size % self.heads:
            raise ConfigError(
                f"{name}: hidden_size {self.hidden_size} is not divisible by {self.heads} heads; "
                f"{nearest_multiple(self.hidden_size, self.heads)} would fit.",
                key="hidden_size",
            )
        if self.hidden_size % 4:
            raise ConfigError(
                f"{name}: hidden_size {self.hidden_size} must be a multiple of 4 for the sine and cosine "
                f"position embedding of two axes; {nearest_multiple(self.hidden_size, 4)} would fit.",
                key="hidden_size",
            )
        if self.latent_size % self.patch_size:
            raise ConfigError(
                f"{name}: latents of {self.latent_size} x {self.latent_size} do not split into patches of "
                f"{self.patch_size}; {nearest_multiple(self.latent_size, self.patch_size)} would fit.",
                key="latent_size",
            )

    @property
    def embeds_captions(self) -> bool:
        """Whether the text passes the caption embedding."""
        if self.caption_embedding == "auto":
            return self.text_width != self.hidden_size
        return self.caption_embedding == "always"

    @property
    def output_channels(self) -> int:
        """Channels the last layer gives, the learned variance's included."""
        return 2 * self.latent_channels if self.learned_sigma else self.latent_channels

    def reduced(self, divisor: int) -> PixArtConfig:
        """See `BackboneConfig.reduced`. The number of heads stays, as heads are part of the topology."""
        name = type(self).__name__
        hidden = divided(name, "hidden_size", self.hidden_size, divisor)
        if hidden % self.heads:
            per_head = self.hidden_size // self.heads
            fits = _largest_divisor(math.gcd(per_head, self.text_width), divisor)
            raise ConfigError(
                f"{name}: hidden_size {self.hidden_size} / {divisor} = {hidden} is not divisible by its "
                f"{self.heads} heads; a divisor of {fits} would fit.",
                key="hidden_size",
            )
        return msgspec.structs.replace(
            self,
            hidden_size=hidden,
            text_width=divided(name, "text_width", self.text_width, divisor),
        )


def _largest_divisor(number: int, limit: int) -> int:
    """The largest divisor of `number` that is at most `limit`."""
    return max(candidate for candidate in range(1, limit + 1) if number % candidate == 0)
