"""The account of PixArt-alpha's transformer in closed form. Light: no torch."""

from __future__ import annotations

from zoo_core.account import Account
from zoo_core.account.blocks import Cost, account_of, attention, linear, mlp, table
from zoo_pixart.config import PixArtConfig

#: Sines and cosines of the timestep, as in DiT.
TIMESTEP_FEATURES = 256


def account(config: PixArtConfig, latent_size: int, text_tokens: int) -> Account:
    """Counts for latents of latent_size x latent_size and `text_tokens` tokens of text.

    All of a transformer block is attention here, and there is no middle block. The position embedding
    is fixed and has no parameters.
    """
    hidden = config.hidden_size
    n = (latent_size // config.patch_size) ** 2
    patch = config.patch_size**2

    rest = linear(
        patch * config.latent_channels, hidden, n
    )  # the patch embedding, a strided convolution
    rest += mlp(TIMESTEP_FEATURES, hidden, hidden)
    rest += linear(hidden, 6 * hidden)  # adaLN-single: one modulation shared by all blocks
    context = config.text_width
    if config.embeds_captions:
        rest += mlp(context, hidden, hidden, text_tokens)
        context = hidden
    rest += config.depth * _block(hidden, n, context, text_tokens)
    rest += table(2, hidden) + linear(hidden, patch * config.output_channels, n)
    return account_of(Cost(), rest)


def _block(hidden: int, n: int, context: int, tokens: int) -> Cost:
    """Self-attention, cross-attention, feed-forward, and the block's own modulation table.

    The text passes the keys and values of every block; its norms have no parameters.
    """
    block = attention(hidden, n, bias=True) + attention(hidden, n, context, tokens, bias=True)
    block += mlp(hidden, 4 * hidden, hidden, n)
    return block.as_attention() + table(6, hidden)
