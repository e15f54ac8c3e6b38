"""The account of SDXL's UNet in closed form. Light: no torch."""

from __future__ import annotations

from zoo_core.account import Account
from zoo_core.account.unet import transformer_unet_account
from zoo_core.adapters.widths import check_latent_size
from zoo_sdxl.config import SDXLConfig


def account(config: SDXLConfig, latent_size: int, text_tokens: int) -> Account:
    """Counts for latents of latent_size x latent_size and `text_tokens` tokens of text.

    Raises `ConfigError` when the latents do not halve evenly.
    """
    check_latent_size(type(config).__name__, latent_size, len(config.widths))
    return transformer_unet_account(
        widths=config.widths,
        res_blocks=config.res_blocks,
        latent_channels=config.latent_channels,
        latent_size=latent_size,
        transformer_depth=config.transformer_depth,
        middle_depth=config.middle_depth,
        text_width=config.text_width,
        text_tokens=text_tokens,
    )
