"""Stable Diffusion 2's UNet on diffusers' blocks."""

from __future__ import annotations

from zoo_core.adapters.unet import DiffusersUNet
from zoo_sd2.config import SD2Config


def build(config: SD2Config) -> DiffusersUNet:
    """A freshly initialised backbone for latents [B, C, H, W] and text [B, L, D].

    C is `config.latent_channels`, D `config.text_width`; H and W halve evenly between levels.
    """
    attends = [depth > 0 for depth in config.transformer_depth]
    # The deepest entry is the middle's too; levels without attention do not look at theirs.
    depths = [*config.transformer_depth[:-1], config.middle_depth]
    return DiffusersUNet(
        config,
        {
            "block_out_channels": config.widths,
            "layers_per_block": config.res_blocks,
            "down_block_types": [
                "CrossAttnDownBlock2D" if here else "DownBlock2D" for here in attends
            ],
            "up_block_types": [
                "CrossAttnUpBlock2D" if here else "UpBlock2D" for here in reversed(attends)
            ],
            "mid_block_type": "UNetMidBlock2DCrossAttn",
            "transformer_layers_per_block": depths,
            # diffusers' name notwithstanding, this is the number of heads of each level.
            "attention_head_dim": [max(1, width // config.head_width) for width in config.widths],
            "use_linear_projection": True,
            "norm_num_groups": config.norm_groups,
        },
    )
