"""PixArt-alpha's transformer on diffusers' blocks."""

from __future__ import annotations

from typing import Any, final

from diffusers import PixArtTransformer2DModel
from torch import Tensor, nn

from zoo_core.errors import ConfigError
from zoo_core.interfaces.backbone import Backbone
from zoo_pixart.config import PixArtConfig


@final
class PixArtBackbone(Backbone):
    """Holds a `PixArtTransformer2DModel` without resolution and aspect ratio conditions.

    Patches have a fixed sine and cosine embedding of their row and column numbers, as in DiT, for
    latents of exactly `config.latent_size` a side. A learned variance, if configured, is computed but
    not returned: the loss of the study does not use it.
    """

    config: PixArtConfig

    def __init__(self, config: PixArtConfig) -> None:
        super().__init__(config)
        # Any: diffusers' lazy imports hide its models' types.
        self.transformer: Any = PixArtTransformer2DModel(
            in_channels=config.latent_channels,
            out_channels=config.output_channels,
            num_layers=config.depth,
            num_attention_heads=config.heads,
            attention_head_dim=config.hidden_size // config.heads,
            cross_attention_dim=config.hidden_size if config.embeds_captions else config.text_width,
            caption_channels=config.text_width if config.embeds_captions else None,
            sample_size=config.latent_size,
            # Whole-number positions; diffusers would halve their spacing from 128 latents a side on.
            interpolation_scale=1,
            patch_size=config.patch_size,
            use_additional_conditions=False,
        )

    def forward(
        self, latents: Tensor, timesteps: Tensor, text: Tensor, text_mask: Tensor | None = None
    ) -> Tensor:
        """See `Backbone.forward`. Raises `ConfigError` for latents of another size than configured."""
        expected = self.config.latent_size
        if tuple(latents.shape[-2:]) != (expected, expected):
            height, width = latents.shape[-2:]
            raise ConfigError(
                f"PixArtConfig: the position embedding is for latents of {expected} x {expected}, but "
                f"they are {height} x {width}; set latent_size to {height}.",
                key="latent_size",
            )
        predicted = self.transformer(
            latents,
            encoder_hidden_states=text,
            encoder_attention_mask=text_mask,
            timestep=timesteps,
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
            return_dict=False,
        )[0]  # [B, 2C or C, H, W]
        return predicted[:, : self.config.latent_channels]  # [B, C, H, W]

    def repeated_blocks(self) -> list[nn.Module]:
        """The transformer blocks."""
        return list(self.transformer.transformer_blocks)

    def parameters_without_gradient(self) -> frozenset[str]:
        """Biases of the keys: they shift all of a query's scores alike, which the softmax removes."""
        return frozenset(name for name, _ in self.named_parameters() if name.endswith(".to_k.bias"))


def build(config: PixArtConfig) -> PixArtBackbone:
    """A freshly initialised backbone for latents [B, C, H, W] and text [B, L, D].

    H = W = `config.latent_size`, C is `config.latent_channels`, D `config.text_width`.
    """
    return PixArtBackbone(config)
