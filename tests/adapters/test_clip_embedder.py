"""open_clip models for scorers: built without drawing weights, shared, and described by a folder."""

from __future__ import annotations

import gc
import json
import shutil
import weakref

import numpy as np
import pytest
import torch
from open_clip.model import CLIP
from safetensors.torch import save_file

from zoo_core.adapters.clip import (
    Architecture,
    Preprocessing,
    known_architecture,
    load_embedder,
    stored_architecture,
)
from zoo_core.catalog.resource import locate
from zoo_core.errors import ConfigError
from zoo_core.testing.seeded import seeded_picture

SETTINGS = {
    "embed_dim": 32,
    "vision_cfg": {
        "image_size": 32,
        "layers": 1,
        "width": 32,
        "head_width": 16,
        "patch_size": 16,
    },
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
TINY = "package:zoo_shapes/weights/tiny_clip"


@pytest.fixture
def saved(tmp_path):
    """A model that open_clip initialised itself, and its file."""
    torch.manual_seed(0)
    model = CLIP(**SETTINGS).eval()
    save_file(model.state_dict(), tmp_path / "open_clip_model.safetensors")
    return model, tmp_path / "open_clip_model.safetensors"


@pytest.fixture
def architecture():
    return Architecture("small", SETTINGS, Preprocessing(size=32))


@torch.no_grad()
def test_embeddings_are_those_of_the_model_as_open_clip_builds_it(saved, architecture):
    model, file = saved
    embedder = load_embedder(architecture, file)
    pixels = architecture.preprocessing(seeded_picture(40, 50))
    long = "one two three four five six seven eight nine ten eleven twelve thirteen"
    for text in ("a dog", long, ""):
        tokens = embedder.tokenizer([text])
        assert tokens.shape == (1, 12)
        expected = model.encode_text(tokens, normalize=True)[0]
        np.testing.assert_allclose(embedder.text(text), expected, atol=1e-6)
    expected = model.encode_image(pixels[None], normalize=True)[0]
    np.testing.assert_allclose(embedder.image(pixels), expected, atol=1e-6)
    assert np.linalg.norm(embedder.image(pixels)) == pytest.approx(1, abs=1e-12)


def test_embedding_works_inside_autocast_and_gradients_as_outside(saved, architecture):
    embedder = load_embedder(architecture, saved[1])
    pixels = architecture.preprocessing(seeded_picture(40, 50))
    outside = embedder.image(pixels), embedder.text("a dog")
    with torch.enable_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        inside = embedder.image(pixels), embedder.text("a dog")
    assert all(np.array_equal(*pair) for pair in zip(outside, inside, strict=True))


def test_scorers_of_one_file_share_a_model_until_the_last_is_gone(saved, architecture):
    first = load_embedder(architecture, saved[1])
    assert load_embedder(architecture, saved[1]) is first
    other = Architecture("small", {**SETTINGS, "quick_gelu": True}, Preprocessing(size=32))
    assert load_embedder(other, saved[1]) is not first
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None


def test_a_file_written_anew_is_read_anew(saved, architecture):
    model, file = saved
    first = load_embedder(architecture, file)
    torch.nn.init.ones_(model.ln_final.bias)
    save_file(model.state_dict(), file)
    assert not np.array_equal(load_embedder(architecture, file).text("a"), first.text("a"))


def test_half_precision_files_are_computed_in_single_precision(saved, architecture, tmp_path):
    model, _ = saved
    half = {name: value.half() for name, value in model.state_dict().items()}
    save_file(half, tmp_path / "half.safetensors")
    embedder = load_embedder(architecture, tmp_path / "half.safetensors")
    for name, value in embedder.model.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, half[name].float())


def test_a_folder_describes_architecture_preprocessing_and_vocabulary():
    found = stored_architecture(locate(TINY))
    assert found.preprocessing == Preprocessing(64, "squash", "bilinear", (0.5,) * 3, (0.5,) * 3)
    assert found.vocabulary is not None
    assert found.settings["text_cfg"]["context_length"] == 32
    embedder = load_embedder(found, locate(TINY) / "open_clip_model.safetensors")
    assert embedder.tokenizer.vocab_size == 708


@pytest.fixture
def copy(tmp_path):
    """A folder of one's own, and a function that changes its configuration."""
    folder = tmp_path / "mine"
    shutil.copytree(locate(TINY), folder)

    def change(**parts):
        file = folder / "open_clip_config.json"
        stored = json.loads(file.read_text())
        for key, values in parts.items():
            stored[key] = {**stored[key], **values}
        file.write_text(json.dumps(stored))
        return folder

    return change


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        ({"preprocess_cfg": {"resize_mode": "cover"}}, "resize_mode is 'cover'; expected shortest"),
        ({"preprocess_cfg": {"interpolation": "random"}}, "expected bicubic or bilinear"),
        ({"preprocess_cfg": {"size": [64, 32]}}, "only squares"),
        ({"model_cfg": {"multimodal_cfg": {}}}, "sets 'multimodal_cfg'"),
        ({"model_cfg": {"text_cfg": {"hf_model_name": "bert"}}}, "sets 'hf_model_name'"),
        (
            {"model_cfg": {"vision_cfg": 3}},
            "must have embed_dim, and tables vision_cfg and text_cfg",
        ),
    ],
)
def test_settings_that_are_not_understood_are_named(copy, parts, complaint):
    with pytest.raises(ConfigError, match=rf"open_clip_config\.json: .*{complaint}"):
        stored_architecture(copy(**parts))


def test_a_folder_without_configuration_or_with_two_vocabularies_is_refused(copy, tmp_path):
    folder = copy()
    (folder / "other.txt.gz").write_bytes(b"")
    with pytest.raises(ConfigError, match="several vocabularies"):
        stored_architecture(folder)
    with pytest.raises(ConfigError, match=r"open_clip_config\.json is missing"):
        stored_architecture(tmp_path)


def test_a_vocabulary_of_another_size_is_refused(copy):
    folder = copy()
    next(folder.glob("*.txt.gz")).unlink()
    with pytest.raises(ConfigError, match=r"has 708 tokens, its vocabulary 49408; .*\*\.txt\.gz"):
        load_embedder(stored_architecture(folder), folder / "open_clip_model.safetensors")


def test_another_architecture_is_named_by_its_first_tensor(saved, architecture):
    deeper = {**SETTINGS, "text_cfg": {**SETTINGS["text_cfg"], "layers": 2}}
    with pytest.raises(ConfigError, match=r"safetensors: the tensor 'transformer\.resblocks\.1"):
        load_embedder(Architecture("deeper", deeper, architecture.preprocessing), saved[1])


def test_an_unknown_name_has_a_suggestion():
    with pytest.raises(ConfigError, match=r"no model 'ViT-H-141'\. Did you mean 'ViT-H-14'"):
        known_architecture("ViT-H-141")


def test_preprocessing_keeps_the_middle_of_the_longer_side():
    picture = np.zeros((10, 30, 3), dtype=np.uint8)
    picture[:, 10:20] = 255
    seen = Preprocessing(size=10, mean=(0.0,) * 3, deviation=(1.0,) * 3)(picture)
    assert seen.shape == (3, 10, 10)
    assert seen.min() == 1
