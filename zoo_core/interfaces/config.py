"""Settings every family of a kind shares, known without building anything.

Planning, dry runs and listings must know shapes (text width, tokens, latent channels) without torch,
so they are part of the light configuration types.
"""

from __future__ import annotations

from typing import Annotated, Self

from msgspec import Meta

from zoo_core.schema import Config


class BackboneConfig(Config, frozen=True):
    """Hyperparameters of a denoising backbone; each family adds its own.

    A family overrides `reduced`. `text_width` is filled from the text encoder when a recipe is
    resolved, `latent_channels` from the VAE.
    """

    latent_channels: Annotated[
        int,
        Meta(
            ge=1, le=64, description="Channels C of the latents; the recipe takes them from the VAE"
        ),
    ] = 4
    text_width: Annotated[
        int,
        Meta(
            ge=1,
            le=16384,
            description="Width D of the text states; the recipe takes it from the text encoder",
        ),
    ] = 1024
    latent_size: Annotated[
        int,
        Meta(
            ge=1,
            le=1024,
            description="Latent positions along one side; the recipe takes it from the resolution",
        ),
    ] = 32

    def reduced(self, divisor: int) -> Self:
        """The same topology with every width divided by `divisor` (text width included).

        Depths, multipliers and attention levels stay. Raises `ConfigError` naming the width that
        cannot be divided, or the group or head count that no longer fits.
        """
        raise TypeError(f"{type(self).__name__} does not say how its widths are reduced")


class VAEConfig(Config, frozen=True):
    """Facts of an autoencoder that shapes depend on."""

    latent_channels: Annotated[int, Meta(ge=1, le=64, description="Channels C of the latents")] = 4
    downsampling: Annotated[
        int, Meta(ge=1, le=64, description="Pixels per latent position along one side")
    ] = 8
    scaling_factor: Annotated[
        float, Meta(gt=0, description="Latents are multiplied by it: 1 / their standard deviation")
    ] = 0.18215
    shift_factor: Annotated[float, Meta(description="Subtracted from latents before scaling")] = 0.0


class TextEncoderConfig(Config, frozen=True):
    """Facts of a text encoder that shapes depend on."""

    width: Annotated[int, Meta(ge=1, description="Width D of the text states")] = 1024
    tokens: Annotated[int, Meta(ge=1, description="Tokens L every caption is padded or cut to")] = (
        77
    )


class DatasetConfig(Config, frozen=True):
    """Facts of a dataset that shapes depend on."""

    resolution: Annotated[
        int,
        Meta(
            ge=8,
            le=4096,
            description="Pixels along one side; the recipe fills it from data.resolution",
        ),
    ] = 256
