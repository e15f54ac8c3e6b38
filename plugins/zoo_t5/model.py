"""T5's encoder on transformers' `T5EncoderModel`, with the padding mask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import transformers
from torch import Tensor

from zoo_core.adapters.weights import load_part, read_json, safetensors_files
from zoo_core.catalog.resource import locate
from zoo_core.errors import ConfigError
from zoo_core.interfaces.text_encoder import TextEncoder, TextStates
from zoo_t5.config import T5Config
from zoo_t5.tokenizer import T5Tokenizer, load_tokenizer


@final
class T5TextEncoder(TextEncoder):
    """Holds a `T5EncoderModel`. States are the last layer's after its final norm.

    Without a tokenizer only `encode_ids` works.
    """

    config: T5Config

    def __init__(
        self, config: T5Config, model: transformers.T5EncoderModel, tokenizer: T5Tokenizer | None
    ) -> None:
        super().__init__(config)
        self.model = model
        self.tokenizer = tokenizer

    def encode(self, captions: Sequence[str]) -> TextStates:
        """See `TextEncoder.encode`. Raises `ConfigError` without a tokenizer."""
        if self.tokenizer is None:
            raise ConfigError(
                "T5Config: captions cannot be encoded without a tokenizer; set 'tokenizer' to a folder "
                "with spiece.model or tokenizer.json.",
                key="tokenizer",
            )
        ids, mask = self.tokenizer(captions)
        device = self.model.device
        return self.encode_ids(ids.to(device), mask.to(device))

    def encode_ids(self, ids: Tensor, mask: Tensor) -> TextStates:
        """States [B, L, D] of token ids [B, L] int64; mask [B, L] bool, True where a token counts."""
        output = self.model(input_ids=ids, attention_mask=mask)
        return TextStates(output.last_hidden_state, mask)


def build(config: T5Config) -> T5TextEncoder:
    """A text encoder with fresh weights, or those of the folder `config.weights`.

    Raises `ConfigError` when a folder is missing, has no safetensors, is of another architecture, or
    has no tokenizer although `config.tokenizer` names it.
    """
    folder = locate(config.weights) if config.weights else None
    if folder is not None:
        _require_same(config, folder)
    model = transformers.T5EncoderModel(transformers.T5Config(**_architecture(config)))
    if folder is not None:
        load_part(model, safetensors_files(folder, ["model.safetensors"]))
    tokens_folder = locate(config.tokenizer) if config.tokenizer else folder
    tokenizer = None if tokens_folder is None else load_tokenizer(tokens_folder, config.tokens)
    return T5TextEncoder(config, model, tokenizer)


#: Settings by the names transformers gives them.
_NAMES = {
    "d_model": "width",
    "num_layers": "layers",
    "num_heads": "heads",
    "d_kv": "head_width",
    "d_ff": "ff_width",
    "vocab_size": "vocabulary",
}


def _architecture(config: T5Config) -> dict[str, Any]:
    settings = {theirs: getattr(config, ours) for theirs, ours in _NAMES.items()}
    return {
        **settings,
        "feed_forward_proj": "gated-gelu",
        "is_encoder_decoder": False,
        "use_cache": False,
    }


def _require_same(config: T5Config, folder: Path) -> None:
    stored = read_json(folder / "config.json")
    form = stored.get("feed_forward_proj")
    if form != "gated-gelu":
        raise ConfigError(
            f"{folder}: the encoder's feed-forward is {form!r}; only gated-gelu is built."
        )
    wrong = {
        ours: stored.get(theirs)
        for theirs, ours in _NAMES.items()
        if stored.get(theirs) != getattr(config, ours)
    }
    if wrong:
        fix = ", ".join(f"{key} = {value}" for key, value in wrong.items())
        raise ConfigError(
            f"T5Config: the weights in {folder} are of another architecture; set {fix}.",
            key=next(iter(wrong)),
        )
