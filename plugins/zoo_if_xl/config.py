"""Hyperparameters of DeepFloyd IF-XL's UNet, used on latents. Light: no torch."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from zoo_core.adapters.unet_config import ChannelMult, Channels, ResBlocks, UNetConfig
from zoo_core.adapters.widths import check_heads, nearest_multiple
from zoo_core.errors import ConfigError

#: diffusers group-normalises the text of these blocks in 32 groups, whatever `norm_groups` is.
TEXT_NORM_GROUPS = 32


class IFXLConfig(UNetConfig, frozen=True):
    """The defaults are IF-XL's (Li et al. 2024, Table 1: "IF-XL", C 704), on latents.

    As in the study there is no text projection, no pooled text and no learned variance.
    """

    channels: Channels = 704
    channel_mult: ChannelMult = (1, 2, 3, 4)
    res_blocks: ResBlocks = 3
    attention_levels: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=128)], ...],
        Meta(
            description="Downsampling factors (1, 2, 4, ...) of the levels with an attention after each "
            "residual block; the middle always has one"
        ),
    ] = (1, 2, 4)

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
        super().__post_init__()
        for level, attends in enumerate(self.attends):
            if attends:
                check_heads(name, self.widths[level], self.head_width, f"level {2**level}x")
        check_heads(name, self.widths[-1], self.head_width, "the middle block")

    @property
    def attends(self) -> tuple[bool, ...]:
        """Whether each level has attention, the finest first."""
        return tuple(2**level in self.attention_levels for level in range(len(self.channel_mult)))
