"""Hyperparameters of Stable Diffusion 2's UNet. Light: no torch."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from zoo_core.adapters.widths import (
    check_groups,
    check_heads,
    check_latent_size,
    check_one_per_level,
    divided,
    reduced_groups,
)
from zoo_core.interfaces import BackboneConfig


class SD2Config(BackboneConfig, frozen=True):
    """The defaults are Stable Diffusion 2's (Li et al. 2024, Table 1: "SD2", C 320)."""

    channels: Annotated[
        int,
        Meta(
            ge=2, le=8192, description="Channels C of the finest level; the time embedding has 4C"
        ),
    ] = 320
    channel_mult: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=64)], ...],
        Meta(
            min_length=1,
            max_length=8,
            description="Channels of each level in multiples of C, the finest first",
        ),
    ] = (1, 2, 4, 4)
    res_blocks: Annotated[
        int, Meta(ge=1, le=32, description="Residual blocks a level going down; one more going up")
    ] = 2
    transformer_depth: Annotated[
        tuple[Annotated[int, Meta(ge=0, le=128)], ...],
        Meta(
            description="Transformer blocks after each residual block of a level, the finest first; 0 for "
            "no attention there. The middle has as many as the deepest level, and one where that has none"
        ),
    ] = (1, 1, 1, 0)
    head_width: Annotated[int, Meta(ge=1, le=1024, description="Channels of an attention head")] = (
        64
    )
    norm_groups: Annotated[int, Meta(ge=1, le=1024, description="Groups of every group norm")] = 32

    def __post_init__(self) -> None:
        name = type(self).__name__
        levels = len(self.channel_mult)
        check_one_per_level(name, "transformer_depth", self.transformer_depth, levels)
        check_groups(name, self.channels, self.norm_groups)
        check_latent_size(name, self.latent_size, levels)
        for level, depth in enumerate(self.transformer_depth):
            if depth:
                check_heads(name, self.widths[level], self.head_width, f"level {2**level}x")
        check_heads(name, self.widths[-1], self.head_width, "the middle block")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level, the finest first."""
        return tuple(self.channels * mult for mult in self.channel_mult)

    @property
    def middle_depth(self) -> int:
        """Transformer blocks in the middle."""
        return self.transformer_depth[-1] or 1

    def reduced(self, divisor: int) -> SD2Config:
        """See `BackboneConfig.reduced`. Heads keep their number; 32 norm groups become 8 at 8."""
        name = type(self).__name__
        return msgspec.structs.replace(
            self,
            channels=divided(name, "channels", self.channels, divisor),
            text_width=divided(name, "text_width", self.text_width, divisor),
            head_width=divided(name, "head_width", self.head_width, divisor),
            norm_groups=reduced_groups(self.norm_groups, divisor),
        )
