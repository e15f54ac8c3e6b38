"""BERT's WordPiece: ids, cutting, decoding, and vocabularies that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_core.adapters.wordpiece import BERT_UNCASED, WordPiece, locate_bert_vocabulary
from zoo_core.errors import ConfigError

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["red", "circle", "##s", "don", "'", "t", "cafe", ".", "[", "]"]


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> WordPiece:
    path = tmp_path_factory.mktemp("words") / "vocab.txt"
    path.write_text("\n".join([*SPECIAL, *WORDS]) + "\n", encoding="utf-8")
    return WordPiece(path, additional=("[DEC]", "[ENC]"))


@pytest.fixture(scope="module")
def bert() -> WordPiece:
    return WordPiece(locate_bert_vocabulary(), additional=("[DEC]", "[ENC]"))


def _ids(words: WordPiece, *tokens: str) -> list[int]:
    return [words.id(token) for token in ("[CLS]", *tokens, "[SEP]")]


def test_texts_become_pieces_between_first_and_last(words):
    assert words.encode("Red  circles") == _ids(words, "red", "circle", "##s")
    assert words.encode("CAFÉ.") == _ids(words, "cafe", ".")
    assert words.encode("green") == _ids(words, "[UNK]")
    assert words.encode("") == _ids(words)


def test_special_tokens_in_a_text_are_themselves(words):
    assert words.encode("red [SEP] [ENC]") == _ids(words, "red", "[SEP]", "[ENC]")
    assert words.id("[DEC]") == len(SPECIAL) + len(WORDS)
    assert words.id("[ENC]") == words.id("[DEC]") + 1 == len(words) - 1


def test_what_is_no_character_is_dropped(words):
    assert words.encode("red\u3097 \ud800circle\u0378") == _ids(words, "red", "circle")


def test_cutting_keeps_first_and_last(words):
    assert words.encode("red " * 50, limit=6) == _ids(words, *["red"] * 4)
    assert words.encode("red", limit=6) == _ids(words, "red")


def test_decoding_joins_pieces_and_leaves_special_tokens_out(words):
    ids = _ids(words, "[DEC]", "red", "circle", "##s", ".", "[PAD]")
    assert words.decode(ids) == "red circles."
    assert words.decode([words.id(t) for t in ("don", "'", "t")]) == "don't"
    assert words.decode([]) == ""


@given(st.lists(st.sampled_from(["red", "circles", "don", "cafe"]), max_size=12))
def test_decoding_undoes_encoding(words, text):
    assert words.decode(words.encode(" ".join(text))) == " ".join(text)


@given(st.text(st.characters(), max_size=60), st.integers(2, 40))
@settings(max_examples=200, deadline=None)
def test_any_text_gives_at_most_the_limit(bert, text, limit):
    ids = bert.encode(text, limit)
    assert len(ids) <= limit
    assert (ids[0], ids[-1]) == (101, 102)
    assert all(0 <= i < 30524 for i in ids)


def test_the_vocabulary_of_bert_is_the_published_one(bert):
    assert len(bert) == 30524
    assert locate_bert_vocabulary().stat().st_size == BERT_UNCASED.size


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"red\ncircle\n", r"no vocabulary of BERT: it lacks \[PAD\]"),
        (b"[PAD]\nred\nred\n", "has the same token twice"),
        (b"\xff\xfe\x00", "cannot be read as a vocabulary"),
    ],
)
def test_files_that_are_no_vocabulary_are_refused(content, complaint, tmp_path):
    (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(ConfigError, match=complaint):
        WordPiece(tmp_path / "vocab.txt")


def test_a_vocabulary_of_another_hash_is_refused(tmp_path):
    (tmp_path / "vocab.txt").write_text("red\n")
    with pytest.raises(ConfigError, match="is not the published bert-base-uncased"):
        locate_bert_vocabulary(str(tmp_path))
    with pytest.raises(ConfigError, match=r"vocab\.txt is not in"):
        locate_bert_vocabulary(str(_empty(tmp_path)))


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"
