"""Free answers become choices: literally, or by the nearest sentence embedding of a real MPNet."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from zoo_core.adapters.pinned import content_sha256
from zoo_core.errors import ConfigError
from zoo_core.interfaces.prompts import Prompt, Question
from zoo_core.interfaces.vqa import VQA
from zoo_tifa.choices import Literal, Nearest
from zoo_tifa.config import TIFAConfig
from zoo_tifa.metric import build
from zoo_tifa.sentences import build_encoder

WORDS = ["<s>", "<pad>", "</s>", "[UNK]", "pale", "green", "black", "yellow", "brown"]
WORDS += ["yes", "no", "two", "dogs", "cat", "a"]
CHOICES = ["black", "green", "yellow", "brown"]


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """No weights of the machine's are found."""
    for variable in ("ZOO_WEIGHTS", "ZOO_CACHE", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
    monkeypatch.delenv("ZOO_DOWNLOAD", raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A small MPNet of random weights in the published format, its words' embeddings far apart."""
    place = tmp_path_factory.mktemp("mpnet")
    torch.manual_seed(0)
    config = transformers.MPNetConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=520,
    )
    model = transformers.MPNetModel(config)
    torch.nn.init.normal_(model.embeddings.word_embeddings.weight, std=2.0)
    model.save_pretrained(place)
    tokenizer = Tokenizer(
        models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(place / "tokenizer.json"))
    return place


@pytest.mark.parametrize(
    ("answer", "choice"),
    [("yes", "yes"), (" YES ", "yes"), ("yes, it is", ""), ("", ""), ("no", "No"), ("No", "No")],
)
def test_literal_answers(answer, choice):
    assert Literal().choose(answer, ["yes", "No"]) == choice


def _reference(folder: Path, answer: str, choices: list[str]) -> str:
    """TIFA's rule as its code has it: a padded batch of choices, masked means, unit length, argmax."""
    model = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), pad_token="<pad>"
    )

    def embed(sentences: list[str]) -> torch.Tensor:
        batch = tokenizer(sentences, padding=True, return_tensors="pt")
        with torch.no_grad():
            states = model(
                input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
            ).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1).float()
        return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)

    return choices[int((embed(choices) @ embed([answer]).T).argmax())]


@pytest.mark.parametrize("answer", ["pale green", "two dogs", "a yellow cat", "brown brown no", ""])
def test_a_free_answer_goes_to_the_nearest_choice_as_in_the_reference(answer, folder):
    matching = Nearest(build_encoder(str(folder), "any"))
    for choices in (CHOICES, ["two dogs", "a cat", "no"], ["pale black", "a pale green cat"]):
        expected = answer if answer in choices else _reference(folder, answer, choices)
        assert matching.choose(answer, choices) == expected


def test_a_literal_choice_is_taken_as_it_is(folder):
    matching = Nearest(build_encoder(str(folder), "any"))
    assert all(matching.choose(choice, CHOICES) == choice for choice in CHOICES)


def test_an_embedding_does_not_depend_on_what_was_asked_before(folder):
    first, second = build_encoder(str(folder), "any"), build_encoder(str(folder), "any")
    sentences = ["pale green", "a cat", "two dogs yes", ""]
    forth = [first.embed(sentence) for sentence in sentences]
    back = [second.embed(sentence) for sentence in reversed(sentences)][::-1]
    for one, other in zip(forth, back, strict=True):
        assert np.array_equal(one, other)
        assert np.linalg.norm(one) == pytest.approx(1, abs=1e-6)


class Fixed(VQA):
    def answer(self, image, questions):
        return ["pale green"] * len(questions)

    def fingerprint(self) -> str:
        return "fixed"


def test_the_metric_scores_the_choice_and_says_which_embedding(folder):
    config = TIFAConfig(
        vqa="fixed",
        embedding="all-mpnet-base-v2",
        weights=str(folder),
        sha256=content_sha256(folder / "model.safetensors"),
    )
    metric = build(config, vqa=Fixed())
    nearest = _reference(folder, "pale green", CHOICES)
    prompts = [
        Prompt(expected, "?", (Question("what color?", tuple(CHOICES), expected, "color"),))
        for expected in CHOICES
    ]
    rows = metric.score_images(prompts, [np.zeros((4, 4, 3), dtype=np.uint8)] * 4)
    assert [row["questions"][0]["right"] for row in rows] == [c == nearest for c in CHOICES]
    assert {row["questions"][0]["answer"] for row in rows} == {"pale green"}
    assert {row["questions"][0]["choice"] for row in rows} == {nearest}
    assert metric.name == "tifa[fixed+all-mpnet-base-v2]"
    protocol = metric.protocol()
    assert protocol["variant"] == "tifa-1.0"
    assert protocol["matching"]["embedding"]["sha256"] == config.sha256


def test_other_files_than_the_published_are_refused(folder):
    with pytest.raises(ConfigError, match="is not the published all-mpnet-base-v2"):
        build_encoder(str(folder), "")


def test_no_weights_says_which_file_from_where(tmp_path):
    config = TIFAConfig(vqa="fixed", embedding="all-mpnet-base-v2")
    with pytest.raises(
        ConfigError, match=r"model\.safetensors is not in .*sentence-transformers/all-mpnet-base-v2"
    ):
        build(config, vqa=Fixed())
    with pytest.raises(ConfigError, match=rf"model\.safetensors is not in {tmp_path}"):
        build_encoder(str(tmp_path), "any")


def _copied(folder: Path, target: Path) -> Path:
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (target / name).write_bytes((folder / name).read_bytes())
    return target


def test_files_that_do_not_fit_are_named(folder, tmp_path):
    place = _copied(folder, tmp_path)
    (place / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"tokenizer\.json is no tokenizer"):
        build_encoder(str(place), "any")
    stored = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**stored, "num_hidden_layers": 3}))
    with pytest.raises(ConfigError, match=r"layer\.2\..* is missing"):
        build_encoder(str(place), "any")
    (place / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ConfigError, match="type 'bert'; the embedding needs 'mpnet'"):
        build_encoder(str(place), "any")
    (place / "model.safetensors").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ConfigError, match="no intact safetensors file"):
        build_encoder(str(place), "any")
