"""DeepFloyd IF-XL's UNet on diffusers' blocks."""

from __future__ import annotations

from zoo_core.adapters.unet import DiffusersUNet
from zoo_if_xl.config import IFXLConfig


def build(config: IFXLConfig) -> DiffusersUNet:
    """A freshly initialised backbone for latents [B, C, H, W] and text [B, L, D].

    C is `config.latent_channels`, D `config.text_width`; H and W halve evenly between levels.
    Attention has added keys and values for the text, sizes change in residual blocks, the time
    embedding scales and shifts, and activations are GELU.
    """
    return DiffusersUNet(
        config,
        {
            "block_out_channels": config.widths,
            "layers_per_block": config.res_blocks,
            "down_block_types": [
                "SimpleCrossAttnDownBlock2D" if here else "ResnetDownsampleBlock2D"
                for here in config.attends
            ],
            "up_block_types": [
                "SimpleCrossAttnUpBlock2D" if here else "ResnetUpsampleBlock2D"
                for here in reversed(config.attends)
            ],
            "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
            "attention_head_dim": config.head_width,
            "cross_attention_norm": "group_norm",
            "resnet_time_scale_shift": "scale_shift",
            "act_fn": "gelu",
            "norm_num_groups": config.norm_groups,
        },
    )
