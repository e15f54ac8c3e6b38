"""ImageReward's network on transformers' BLIP modules, and the published checkpoint's names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from transformers import BlipTextConfig, BlipTextModel, BlipVisionConfig, BlipVisionModel

from zoo_core.adapters.state_dict import fill

#: Of the rewards on the training prompts, by which published rewards are standardised.
MEAN = 0.16717362830052426
DEVIATION = 1.0333394966054072

_HEAD_WIDTH = 64  # channels of an attention head, in both towers


@dataclass(frozen=True)
class Architecture:
    """Widths and depths. The defaults are ImageReward 1.0: BLIP's ViT-L/16 and BERT-base, 446.7 M."""

    vision_width: int = 1024
    vision_layers: int = 24
    text_width: int = 768
    text_layers: int = 12
    vocabulary: int = 30524
    positions: int = 512
    resolution: int = 224
    patch: int = 16
    vision_epsilon: float = 1e-6
    text_epsilon: float = 1e-12


class RewardModel(nn.Module):
    """A text encoder that attends to an image's patches, and a linear head on its first token.

    The head has five layers and no activation between them; their dropouts are off when scoring, so
    they are not built.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        self.vision = BlipVisionModel(
            BlipVisionConfig(
                hidden_size=a.vision_width,
                intermediate_size=4 * a.vision_width,
                num_hidden_layers=a.vision_layers,
                num_attention_heads=a.vision_width // _HEAD_WIDTH,
                image_size=a.resolution,
                patch_size=a.patch,
                hidden_act="gelu",
                layer_norm_eps=a.vision_epsilon,
            )
        )
        self.text = BlipTextModel(
            BlipTextConfig(
                vocab_size=a.vocabulary,
                hidden_size=a.text_width,
                encoder_hidden_size=a.vision_width,
                intermediate_size=4 * a.text_width,
                num_hidden_layers=a.text_layers,
                num_attention_heads=a.text_width // _HEAD_WIDTH,
                max_position_embeddings=a.positions,
                hidden_act="gelu",
                layer_norm_eps=a.text_epsilon,
                is_decoder=True,  # builds the cross-attention; the attention stays bidirectional
            ),
            add_pooling_layer=False,
        )
        widths = (a.text_width, 1024, 128, 64, 16, 1)
        self.head = nn.Sequential(
            *(nn.Linear(inputs, outputs) for inputs, outputs in pairwise(widths))
        )

    def forward(self, pixels: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """Standardised rewards [B].

        pixels: [B, 3, H, W], normalised. ids and mask: int64 [B, L], the mask 1 where a token counts.
        """
        patches = self.vision(pixel_values=pixels).last_hidden_state  # [B, 1 + H/16 W/16, D]
        states = self.text(
            input_ids=ids, attention_mask=mask, encoder_hidden_states=patches
        ).last_hidden_state  # [B, L, 768]
        reward = self.head(states[:, 0])  # [B, 1]
        return ((reward - MEAN) / DEVIATION).squeeze(1)


#: The checkpoint's names and ours, first match wins.
_RENAMED = (
    (r"^blip\.visual_encoder\.cls_token$", "vision.embeddings.class_embedding"),
    (r"^blip\.visual_encoder\.pos_embed$", "vision.embeddings.position_embedding"),
    (r"^blip\.visual_encoder\.patch_embed\.proj\.", "vision.embeddings.patch_embedding."),
    (r"^blip\.visual_encoder\.norm\.", "vision.post_layernorm."),
    (
        r"^blip\.visual_encoder\.blocks\.(\d+)\.attn\.proj\.",
        r"vision.encoder.layers.\1.self_attn.projection.",
    ),
    (
        r"^blip\.visual_encoder\.blocks\.(\d+)\.attn\.",
        r"vision.encoder.layers.\1.self_attn.",
    ),
    (
        r"^blip\.visual_encoder\.blocks\.(\d+)\.norm(\d)\.",
        r"vision.encoder.layers.\1.layer_norm\2.",
    ),
    (r"^blip\.visual_encoder\.blocks\.", "vision.encoder.layers."),
    (r"^blip\.text_encoder\.", "text."),
    # The head's places in the published Sequential, which has dropouts in between.
    (r"^mlp\.layers\.0\.", "head.0."),
    (r"^mlp\.layers\.2\.", "head.1."),
    (r"^mlp\.layers\.4\.", "head.2."),
    (r"^mlp\.layers\.6\.", "head.3."),
    (r"^mlp\.layers\.7\.", "head.4."),
)
#: Of BLIP's pretraining losses, and a buffer of row numbers: not used in scoring.
_UNUSED = ("blip.vision_proj.", "blip.text_proj.", ".position_ids")


def load_published(model: RewardModel, state: Mapping[str, Tensor], source: str) -> None:
    """Fill the model from tensors under the published names (``blip.visual_encoder.blocks.0...``).

    source: the file, for messages. Raises `ConfigError` when a tensor is missing, unknown or misshapen.
    """
    fill(model, {_renamed(name): value for name, value in state.items()}, source, ignore=_UNUSED)


def _renamed(name: str) -> str:
    for pattern, replacement in _RENAMED:
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    return name
