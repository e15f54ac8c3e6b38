"""Sentence embeddings of all-mpnet-base-v2 by transformers: mean over tokens, unit length."""

from __future__ import annotations

from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import MPNetConfig, MPNetModel

from zoo_core.adapters.pinned import (
    PinnedFile,
    content_sha256,
    load_state,
    locate_pinned,
    pinned_protocol,
)
from zoo_core.adapters.precision import full_precision
from zoo_core.adapters.state_dict import WithoutDraws, fill
from zoo_core.adapters.weights import read_json
from zoo_core.errors import ConfigError

_REVISION = "e8c3b32edf5434bc2275fc9bab85f82640a19130"


def _published(file: str, sha256: str, size: int) -> PinnedFile:
    return PinnedFile(
        name="all-mpnet-base-v2",
        file=file,
        licence="Apache-2.0",
        repo="sentence-transformers/all-mpnet-base-v2",
        revision=_REVISION,
        sha256=sha256,
        size=size,
    )


WEIGHTS = _published(
    "model.safetensors",
    "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
    437_971_872,
)
ARCHITECTURE = _published(
    "config.json", "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0", 571
)
TOKENIZER = _published(
    "tokenizer.json", "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842", 466_021
)
#: Not used by the mean over tokens, and a buffer of row numbers.
_UNUSED = ("pooler.", ".position_ids")
_TOKENS = 512  # of a sentence, as the published tokenizer cuts it


@final
class SentenceEncoder:
    """all-mpnet-base-v2, the embedding of TIFA v1.0.

    Each sentence is embedded by itself without padding, and kept: answers and choices come again and
    again.
    """

    name = "all-mpnet-base-v2"

    def __init__(self, model: MPNetModel, tokenizer: Tokenizer, protocol: dict[str, Any]) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = model.eval().requires_grad_(False).to(self._device)
        self._tokenizer = tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_TOKENS)
        self._protocol = protocol
        self._kept = lru_cache(maxsize=65536)(self._embed)

    def embed(self, sentence: str) -> np.ndarray:
        """The embedding, float32 [D] of length one."""
        return self._kept(sentence)

    def _embed(self, sentence: str) -> np.ndarray:
        ids = torch.tensor([self._tokenizer.encode(sentence).ids], device=self._device)
        with full_precision(self._device):
            states = self._model(
                input_ids=ids, attention_mask=torch.ones_like(ids)
            ).last_hidden_state  # [1, L, D]
            unit = torch.nn.functional.normalize(states.mean(dim=1), dim=1)
        return unit[0].cpu().numpy()

    def protocol(self) -> dict[str, Any]:
        """The files by their hashes."""
        return self._protocol


def build_encoder(folder: str, sha256: str) -> SentenceEncoder:
    """The published model, or the one in a folder.

    folder, sha256: as in the metric's settings. With a hash of one's own (or ``"any"``) configuration
    and tokenizer may differ from the published ones too. Raises `ConfigError` when a file is missing,
    of another hash, or does not fit.
    """
    pinned = WEIGHTS.expecting(sha256)
    beside = "any" if sha256 else ""
    weights = locate_pinned(pinned, folder)
    architecture = locate_pinned(ARCHITECTURE.expecting(beside), folder)
    tokenizer = locate_pinned(TOKENIZER.expecting(beside), folder)
    state = load_state(weights)
    with WithoutDraws():
        model = MPNetModel(_config(architecture), add_pooling_layer=False)
    fill(model, state, str(weights), ignore=_UNUSED)
    protocol = {
        "embedding": pinned_protocol(pinned, weights),
        "tokenizer": content_sha256(tokenizer),
        "pooling": "mean over tokens, unit length",
        "transformers": metadata.version("transformers"),
    }
    return SentenceEncoder(model, _tokenizer(tokenizer), protocol)


def _config(path: Path) -> MPNetConfig:
    stored = read_json(path)
    if stored.get("model_type") != "mpnet":
        raise ConfigError(
            f"{path} describes a model of type {stored.get('model_type')!r}; the embedding needs 'mpnet'."
        )
    try:
        return MPNetConfig.from_dict(stored)
    except (TypeError, ValueError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{path} is no usable configuration of MPNet: {first}") from None


def _tokenizer(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exceptions
        raise ConfigError(f"{path} is no tokenizer of the library tokenizers: {error}.") from None
