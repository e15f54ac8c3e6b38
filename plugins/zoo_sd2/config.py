"""Hyperparameters of Stable Diffusion 2's UNet. Light: no torch."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from zoo_core.adapters.unet_config import UNetConfig
from zoo_core.adapters.widths import check_heads, check_one_per_level


class SD2Config(UNetConfig, frozen=True):
    """The defaults are Stable Diffusion 2's (Li et al. 2024, Table 1: "SD2", C 320)."""

    transformer_depth: Annotated[
        tuple[Annotated[int, Meta(ge=0, le=128)], ...],
        Meta(
            description="Transformer blocks after each residual block of a level, the finest first; 0 for "
            "no attention there. The middle has as many as the deepest level, and one where that has none"
        ),
    ] = (1, 1, 1, 0)

    def __post_init__(self) -> None:
        name = type(self).__name__
        check_one_per_level(
            name, "transformer_depth", self.transformer_depth, len(self.channel_mult)
        )
        super().__post_init__()
        for level, depth in enumerate(self.transformer_depth):
            if depth:
                check_heads(name, self.widths[level], self.head_width, f"level {2**level}x")
        check_heads(name, self.widths[-1], self.head_width, "the middle block")

    @property
    def middle_depth(self) -> int:
        """Transformer blocks in the middle."""
        return self.transformer_depth[-1] or 1
