"""The account of DeepFloyd IF-XL's UNet in closed form. Light: no torch."""

from __future__ import annotations

from zoo_core.account import Account
from zoo_core.account.blocks import Cost, joint_attention
from zoo_core.account.unet import unet_account
from zoo_core.adapters.widths import check_latent_size
from zoo_if_xl.config import IFXLConfig


def account(config: IFXLConfig, latent_size: int, text_tokens: int) -> Account:
    """Counts for latents of latent_size x latent_size and `text_tokens` tokens of text.

    Raises `ConfigError` when the latents do not halve evenly.
    """
    check_latent_size(type(config).__name__, latent_size, len(config.widths))

    def attention(width: int, side: int) -> Cost:
        return joint_attention(width, side * side, config.text_width, text_tokens)

    def attend(level: int, side: int) -> Cost:
        return attention(config.widths[level], side) if config.attends[level] else Cost()

    def attend_middle(side: int) -> Cost:
        return attention(config.widths[-1], side)

    return unet_account(
        widths=config.widths,
        res_blocks=config.res_blocks,
        latent_channels=config.latent_channels,
        latent_size=latent_size,
        attend=attend,
        attend_middle=attend_middle,
        residual_resampling=True,
        scale_shift=True,
    )
