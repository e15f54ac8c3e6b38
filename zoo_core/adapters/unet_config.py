"""Hyperparameters all UNet families share, and how their widths are divided. Light: no torch."""

from __future__ import annotations

from typing import Annotated, Self

import msgspec
from msgspec import Meta

from zoo_core.adapters.widths import check_groups, check_latent_size, divided, reduced_groups
from zoo_core.interfaces import BackboneConfig

Channels = Annotated[
    int,
    Meta(ge=2, le=8192, description="Channels C of the finest level; the time embedding has 4C"),
]
ChannelMult = Annotated[
    tuple[Annotated[int, Meta(ge=1, le=64)], ...],
    Meta(
        min_length=1,
        max_length=8,
        description="Channels of each level in multiples of C, the finest first",
    ),
]
ResBlocks = Annotated[
    int, Meta(ge=1, le=32, description="Residual blocks a level going down; one more going up")
]


class UNetConfig(BackboneConfig, frozen=True):
    """Levels, widths and norms of a UNet; a family adds where its attention is.

    The defaults are Stable Diffusion 2's; a family with others declares the field again.
    """

    channels: Channels = 320
    channel_mult: ChannelMult = (1, 2, 4, 4)
    res_blocks: ResBlocks = 2
    head_width: Annotated[int, Meta(ge=1, le=1024, description="Channels of an attention head")] = (
        64
    )
    norm_groups: Annotated[int, Meta(ge=1, le=1024, description="Groups of every group norm")] = 32

    def __post_init__(self) -> None:
        name = type(self).__name__
        check_groups(name, self.channels, self.norm_groups)
        check_latent_size(name, self.latent_size, len(self.channel_mult))

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level, the finest first."""
        return tuple(self.channels * mult for mult in self.channel_mult)

    def reduced(self, divisor: int) -> Self:
        """See `BackboneConfig.reduced`. Heads keep their number; 32 norm groups become 8 at 8."""
        name = type(self).__name__
        return msgspec.structs.replace(
            self,
            channels=divided(name, "channels", self.channels, divisor),
            text_width=divided(name, "text_width", self.text_width, divisor),
            head_width=divided(name, "head_width", self.head_width, divisor),
            norm_groups=reduced_groups(self.norm_groups, divisor),
        )
