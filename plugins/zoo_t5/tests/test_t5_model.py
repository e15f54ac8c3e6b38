"""T5's encoder: shapes, mask, tokenizer files, and weights from a folder."""

import json
import sys
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import Metaspace

from zoo_core.errors import ConfigError
from zoo_core.schema import convert
from zoo_t5.config import T5Config
from zoo_t5.model import build

TINY = {
    "width": 32,
    "tokens": 8,
    "layers": 2,
    "heads": 2,
    "head_width": 8,
    "ff_width": 48,
    "vocabulary": 20,
}
WORDS = ["<pad>", "</s>", "<unk>", "▁red", "▁circle", "▁a"]


def tiny(**changes: Any) -> T5Config:
    return convert({**TINY, **changes}, T5Config, "here")


def tokenized(encoder, captions):
    assert encoder.tokenizer is not None
    return encoder.tokenizer(captions)


@pytest.fixture
def vocabulary(tmp_path):
    """A folder with a tokenizer.json of three words."""
    pieces = [(word, -float(place)) for place, word in enumerate(WORDS)]
    tokenizer = Tokenizer(Unigram(pieces, unk_id=2, byte_fallback=False))
    tokenizer.pre_tokenizer = Metaspace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


@pytest.fixture
def folder(vocabulary):
    """A whole T5, decoder included, saved in transformers' format beside the tokenizer."""
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "d_model": 32,
        "num_layers": 2,
        "num_heads": 2,
        "d_kv": 8,
        "d_ff": 48,
        "vocab_size": 20,
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,
    }
    config = transformers.T5Config(**settings)
    transformers.T5ForConditionalGeneration(config).save_pretrained(vocabulary)
    return vocabulary


def test_flan_t5_xxl_has_its_published_shape():
    with torch.device("meta"):
        encoder = build(T5Config())
        # Without a mask: transformers looks into one, and meta tensors have no values.
        states = encoder.model(input_ids=torch.zeros(2, 120, dtype=torch.int64))
    assert states.last_hidden_state.shape == (2, 120, 4096)
    # Table 2 of the study prints 4.3B; the encoder with its embedding comes to 4.76.
    assert f"{sum(p.numel() for p in encoder.parameters()) / 1e9:.2f}" == "4.76"


@torch.no_grad()
def test_padding_does_not_reach_the_words(vocabulary):
    torch.manual_seed(0)
    encoder = build(tiny(tokenizer=str(vocabulary))).eval()
    states = encoder.encode(["a red circle", "red", ""])
    assert states.states.shape == (3, 8, 32)
    assert states.mask is not None
    assert states.mask.sum(dim=1).tolist() == [4, 2, 1]
    assert states.mask.dtype == torch.bool
    ids, mask = tokenized(encoder, ["red"])
    assert ids.tolist() == [[3, 1, 0, 0, 0, 0, 0, 0]]
    other = torch.where(mask, ids, 5)
    torch.testing.assert_close(
        encoder.encode_ids(other, mask).states[:, :2], states.states[1:2, :2], atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(encoder.empty().states[0, 0], states.states[2, 0])


def test_long_captions_are_cut_with_their_end_kept(vocabulary):
    encoder = build(tiny(tokenizer=str(vocabulary)))
    ids, mask = tokenized(encoder, ["red " * 30])
    assert ids.tolist() == [[3] * 7 + [1]]
    assert mask.all()


def test_without_a_tokenizer_captions_are_refused_but_ids_work():
    encoder = build(tiny())
    with pytest.raises(ConfigError, match=r"set 'tokenizer' to a folder with spiece\.model or"):
        encoder.encode(["red"])
    ids = torch.tensor([[3, 4, 1, 0]])
    assert encoder.encode_ids(ids, ids > 0).states.shape == (1, 4, 32)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(
        ConfigError, match=r"no tokenizer for T5; put spiece\.model or tokenizer\.json"
    ):
        build(tiny(tokenizer=str(tmp_path)))


def test_a_sentencepiece_model_is_read(tmp_path):
    sentencepiece = pytest.importorskip("sentencepiece")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("a red circle\na blue square\n" * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(tmp_path / "spiece"),
        vocab_size=17,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    encoder = build(tiny(tokenizer=str(tmp_path), vocabulary=17))
    ids, mask = tokenized(encoder, ["a red circle", ""])
    assert ids[1].tolist() == [1] + [0] * 7
    words = ids[0][mask[0]].tolist()
    assert words[-1] == 1
    reader = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "spiece.model"))
    assert reader.decode(words[:-1]).startswith("a")


def test_sentencepiece_missing_says_how_to_get_it(tmp_path, monkeypatch):
    (tmp_path / "spiece.model").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(ConfigError, match=r"needs the package sentencepiece: pip install .*\[t5\]"):
        build(tiny(tokenizer=str(tmp_path)))


@torch.no_grad()
def test_weights_of_a_whole_t5_fill_the_encoder(folder):
    encoder = build(tiny(weights=str(folder))).eval()
    reference = transformers.T5ForConditionalGeneration.from_pretrained(folder).eval()
    ids, mask = tokenized(encoder, ["a red circle"])
    expected = reference.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    states = encoder.encode(["a red circle"]).states
    torch.testing.assert_close(states[mask], expected[mask], atol=1e-5, rtol=1e-5)


def test_another_architecture_is_refused_with_the_fix(folder):
    with pytest.raises(ConfigError, match="set layers = 2, ff_width = 48"):
        build(tiny(weights=str(folder), layers=3, ff_width=40))
    stored = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**stored, "feed_forward_proj": "relu"}))
    with pytest.raises(ConfigError, match="feed-forward is 'relu'; only gated-gelu"):
        build(tiny(weights=str(folder)))


def test_pickles_are_refused(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"pytorch_model\.bin.*pickles"):
        build(tiny(weights=str(folder)))
