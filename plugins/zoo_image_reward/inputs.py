"""What ImageReward sees: an image cut to a square of 224 pixels, and a prompt of 35 tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms

from zoo_core.adapters.wordpiece import PAD, WordPiece

RESOLUTION = 224
TOKENS = 35
#: Mean and deviation of CLIP's training images, by channel.
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)

_PREPROCESS = transforms.Compose(
    [
        transforms.Resize(RESOLUTION, interpolation=transforms.InterpolationMode.BICUBIC),
        transforms.CenterCrop(RESOLUTION),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, DEVIATION),
    ]
)


def pixels(image: np.ndarray) -> Tensor:
    """An image uint8 [H, W, 3] as float32 [1, 3, 224, 224].

    The shorter side is resized to 224 by Pillow's bicubic filter, the middle of the longer one is kept.
    """
    return _PREPROCESS(Image.fromarray(image)).unsqueeze(0)


class PromptTokens:
    """Prompts as the published code gives them to the text encoder.

    The first token stays BERT's ``[CLS]``. BLIP's image-text matching replaces it by ``[ENC]``, which
    its tokenizer has for that; ImageReward adds ``[ENC]`` and never uses it.
    """

    def __init__(self, vocabulary: Path) -> None:
        self.wordpiece = WordPiece(vocabulary, additional=("[DEC]", "[ENC]"))

    def __call__(self, prompt: str) -> tuple[Tensor, Tensor]:
        """Ids and mask, int64 [1, 35] each; the mask is 1 where a token counts, 0 on padding."""
        found = self.wordpiece.encode(prompt, TOKENS)
        ids = torch.full((1, TOKENS), self.wordpiece.id(PAD), dtype=torch.int64)
        ids[0, : len(found)] = torch.tensor(found)
        mask = torch.zeros(1, TOKENS, dtype=torch.int64)
        mask[0, : len(found)] = 1
        return ids, mask
