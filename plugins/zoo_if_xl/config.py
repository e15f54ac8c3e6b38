"""Hyperparameters of DeepFloyd IF-XL's UNet, used on latents. Light: no torch."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from zoo_core.adapters.widths import (
    check_groups,
    check_heads,
    check_latent_size,
    divided,
    nearest_multiple,
    reduced_groups,
)
from zoo_core.errors import ConfigError
from zoo_core.interfaces import BackboneConfig

#: diffusers group-normalises the text of these blocks in 32 groups, whatever `norm_groups` is.
TEXT_NORM_GROUPS = 32


class IFXLConfig(BackboneConfig, frozen=True):
    """The defaults are IF-XL's (Li et al. 2024, Table 1: "IF-XL", C 704), on latents.

    As in the study there is no text projection, no pooled text and no learned variance.
    """

    channels: Annotated[
        int,
        Meta(
            ge=2, le=8192, description="Channels C of the finest level; the time embedding has 4C"
        ),
    ] = 704
    channel_mult: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=64)], ...],
        Meta(
            min_length=1,
            max_length=8,
            description="Channels of each level in multiples of C, the finest first",
        ),
    ] = (1, 2, 3, 4)
    res_blocks: Annotated[
        int, Meta(ge=1, le=32, description="Residual blocks a level going down; one more going up")
    ] = 3
    attention_levels: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=128)], ...],
        Meta(
            description="Downsampling factors (1, 2, 4, ...) of the levels with an attention after each "
            "residual block; the middle always has one"
        ),
    ] = (1, 2, 4)
    head_width: Annotated[int, Meta(ge=1, le=1024, description="Channels of an attention head")] = (
        64
    )
    norm_groups: Annotated[int, Meta(ge=1, le=1024, description="Groups of every group norm")] = 32

    def __post_init__(self) -> None:
        name = type(self).__name__
        levels = len(self.channel_mult)
        factors = [2**level for level in range(levels)]
        unknown = [factor for factor in self.attention_levels if factor not in factors]
        if unknown or len(set(self.attention_levels)) != len(self.attention_levels):
            raise ConfigError(
                f"{name}: attention_levels {list(self.attention_levels)} must be different ones of "
                f"{factors}, the downsampling factors of the {levels} levels.",
                key="attention_levels",
            )
        if self.text_width % TEXT_NORM_GROUPS or self.text_width < 2 * TEXT_NORM_GROUPS:
            fits = max(2 * TEXT_NORM_GROUPS, nearest_multiple(self.text_width, TEXT_NORM_GROUPS))
            raise ConfigError(
                f"{name}: text_width {self.text_width} must be a multiple of {TEXT_NORM_GROUPS}, at "
                f"least {2 * TEXT_NORM_GROUPS}, for the text's group norm; {fits} would fit.",
                key="text_width",
            )
        check_groups(name, self.channels, self.norm_groups)
        check_latent_size(name, self.latent_size, levels)
        for level, attends in enumerate(self.attends):
            if attends:
                check_heads(name, self.widths[level], self.head_width, f"level {2**level}x")
        check_heads(name, self.widths[-1], self.head_width, "the middle block")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level, the finest first."""
        return tuple(self.channels * mult for mult in self.channel_mult)

    @property
    def attends(self) -> tuple[bool, ...]:
        """Whether each level has attention, the finest first."""
        return tuple(2**level in self.attention_levels for level in range(len(self.channel_mult)))

    def reduced(self, divisor: int) -> IFXLConfig:
        """See `BackboneConfig.reduced`. Heads keep their number; 32 norm groups become 8 at 8."""
        name = type(self).__name__
        return msgspec.structs.replace(
            self,
            channels=divided(name, "channels", self.channels, divisor),
            text_width=divided(name, "text_width", self.text_width, divisor),
            head_width=divided(name, "head_width", self.head_width, divisor),
            norm_groups=reduced_groups(self.norm_groups, divisor),
        )
