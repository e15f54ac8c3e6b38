"""BLIP-VQA on transformers' `BlipForQuestionAnswering`: free-form answers, always the same ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import BlipForQuestionAnswering

from zoo_blip_vqa.config import BlipVQAConfig
from zoo_blip_vqa.files import find, read_model
from zoo_core.adapters.pinned import content_sha256, pinned_protocol
from zoo_core.adapters.precision import full_precision
from zoo_core.adapters.wordpiece import BERT_UNCASED, WordPiece
from zoo_core.errors import ConfigError
from zoo_core.interfaces.prompts import Question
from zoo_core.interfaces.vqa import VQA

MAX_TOKENS = 50  # of an answer, its first and last token included, as in TIFA's reference
_MEAN = torch.tensor((0.48145466, 0.4578275, 0.40821073)).view(3, 1, 1)
_DEVIATION = torch.tensor((0.26862954, 0.26130258, 0.27577711)).view(3, 1, 1)


def build(config: BlipVQAConfig) -> BlipVQA:
    """The published model, or the one in the folder `config.weights`.

    Raises `ConfigError` when a file is missing, of another hash than asked for, or does not fit.
    """
    files = find(config)
    model = read_model(files)
    tokens = WordPiece(files.vocabulary, additional=("[DEC]", "[ENC]"))
    known = model.text_encoder.config.vocab_size
    if len(tokens) != known:
        raise ConfigError(
            f"{files.architecture} has {known} tokens, BERT's vocabulary with "
            f"BLIP's two {len(tokens)}; the model is no BLIP-VQA."
        )
    protocol = {
        "weights": pinned_protocol(files.pinned, files.weights),
        "architecture": content_sha256(files.architecture),
        "vocabulary": pinned_protocol(BERT_UNCASED, files.vocabulary),
        "preprocessing": f"{config.resolution} x {config.resolution} by Pillow bicubic, CLIP's mean and deviation",
        "decoding": f"greedy, at most {MAX_TOKENS} tokens",
        "transformers": metadata.version("transformers"),
    }
    return BlipVQA(model, tokens, config.resolution, protocol)


@final
class BlipVQA(VQA):
    """Answers one question at a time, so that an answer does not depend on the questions beside it.

    As in transformers and in TIFA's use of it, a question begins with ``[CLS]`` (BLIP's own code puts
    ``[ENC]`` there) and answers are written token by token, the likeliest each time (BLIP's own code
    ranks the answers of VQAv2).
    """

    def __init__(
        self,
        model: BlipForQuestionAnswering,
        tokens: WordPiece,
        resolution: int,
        protocol: Mapping[str, Any],
    ) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model
        torch.nn.Module.to(model, self.device)  # transformers' own `to` has no usable type
        self.tokens = tokens
        self.resolution = resolution
        self._protocol = dict(protocol)

    def answer(self, image: np.ndarray, questions: Sequence[Question]) -> list[str]:
        """See `VQA.answer`; answers are lower case and may be any words."""
        with full_precision(self.device):
            seen = pixels(image, self.resolution).to(self.device)
            patches = self.model.vision_model(
                pixel_values=seen,
                interpolate_pos_encoding=self.resolution
                != self.model.vision_model.config.image_size,
            ).last_hidden_state  # [1, 1 + patches, D]
            return [self._answer(patches, question.question) for question in questions]

    def _answer(self, patches: Tensor, question: str) -> str:
        text = self.model.text_encoder.config
        ids = torch.tensor([self.tokens.encode(question, text.max_position_embeddings)])
        states = self.model.text_encoder(
            input_ids=ids.to(self.device), encoder_hidden_states=patches
        ).last_hidden_state  # [1, L, D]
        decoder: Any = self.model.text_decoder  # nor has its `generate`
        written = decoder.generate(
            input_ids=torch.tensor([[self.model.decoder_start_token_id]], device=self.device),
            encoder_hidden_states=states,
            encoder_attention_mask=torch.ones(states.shape[:2], device=self.device),
            eos_token_id=text.sep_token_id,
            pad_token_id=text.pad_token_id,
            max_length=MAX_TOKENS,
            do_sample=False,
            num_beams=1,
        )
        return self.tokens.decode(written[0].tolist())

    def fingerprint(self) -> str:
        return json.dumps(self._protocol, sort_keys=True)


def pixels(image: np.ndarray, resolution: int) -> Tensor:
    """An image uint8 [H, W, 3] as float32 [1, 3, R, R]: squeezed to a square, proportions not kept."""
    square = Image.fromarray(image).resize((resolution, resolution), Image.Resampling.BICUBIC)
    scaled = torch.from_numpy(np.array(square)).permute(2, 0, 1).float() / 255
    return ((scaled - _MEAN) / _DEVIATION).unsqueeze(0)
