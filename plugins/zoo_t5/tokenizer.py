"""T5's tokenizer from local files: SentencePiece's model, or the same as a tokenizer.json."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from zoo_core.errors import ConfigError

PAD, END = "<pad>", "</s>"


class T5Tokenizer:
    """Captions to ids [B, L] and their mask; every caption ends with the end token."""

    def __init__(self, split: Callable[[str], list[int]], pad: int, end: int, tokens: int) -> None:
        self._split = split
        self._pad = pad
        self._end = end
        self._tokens = tokens

    def __call__(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """ids: [B, L] int64; mask: [B, L] bool, True up to and including the end token."""
        ids = torch.full((len(captions), self._tokens), self._pad, dtype=torch.int64)
        mask = torch.zeros(len(captions), self._tokens, dtype=torch.bool)
        for row, caption in enumerate(captions):
            words = [*self._split(caption)[: self._tokens - 1], self._end]
            ids[row, : len(words)] = torch.tensor(words)
            mask[row, : len(words)] = True
        return ids, mask


def load_tokenizer(folder: Path, tokens: int) -> T5Tokenizer:
    """The tokenizer of a folder. Raises `ConfigError` when it has no usable file."""
    if (folder / "tokenizer.json").is_file():
        return _from_json(folder / "tokenizer.json", tokens)
    if (folder / "spiece.model").is_file():
        return _from_sentencepiece(folder / "spiece.model", tokens)
    raise ConfigError(
        f"{folder} has no tokenizer for T5; put spiece.model or tokenizer.json there, or name another "
        f"folder with 'tokenizer'.",
        key="tokenizer",
    )


def _from_json(file: Path, tokens: int) -> T5Tokenizer:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    pad, end = tokenizer.token_to_id(PAD), tokenizer.token_to_id(END)
    if pad is None or end is None:
        raise ConfigError(
            f"{file} is no tokenizer of T5: it lacks {PAD} or {END}.", key="tokenizer"
        )

    def split(caption: str) -> list[int]:
        return tokenizer.encode(caption, add_special_tokens=False).ids

    return T5Tokenizer(split, pad, end, tokens)


def _from_sentencepiece(file: Path, tokens: int) -> T5Tokenizer:
    try:
        import sentencepiece
    except ImportError:
        raise ConfigError(
            f"Reading {file} needs the package sentencepiece: pip install 't2i-backbone-zoo[t5]', or put "
            f"a tokenizer.json beside it.",
            key="tokenizer",
        ) from None
    processor = sentencepiece.SentencePieceProcessor(model_file=str(file))
    return T5Tokenizer(processor.encode, processor.pad_id(), processor.eos_id(), tokens)
