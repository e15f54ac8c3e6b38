"""diffusers' conditional UNet as a backbone."""

from __future__ import annotations

from typing import Any, final

from diffusers import UNet2DConditionModel
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn

from zoo_core.adapters.masked_text import neutral_masked
from zoo_core.adapters.widths import check_latent_size
from zoo_core.interfaces import BackboneConfig
from zoo_core.interfaces.backbone import Backbone

#: diffusers normalises the text of added-key/value attention in this many groups; the UNet's
#: constructor has no argument for it.
TEXT_NORM_GROUPS = 32


@final
class DiffusersUNet(Backbone):
    """Holds a `UNet2DConditionModel` built from `arguments`.

    Text masks: cross-attention skips masked tokens. DeepFloyd's added-key/value attention has image
    positions beside the tokens and group-normalises the text over all tokens, so there masked tokens
    are replaced by neutral ones first (see `zoo_core.adapters.masked_text`); a caption then gives the
    same prediction however much padding follows it.

    Every parameter receives a gradient, unless latents are so small that a self-attention has a single
    position (see `parameters_without_gradient`).
    """

    def __init__(self, config: BackboneConfig, arguments: dict[str, Any]) -> None:
        super().__init__(config)
        # Any: diffusers' lazy imports hide its models' types.
        self.unet: Any = UNet2DConditionModel(
            in_channels=config.latent_channels,
            out_channels=config.latent_channels,
            cross_attention_dim=config.text_width,
            sample_size=config.latent_size,
            **arguments,
        )
        blocks: list[str] = list(arguments["down_block_types"])
        self.levels = len(blocks)
        # Levels whose attention has tokens and positions side by side; the middle is at the last.
        self.joint_levels = [
            i for i, name in enumerate(blocks) if name.startswith("SimpleCrossAttn")
        ]
        if arguments.get("mid_block_type") == "UNetMidBlock2DSimpleCrossAttn":
            self.joint_levels.append(self.levels - 1)

    def forward(
        self, latents: Tensor, timesteps: Tensor, text: Tensor, text_mask: Tensor | None = None
    ) -> Tensor:
        """See `Backbone.forward`. Raises `ConfigError` when H or W does not halve evenly."""
        height, width = latents.shape[-2:]
        for side in (height, width):
            check_latent_size(type(self.config).__name__, side, self.levels)
        if text_mask is not None and self.joint_levels:
            text, text_mask = neutral_masked(
                text,
                text_mask,
                groups=TEXT_NORM_GROUPS,
                avoid_lengths=[height * width // 4**level for level in self.joint_levels],
            )
        return self.unet(
            latents,
            timesteps,
            encoder_hidden_states=text,
            encoder_attention_mask=text_mask,
            return_dict=False,
        )[0]  # [B, C, H, W]

    def repeated_blocks(self) -> list[nn.Module]:
        """Residual blocks and transformer blocks (or attentions) in order of execution."""
        middle = self.unet.mid_block
        halves = [*self.unet.down_blocks, middle, *self.unet.up_blocks]
        found: list[nn.Module] = []
        for half in halves:
            parts = dict(half.named_children())
            residual = list(parts["resnets"])
            attentions = list(parts.get("attentions", []))
            if half is middle:
                found.append(residual.pop(0))
                pairs = [
                    [attention, block]
                    for attention, block in zip(attentions, residual, strict=True)
                ]
            elif attentions:
                pairs = [
                    [block, attention]
                    for block, attention in zip(residual, attentions, strict=True)
                ]
            else:
                pairs = [[block] for block in residual]
            for module in (module for pair in pairs for module in pair):
                if isinstance(module, Transformer2DModel):
                    found.extend(module.transformer_blocks)
                else:
                    found.append(module)
            for name in ("downsamplers", "upsamplers"):
                # DeepFloyd's resampling is a residual block; elsewhere it is one convolution.
                found.extend(m for m in parts.get(name) or [] if isinstance(m, ResnetBlock2D))
        return found

    def parameters_without_gradient(self) -> frozenset[str]:
        """Queries and keys of self-attentions that have one position at `config.latent_size`.

        A softmax over one score is 1 whatever the score. DeepFloyd's attention has the text as well.
        """
        single = [i for i in range(self.levels) if self.config.latent_size >> i == 1]
        halves = [f"unet.down_blocks.{level}." for level in single]
        halves += [f"unet.up_blocks.{self.levels - 1 - level}." for level in single]
        halves += ["unet.mid_block."] if self.levels - 1 in single else []
        return frozenset(
            name
            for name, _ in self.named_parameters()
            if name.startswith(tuple(halves)) and (".attn1.to_q." in name or ".attn1.to_k." in name)
        )
