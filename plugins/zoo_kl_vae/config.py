"""Settings of latent diffusion's autoencoder. Light: no torch."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from zoo_core.errors import ConfigError
from zoo_core.interfaces import VAEConfig


class KLVAEConfig(VAEConfig, frozen=True):
    """The defaults are the architecture of Stable Diffusion's and SDXL's autoencoders."""

    block_out_channels: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=8192)], ...],
        Meta(min_length=1, max_length=8, description="Channels of each level, the finest first"),
    ] = (128, 256, 512, 512)
    layers_per_block: Annotated[
        int,
        Meta(
            ge=1,
            le=32,
            description="Residual blocks a level of the encoder; the decoder has one more",
        ),
    ] = 2
    norm_groups: Annotated[int, Meta(ge=1, le=1024, description="Groups of every group norm")] = 32
    weights: Annotated[
        str,
        Meta(
            description="A folder in diffusers' format (config.json and safetensors), or "
            "package:NAME/FOLDER; empty for fresh weights"
        ),
    ] = ""

    def __post_init__(self) -> None:
        name = type(self).__name__
        factor = 2 ** (len(self.block_out_channels) - 1)
        if factor != self.downsampling:
            raise ConfigError(
                f"{name}: {len(self.block_out_channels)} levels in block_out_channels downsample by {factor}, "
                f"not by {self.downsampling}; set downsampling = {factor} or change the levels.",
                key="downsampling",
            )
        for width in self.block_out_channels:
            if width % self.norm_groups:
                raise ConfigError(
                    f"{name}: {width} in block_out_channels is not divisible by norm_groups "
                    f"{self.norm_groups}.",
                    key="block_out_channels",
                )
