"""The skeleton that all UNets here share: levels down, a middle, the same levels up with skips."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zoo_core.account.blocks import (
    Cost,
    account_of,
    conv,
    mlp,
    norm,
    resnet,
    unet_transformer,
)
from zoo_core.account.record import Account


def unet_account(
    *,
    widths: Sequence[int],
    res_blocks: int,
    latent_channels: int,
    latent_size: int,
    attend: Callable[[int, int], Cost],
    attend_middle: Callable[[int], Cost] | None,
    residual_resampling: bool = False,
    scale_shift: bool = False,
) -> Account:
    """The account of a UNet with `res_blocks` blocks a level going down and one more going up.

    widths: channels of each level; level i has side latent_size / 2^i. The time embedding is four
        times the first width.
    attend: ``attend(level, side)``, the attention that follows every residual block of a level; an
        empty `Cost` where there is none.
    attend_middle: ``attend_middle(side)`` between the middle's two residual blocks; None for a middle
        of one residual block.
    residual_resampling: sizes change in residual blocks rather than in single convolutions.
    scale_shift: as for `zoo_core.account.blocks.resnet`.
    """
    time = 4 * widths[0]
    last = len(widths) - 1
    sides = [latent_size >> level for level in range(len(widths))]

    def block(inputs: int, outputs: int, side: int) -> Cost:
        return resnet(inputs, outputs, time, side, scale_shift)

    def resample(width: int, side: int) -> Cost:
        return block(width, width, side) if residual_resampling else conv(width, width, side)

    rest = mlp(widths[0], time, time) + conv(latent_channels, widths[0], latent_size)
    skips = [widths[0]]
    width = widths[0]
    for level, outputs in enumerate(widths):
        for _ in range(res_blocks):
            rest += block(width, outputs, sides[level]) + attend(level, sides[level])
            width = outputs
            skips.append(width)
        if level < last:
            rest += resample(width, sides[level + 1])
            skips.append(width)

    middle = block(width, width, sides[-1])
    if attend_middle is not None:
        middle = 2 * middle + attend_middle(sides[-1])

    for level in reversed(range(len(widths))):
        for _ in range(res_blocks + 1):
            rest += block(width + skips.pop(), widths[level], sides[level])
            rest += attend(level, sides[level])
            width = widths[level]
        if level > 0:
            rest += resample(width, sides[level - 1])
    rest += norm(width) + conv(width, latent_channels, latent_size)
    return account_of(middle, rest)


def transformer_unet_account(
    *,
    widths: Sequence[int],
    res_blocks: int,
    latent_channels: int,
    latent_size: int,
    transformer_depth: Sequence[int],
    middle_depth: int,
    text_width: int,
    text_tokens: int,
) -> Account:
    """The account of a UNet whose attention is transformer blocks, as in Stable Diffusion.

    transformer_depth: blocks after each residual block of a level, the finest first, 0 for none.
    middle_depth: blocks in the middle; with 0 the middle is a single residual block.
    """

    def transformer(width: int, side: int, depth: int) -> Cost:
        return unet_transformer(width, side * side, text_width, text_tokens, depth)

    def attend(level: int, side: int) -> Cost:
        depth = transformer_depth[level]
        return transformer(widths[level], side, depth) if depth else Cost()

    def attend_middle(side: int) -> Cost:
        return transformer(widths[-1], side, middle_depth)

    return unet_account(
        widths=widths,
        res_blocks=res_blocks,
        latent_channels=latent_channels,
        latent_size=latent_size,
        attend=attend,
        attend_middle=attend_middle if middle_depth else None,
    )
