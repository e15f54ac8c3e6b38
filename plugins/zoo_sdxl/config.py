"""Hyperparameters of SDXL's UNet. Light: no torch."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from zoo_core.adapters.unet_config import ChannelMult, UNetConfig
from zoo_core.adapters.widths import check_heads, check_one_per_level
from zoo_core.errors import ConfigError


class SDXLConfig(UNetConfig, frozen=True):
    """The defaults are SDXL's (Li et al. 2024, Table 1: "SDXL", C 320, transformer depth 0,2,10).

    As in the study there is no pooled text and no size or crop embedding.
    """

    channel_mult: ChannelMult = (1, 2, 4)
    transformer_depth: Annotated[
        tuple[Annotated[int, Meta(ge=0, le=128)], ...],
        Meta(
            description="TD: transformer blocks after each residual block of a level, the finest first; 0 for "
            "no attention there. The middle has as many as the deepest level"
        ),
    ] = (0, 2, 10)

    def __post_init__(self) -> None:
        name = type(self).__name__
        check_one_per_level(
            name, "transformer_depth", self.transformer_depth, len(self.channel_mult)
        )
        if not any(self.transformer_depth):
            raise ConfigError(
                f"{name}: transformer_depth {list(self.transformer_depth)} lets the text in nowhere; "
                f"give at least one level a depth of 1 or more.",
                key="transformer_depth",
            )
        super().__post_init__()
        for level, depth in enumerate(self.transformer_depth):
            if depth:
                check_heads(name, self.widths[level], self.head_width, f"level {2**level}x")

    @property
    def middle_depth(self) -> int:
        """Transformer blocks in the middle; with 0 it is a single residual block."""
        return self.transformer_depth[-1]
