"""BLIP-VQA on a small model of random weights, saved in the published file format."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from zoo_blip_vqa.config import BlipVQAConfig
from zoo_blip_vqa.files import find, read_model
from zoo_blip_vqa.model import build, pixels
from zoo_core.adapters.pinned import content_sha256
from zoo_core.adapters.wordpiece import WordPiece, locate_bert_vocabulary
from zoo_core.errors import ConfigError
from zoo_core.interfaces.prompts import Question
from zoo_core.schema import convert

ASKED = tuple(
    Question(text, ("yes", "no"), "yes")
    for text in ("is this a surfer?", "what color is the sky?", "How many dogs are in the picture?")
)


LENGTH = 8  # random weights never end an answer by themselves


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """No weights of the machine's are found, and answers are short."""
    monkeypatch.setattr("zoo_blip_vqa.model.MAX_TOKENS", LENGTH)
    for variable in ("ZOO_WEIGHTS", "ZOO_CACHE", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
    monkeypatch.delenv("ZOO_DOWNLOAD", raising=False)


def _model() -> transformers.BlipForQuestionAnswering:
    torch.manual_seed(3)
    common: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    config = transformers.BlipConfig(
        text_config={**common, "num_hidden_layers": 2, "max_position_embeddings": 64},
        vision_config={**common, "num_hidden_layers": 2, "image_size": 64},
    )
    model = transformers.BlipForQuestionAnswering(config)
    for (
        parameter
    ) in model.parameters():  # of a scale at which images and questions change the answers
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.4)
    return model.eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("blip")
    _model().save_pretrained(place)
    return place


def _config(folder: Path, **changes: Any) -> BlipVQAConfig:
    return convert({"weights": str(folder), "resolution": 64, **changes}, BlipVQAConfig, "here")


def _images(count: int = 2) -> list[np.ndarray]:
    generator = np.random.default_rng(5)
    return [generator.integers(0, 256, (30 + 40 * n, 90, 3), dtype=np.uint8) for n in range(count)]


def test_answers_are_those_of_transformers_own_generate(folder):
    vqa = build(_config(folder))
    model = transformers.BlipForQuestionAnswering.from_pretrained(folder).eval()
    words = WordPiece(locate_bert_vocabulary())
    answers = []
    for image in _images():
        expected = []
        for question in ASKED:
            ids = torch.tensor([words.encode(question.question)])
            written = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                pixel_values=pixels(image, 64),
                max_length=LENGTH,
            )
            expected.append(words.decode([i for i in written[0].tolist() if i < len(words)]))
        assert vqa.answer(image, ASKED) == expected
        answers.extend(expected)
    assert len(set(answers)) > 3, "the comparison needs answers that differ"


def test_answers_are_the_same_each_time_and_alone(folder):
    image = _images()[0]
    together = build(_config(folder)).answer(image, ASKED)
    vqa = build(_config(folder))
    torch.manual_seed(99)
    assert vqa.answer(image, ASKED) == together
    assert [vqa.answer(image, [question])[0] for question in reversed(ASKED)] == together[::-1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert vqa.answer(image, ASKED) == together
    assert vqa.answer(image, []) == []


def test_every_tensor_of_the_file_is_loaded(folder):
    loaded = read_model(find(_config(folder))).state_dict()
    for name, value in _model().state_dict().items():
        assert torch.equal(loaded[name], value), name


def test_a_folder_of_older_transformers_is_read_by_the_restricted_reader(folder, tmp_path):
    state = _model().state_dict()
    state["text_encoder.embeddings.position_ids"] = torch.arange(64)[None]
    torch.save(state, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    image = _images()[0]
    assert build(_config(tmp_path)).answer(image, ASKED) == build(_config(folder)).answer(
        image, ASKED
    )


def test_pixels_are_those_of_transformers_pillow_processor():
    for image in _images(3):
        processor = transformers.BlipImageProcessorPil(size={"height": 384, "width": 384})
        expected = processor(images=image, return_tensors="pt").pixel_values
        assert torch.allclose(pixels(image, 384), expected, atol=1e-6)


def test_positions_are_interpolated_for_another_resolution(folder):
    vqa = build(_config(folder, resolution=80))
    assert vqa.model.config.vision_config.image_size == 64
    assert len(vqa.answer(_images()[0], ASKED)) == len(ASKED)
    assert vqa.fingerprint() != build(_config(folder)).fingerprint()


def test_the_fingerprint_holds_the_weights_hash(folder):
    stated = json.loads(build(_config(folder)).fingerprint())
    assert stated["weights"]["sha256"] == content_sha256(folder / "model.safetensors")
    assert "64 x 64" in stated["preprocessing"]


def test_a_hash_that_is_asked_for_is_checked(folder):
    right = content_sha256(folder / "model.safetensors")
    build(_config(folder, sha256=right))
    with pytest.raises(ConfigError, match="is not the published blip-vqa-capfilt-large"):
        build(_config(folder, sha256="0" * 64))


@pytest.mark.parametrize("model", ["base", "capfilt-large"])
def test_no_weights_says_which_file_from_where_into_which_folder(model, tmp_path):
    with pytest.raises(
        ConfigError, match=rf"model\.safetensors is not in .*Salesforce/blip-vqa-{model}"
    ):
        build(BlipVQAConfig(model=model))
    with pytest.raises(ConfigError, match=rf"model\.safetensors is not in {tmp_path}"):
        build(_config(tmp_path))


def test_weights_without_their_configuration_are_refused(folder, tmp_path):
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(ConfigError, match=r"config\.json is not in"):
        build(_config(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ConfigError, match=r"config\.json describes no BLIP model"):
        build(_config(tmp_path))


def test_weights_of_another_architecture_are_refused(folder, tmp_path):
    stored = json.loads((folder / "config.json").read_text())
    stored["text_config"]["num_hidden_layers"] = 3
    (tmp_path / "config.json").write_text(json.dumps(stored))
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(ConfigError, match=r"layer\.2.* is missing"):
        build(_config(tmp_path))


class Sabotage:
    """Unpickling it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_is_never_executed(folder, tmp_path):
    trap = tmp_path / "executed"
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Sabotage(trap)}))
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(ConfigError, match=r"is refused|no intact weights file"):
        build(_config(tmp_path))
    assert not trap.exists()
