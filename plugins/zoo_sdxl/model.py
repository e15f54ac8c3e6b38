"""SDXL's UNet on diffusers' blocks."""

from __future__ import annotations

from zoo_core.adapters.unet import DiffusersUNet
from zoo_sdxl.config import SDXLConfig


def build(config: SDXLConfig) -> DiffusersUNet:
    """A freshly initialised backbone for latents [B, C, H, W] and text [B, L, D].

    C is `config.latent_channels`, D `config.text_width`; H and W halve evenly between levels.
    """
    attends = [depth > 0 for depth in config.transformer_depth]
    # Levels without attention take no depth; diffusers only wants a positive one.
    depths = [depth or 1 for depth in config.transformer_depth]
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
            "mid_block_type": "UNetMidBlock2DCrossAttn"
            if config.middle_depth
            else "UNetMidBlock2D",
            "transformer_layers_per_block": depths,
            # diffusers' name notwithstanding, this is the number of heads of each level.
            "attention_head_dim": [max(1, width // config.head_width) for width in config.widths],
            "use_linear_projection": True,
            "norm_num_groups": config.norm_groups,
        },
    )
