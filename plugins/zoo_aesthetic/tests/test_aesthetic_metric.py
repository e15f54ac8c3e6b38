"""The aesthetic score against the published predictor on the same weights, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip.model import CLIP
from safetensors.torch import save_file
from torch import nn

from zoo_aesthetic.config import AestheticConfig
from zoo_aesthetic.metric import PREDICTOR, build, load
from zoo_core.adapters.clip import VIT_L_14, Architecture, Preprocessing, known_architecture
from zoo_core.adapters.pinned import PinnedFile
from zoo_core.errors import ConfigError
from zoo_core.interfaces.prompts import Prompt
from zoo_core.testing.seeded import seeded_picture, seeded_state

REFERENCE = json.loads(Path(__file__).with_name("aesthetic_reference.json").read_text())
REDUCED = REFERENCE["sizes"]["reduced"]
CLIP_FILE = PinnedFile("random", VIT_L_14.file, "none")
HEAD_FILE = PinnedFile("random", PREDICTOR.file, "none")
PROMPTS = [Prompt(f"p{n}", "") for n in range(len(REFERENCE["cases"]))]
IMAGES = [
    seeded_picture(height, width, seed=n) for n, (height, width) in enumerate(REFERENCE["cases"])
]
TOLERANCE = 1e-6


def _write(folder, size, architecture):
    """Both files as they are published: a pickled state dict, and safetensors."""
    with torch.device("meta"):
        model = CLIP(**architecture.settings)
    save_file(
        seeded_state({name: value.shape for name, value in model.state_dict().items()}),
        folder / CLIP_FILE.file,
    )
    head = seeded_state(REFERENCE["sizes"][size]["predictor_shapes"])
    head["layers.0.weight"] *= REFERENCE["gain"]
    torch.save(head, folder / HEAD_FILE.file)
    return folder


def _load(folder, architecture):
    return load(
        (HEAD_FILE, folder / HEAD_FILE.file), (CLIP_FILE, folder / CLIP_FILE.file), architecture
    )


ARCHITECTURE = Architecture("reduced", REDUCED["architecture"], Preprocessing())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return _write(tmp_path_factory.mktemp("aesthetic"), "reduced", ARCHITECTURE)


@pytest.fixture(scope="module")
def metric(folder):
    return _load(folder, ARCHITECTURE)


def scores(metric):
    return np.array([row["score"] for row in metric.score_images(PROMPTS, IMAGES)])


def furthest(found, reference):
    return np.abs(found - np.array(reference)).max()


def test_scores_are_those_of_the_published_predictor(metric):
    assert furthest(scores(metric), REDUCED["scores"]) <= TOLERANCE
    assert np.std(REDUCED["scores"]) > 0.03  # the weights are of visible scale


@pytest.mark.slow
def test_scores_at_the_full_size_are_those_of_the_published_predictor(tmp_path):
    if os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") < 8e9:
        pytest.skip("ViT-L/14 with its file needs about 6 GB of memory")
    architecture = known_architecture("ViT-L-14-quickgelu")
    assert architecture.settings == REFERENCE["sizes"]["full"]["architecture"]
    found = scores(_load(_write(tmp_path, "full", architecture), architecture))
    assert furthest(found, REFERENCE["sizes"]["full"]["scores"]) <= TOLERANCE


@pytest.mark.parametrize(
    "wrong",
    [
        Preprocessing(interpolation="bilinear"),
        Preprocessing(resize="squash"),
        Preprocessing(resize="longest"),
        Preprocessing(mean=(0.5,) * 3, deviation=(0.5,) * 3),
        Preprocessing(mean=(0.0,) * 3, deviation=(1.0,) * 3),
    ],
)
def test_wrong_preprocessing_is_rejected(folder, wrong):
    other = _load(folder, Architecture("reduced", REDUCED["architecture"], wrong))
    assert furthest(scores(other), REDUCED["scores"]) > 100 * TOLERANCE


def test_an_embedding_that_is_not_normalised_is_rejected(metric, monkeypatch):
    monkeypatch.setattr(
        "zoo_core.adapters.clip._unit", lambda embedding: embedding[0].double().cpu().numpy()
    )
    assert furthest(scores(metric), REDUCED["scores"]) > 100 * TOLERANCE


@pytest.mark.parametrize("activation", [nn.functional.relu, torch.tanh])
def test_activations_between_the_layers_are_rejected(metric, monkeypatch, activation):
    def forward(embeddings):
        *hidden, last = metric.head.layers.values()
        for layer in hidden:
            embeddings = activation(layer(embeddings))
        return last(embeddings).squeeze(1)

    monkeypatch.setattr(metric.head, "forward", forward)
    assert furthest(scores(metric), REDUCED["scores"]) > 100 * TOLERANCE


def test_a_row_depends_on_its_own_image_alone(metric):
    together = metric.score_images(PROMPTS, IMAGES)
    shares = [metric.score_images(PROMPTS[rank::2], IMAGES[rank::2]) for rank in (0, 1)]
    by_prompt = {row["prompt"]: row for row in shares[0] + shares[1]}
    assert by_prompt == {row["prompt"]: row for row in together}
    score = metric.summarize(together)
    assert score == metric.summarize(shares[1] + shares[0])
    assert (score.metric, score.count) == ("aesthetic", len(PROMPTS))
    assert score.interval[0] < score.value < score.interval[1]


def test_the_protocol_names_both_files(folder, metric):
    entries = metric.protocol()
    for key, pinned in (("weights", HEAD_FILE), ("clip_weights", CLIP_FILE)):
        content = (folder / pinned.file).read_bytes()
        assert entries[key]["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("shape", [(1, 1), (1, 64), (224, 224)])
def test_small_and_narrow_images_are_scored(metric, shape):
    (row,) = metric.score_images([Prompt("p", "")], [seeded_picture(*shape)])
    assert np.isfinite(row["score"])


def test_a_ribbon_is_refused_with_its_prompt(metric):
    with pytest.raises(ConfigError, match=r"prompt 'p' is 1 x 65 pixels; .* 64 times"):
        metric.score_images([Prompt("p", "")], [seeded_picture(65, 1)])


@pytest.fixture
def empty_places(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("ZOO_DOWNLOAD", raising=False)


def test_missing_files_say_which_from_where_into_which_folder(tmp_path, empty_places, folder):
    place = tmp_path / "weights" / PREDICTOR.name
    with pytest.raises(
        ConfigError,
        match=rf"{re.escape(PREDICTOR.file)} is not in {re.escape(str(place))}.*from https://raw.*licence",
    ):
        build(AestheticConfig())
    with pytest.raises(
        ConfigError, match=r"ViT-L/14: .*open_clip_model\.safetensors is not in .*'clip_weights'"
    ):
        build(AestheticConfig(weights=str(folder), sha256="any"))


def test_other_files_under_the_published_names_are_refused(empty_places, folder):
    own = hashlib.sha256((folder / HEAD_FILE.file).read_bytes()).hexdigest()
    with pytest.raises(ConfigError, match=f"(?s){own}.*{PREDICTOR.sha256}"):
        build(AestheticConfig(weights=str(folder), clip_weights=str(folder)))
    with pytest.raises(ConfigError, match=VIT_L_14.sha256):
        build(AestheticConfig(weights=str(folder), sha256="any", clip_weights=str(folder)))


def test_a_damaged_predictor_and_one_of_another_shape_are_named(tmp_path, folder):
    (tmp_path / CLIP_FILE.file).symlink_to(folder / CLIP_FILE.file)
    content = (folder / HEAD_FILE.file).read_bytes()
    (tmp_path / HEAD_FILE.file).write_bytes(content[: len(content) // 2])
    with pytest.raises(ConfigError, match=r"linearMSE\.pth is no intact weights file"):
        _load(tmp_path, ARCHITECTURE)
    torch.save({"layers.0.weight": torch.ones(1024, 768)}, tmp_path / HEAD_FILE.file)
    with pytest.raises(ConfigError, match=r"linearMSE\.pth: the tensor .* is missing"):
        _load(tmp_path, ARCHITECTURE)
