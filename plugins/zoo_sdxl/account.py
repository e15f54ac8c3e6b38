"""The account of SDXL's UNet in closed form. Light: no torch."""

from __future__ import annotations

from zoo_core.account import Account
from zoo_core.account.blocks import Cost, unet_transformer
from zoo_core.account.unet import unet_account
from zoo_core.adapters.widths import check_latent_size
from zoo_sdxl.config import SDXLConfig


def account(config: SDXLConfig, latent_size: int, text_tokens: int) -> Account:
    """Counts for latents of latent_size x latent_size and `text_tokens` tokens of text.

    Raises `ConfigError` when the latents do not halve evenly.
    """
    check_latent_size(type(config).__name__, latent_size, len(config.widths))

    def transformer(width: int, side: int, depth: int) -> Cost:
        return unet_transformer(width, side * side, config.text_width, text_tokens, depth)

    def attend(level: int, side: int) -> Cost:
        depth = config.transformer_depth[level]
        return transformer(config.widths[level], side, depth) if depth else Cost()

    def attend_middle(side: int) -> Cost:
        return transformer(config.widths[-1], side, config.middle_depth)

    return unet_account(
        widths=config.widths,
        res_blocks=config.res_blocks,
        latent_channels=config.latent_channels,
        latent_size=latent_size,
        attend=attend,
        attend_middle=attend_middle if config.middle_depth else None,
    )
