"""The CLIP score against torchmetrics and OpenAI's code on the same weights, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from msgspec.structs import replace
from open_clip.model import CLIP
from open_clip.openai import load_openai_model
from PIL import Image
from safetensors.torch import save_file
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from zoo_clip_score import metric as metric_module
from zoo_clip_score.config import CLIPScoreConfig
from zoo_clip_score.metric import PUBLISHED, build, load
from zoo_core.adapters.clip import (
    DEVIATION,
    MEAN,
    Architecture,
    CLIPEmbedder,
    Preprocessing,
    known_architecture,
)
from zoo_core.adapters.pinned import PinnedFile
from zoo_core.catalog import open_catalog
from zoo_core.errors import ConfigError
from zoo_core.interfaces.prompts import Prompt
from zoo_core.testing.seeded import seeded_picture, seeded_state

REFERENCE = json.loads(Path(__file__).with_name("clip_reference.json").read_text())
REDUCED = REFERENCE["sizes"]["reduced"]
ARCHITECTURE = Architecture("reduced", REDUCED["architecture"], Preprocessing())
PINNED = PinnedFile("random", "open_clip_model.safetensors", "none")
PROMPTS = [Prompt(f"p{n}", case[0]) for n, case in enumerate(REFERENCE["cases"])]
IMAGES = [
    seeded_picture(height, width, seed=n) for n, (_, height, width) in enumerate(REFERENCE["cases"])
]
LONG = [n for n, prompt in enumerate(PROMPTS) if len(prompt.text) > 300]
TOLERANCE = 1e-6
TINY = CLIPScoreConfig(scorer="tiny-clip", weights="package:zoo_shapes/weights/tiny_clip")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file as it is published: safetensors in single precision."""
    path = tmp_path_factory.mktemp("clip") / PINNED.file
    save_file(seeded_state(REDUCED["shapes"]), path)
    return path


@pytest.fixture(scope="module")
def metric(file):
    return load(CLIPScoreConfig(), PINNED, file, ARCHITECTURE)


@pytest.fixture(scope="module")
def hessel(file):
    config = CLIPScoreConfig(formula="hessel", scorer="vit-b-32")
    return load(config, PINNED, file, ARCHITECTURE)


@pytest.fixture(scope="module")
def rows(metric):
    return metric.score_images(PROMPTS, IMAGES)


@pytest.fixture(scope="module")
def found(rows):
    return np.array([row["score"] for row in rows])


def scores(metric, key="score"):
    return np.array([row[key] for row in metric.score_images(PROMPTS, IMAGES)])


def furthest(found, reference):
    return np.abs(found - np.array(reference)).max()


def test_cosines_are_those_of_openai_and_of_torchmetrics(found):
    assert furthest(found, REDUCED["openai"]) <= TOLERANCE
    assert furthest(found, REDUCED["alike"]) <= TOLERANCE
    assert np.std(REDUCED["openai"]) > 0.03  # the weights are of visible scale


def test_torchmetrics_as_shipped_agrees_but_for_two_known_differences(found):
    """It drops the end token of long prompts, and crops an odd margin a pixel off OpenAI's crop."""
    gap = np.abs(found - np.array(REDUCED["as_shipped"]))
    alike = np.array(REDUCED["same_crop"])
    alike[LONG] = False
    assert alike.sum() >= 5
    assert gap[alike].max() <= TOLERANCE
    assert gap[~alike].min() > 100 * TOLERANCE
    # Its public figure is 100 times the cosine, with a floor at 0.
    public = np.maximum(100 * found, 0)
    assert np.abs(public - np.array(REDUCED["public"]))[alike].max() <= 100 * TOLERANCE


def test_hessels_figure_has_its_prefix_weight_and_floor(hessel):
    cosines = np.array(REDUCED["openai_prefixed"])
    assert (cosines < 0).any()
    assert (cosines > 0).any()
    rows = hessel.score_images(PROMPTS, IMAGES)
    assert furthest([row["cosine"] for row in rows], cosines) <= TOLERANCE
    scores = [row["score"] for row in rows]
    assert furthest(scores, 2.5 * np.maximum(cosines, 0)) <= 2.5 * TOLERANCE


@pytest.mark.slow
def test_cosines_at_the_full_size_are_those_of_openai_and_of_torchmetrics(tmp_path):
    if os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") < 8e9:
        pytest.skip("ViT-L/14 with its file needs about 6 GB of memory")
    full = REFERENCE["sizes"]["full"]
    architecture = known_architecture(PUBLISHED["vit-l-14"][1])
    assert architecture.settings == full["architecture"]
    with torch.device("meta"):
        model = CLIP(**architecture.settings)
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    save_file(seeded_state(shapes), tmp_path / PINNED.file)
    found = scores(load(CLIPScoreConfig(), PINNED, tmp_path / PINNED.file, architecture))
    assert furthest(found, full["openai"]) <= TOLERANCE
    assert furthest(found, full["alike"]) <= TOLERANCE


def _normalised(seen):
    return F.normalize(seen, list(MEAN), list(DEVIATION))


def bilinear(image):
    return Preprocessing(interpolation="bilinear")(image)


def squashed(image):
    return Preprocessing(resize="squash")(image)


def padded(image):
    return Preprocessing(resize="longest")(image)


def tensor_resize(image):
    seen = F.resize(F.to_tensor(image), 224, InterpolationMode.BICUBIC)
    return _normalised(F.center_crop(seen, 224))


def corner_crop(image):
    seen = F.resize(Image.fromarray(image), 224, InterpolationMode.BICUBIC)
    return _normalised(F.to_tensor(seen)[:, :224, :224])


def not_normalised(image):
    return (
        Preprocessing()(image) * torch.tensor(DEVIATION)[:, None, None]
        + torch.tensor(MEAN)[:, None, None]
    )


def half_to_half(image):
    seen = F.resize(Image.fromarray(image), 224, InterpolationMode.BICUBIC)
    return F.normalize(F.center_crop(F.to_tensor(seen), 224), [0.5] * 3, [0.5] * 3)


@pytest.mark.parametrize(
    "wrong",
    [bilinear, squashed, padded, tensor_resize, corner_crop, not_normalised, half_to_half],
)
def test_wrong_preprocessing_is_rejected(metric, wrong):
    chosen = [3, 5]  # tall, and square but large
    found = [
        float(metric.embedder.image(wrong(IMAGES[n])) @ metric.embedder.text(PROMPTS[n].text))
        for n in chosen
    ]
    reference = [REDUCED["openai"][n] for n in chosen]
    assert furthest(found, reference) > 100 * TOLERANCE


@pytest.mark.parametrize("prefix", ["", "a photo of ", "A photo depicts a "])
def test_a_wrong_prefix_is_rejected(hessel, monkeypatch, prefix):
    monkeypatch.setattr(metric_module, "PREFIX", prefix)
    (row,) = hessel.score_images(PROMPTS[:1], IMAGES[:1])
    assert abs(row["cosine"] - REDUCED["openai_prefixed"][0]) > 100 * TOLERANCE


def test_the_exact_gelu_is_rejected(file):
    exact = {**ARCHITECTURE.settings, "quick_gelu": False}
    other = load(
        CLIPScoreConfig(), PINNED, file, Architecture("exact", exact, ARCHITECTURE.preprocessing)
    )
    assert furthest(scores(other), REDUCED["openai"]) > 100 * TOLERANCE
    assert all(known_architecture(name).settings["quick_gelu"] for _, name in PUBLISHED.values())


def test_weights_are_not_rounded_to_half_precision(file, metric, tmp_path):
    """open_clip's loader of OpenAI's weights does, and the same test rejects what it gives."""
    state = seeded_state(REDUCED["shapes"])
    for name, value in metric.embedder.model.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, state[name]), name
    torch.save(state, tmp_path / "ViT.pt")
    rounded = load_openai_model(str(tmp_path / "ViT.pt"), precision="fp32", device="cpu")
    assert rounded.visual.conv1.weight.dtype == torch.float32
    embedder = CLIPEmbedder(rounded, metric.embedder.tokenizer, torch.device("cpu"))
    found = metric_module.CLIPScore(CLIPScoreConfig(), embedder, ARCHITECTURE, {})
    assert furthest(scores(found), REDUCED["openai"]) > 10 * TOLERANCE


def test_text_beyond_the_77_tokens_does_not_count(metric):
    long = PROMPTS[LONG[0]]
    other = Prompt("other", long.text + " and something else")
    rows = metric.score_images([long, other], [IMAGES[0], IMAGES[0]])
    assert rows[0]["score"] == rows[1]["score"]


def test_a_row_depends_on_its_own_image_and_prompt_alone(metric, rows):
    shares = [metric.score_images(PROMPTS[rank::2], IMAGES[rank::2]) for rank in (0, 1)]
    by_prompt = {row["prompt"]: row for row in shares[0] + shares[1]}
    assert by_prompt == {row["prompt"]: row for row in rows}
    assert metric.summarize(rows) == metric.summarize(shares[1] + shares[0])


def test_names_and_protocols_tell_variants_apart(file, metric, hessel):
    others = [
        load(CLIPScoreConfig(scorer="mine"), PINNED, file, ARCHITECTURE),
        load(CLIPScoreConfig(formula="hessel", scorer="vit-l-14"), PINNED, file, ARCHITECTURE),
    ]
    assert [m.name for m in (metric, hessel, *others)] == [
        "clip-score",
        "clip-score-hessel",
        "clip-score[mine]",
        "clip-score-hessel[vit-l-14]",
    ]
    entries = hessel.protocol()
    assert entries["prefix"] == "A photo depicts "
    assert entries["weights"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert metric.protocol() != entries


def test_the_tiny_clip_scores_scenes_with_the_same_code():
    from zoo_shapes.clip import image_features, load_clip, load_tokenizer, text_features
    from zoo_shapes.components import ShapesPrompts
    from zoo_shapes.config import ShapesPromptsConfig
    from zoo_shapes.render import render

    metric = build(TINY)
    assert metric.name == "clip-score[tiny-clip]"
    source = ShapesPrompts(ShapesPromptsConfig())
    prompts = list(source.prompts(8))
    images = [render(source.scene(index), 64) for index in range(8)]
    rows = metric.score_images(prompts, images)
    model, tokenizer = load_clip(), load_tokenizer()
    texts = [prompt.text for prompt in prompts]
    own = image_features(model, np.stack(images)) * text_features(model, tokenizer, texts)
    found = np.array([row["score"] for row in rows])
    assert np.abs(found - own.sum(1).numpy()).max() <= TOLERANCE
    swapped = metric.score_images(prompts[1:] + prompts[:1], images)
    assert metric.summarize(rows).value > metric.summarize(swapped).value + 0.2


def test_variants_are_in_the_catalogue():
    catalog = open_catalog()
    for name, expected in (
        ("clip-score", CLIPScoreConfig()),
        ("clip-score-hessel", CLIPScoreConfig(formula="hessel", scorer="vit-b-32")),
        ("clip-score-tiny-clip", TINY),
    ):
        assert catalog.configure(catalog.find("metric", name), {}) == expected


def test_published_weights_have_the_architecture_they_are_filled_into():
    assert open_clip.get_model_config("ViT-L-14-quickgelu")["embed_dim"] == 768
    for pinned, name in PUBLISHED.values():
        assert known_architecture(name).preprocessing == Preprocessing()
        assert pinned.revision
        assert pinned.sha256


@pytest.mark.parametrize("shape", [(1, 1), (1, 64), (64, 1), (224, 224)])
def test_small_and_narrow_images_are_scored(metric, shape):
    (row,) = metric.score_images([Prompt("p", "a dog")], [seeded_picture(*shape)])
    assert -1 <= row["score"] <= 1


def test_a_ribbon_and_an_empty_prompt_are_refused(metric):
    with pytest.raises(ConfigError, match=r"prompt 'p' is 65 x 1 pixels; .* 64 times"):
        metric.score_images([Prompt("p", "a dog")], [seeded_picture(1, 65)])
    with pytest.raises(ConfigError, match="Prompt 'p' is empty"):
        metric.score_images([Prompt("p", " ")], [IMAGES[0]])


@pytest.fixture
def empty_places(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("ZOO_DOWNLOAD", raising=False)


def test_missing_weights_say_which_from_where_into_which_folder(tmp_path, empty_places):
    place = tmp_path / "weights" / "timm" / "vit_large_patch14_clip_224.openai"
    with pytest.raises(
        ConfigError,
        match=rf"ViT-L/14: .*open_clip_model\.safetensors is not in {re.escape(str(place))}.*licence",
    ):
        build(CLIPScoreConfig())


def test_another_file_under_the_published_name_is_refused(empty_places, file):
    own = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(ConfigError, match=f"(?s){own}.*{PUBLISHED['vit-l-14'][0].sha256}"):
        build(CLIPScoreConfig(weights=str(file.parent)))
    with pytest.raises(ConfigError, match=r"of another architecture|but the architecture has"):
        build(CLIPScoreConfig(weights=str(file.parent), sha256="any"))


def test_a_corrupt_file_is_named(empty_places, file, tmp_path):
    (tmp_path / PINNED.file).write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ConfigError, match=r"open_clip_model\.safetensors is no intact"):
        build(CLIPScoreConfig(weights=str(tmp_path), sha256="any"))


def test_a_scorer_of_ones_own_needs_its_folder():
    with pytest.raises(ConfigError, match=r"'vit-h' is none of vit-l-14, vit-b-32.*'weights'"):
        build(CLIPScoreConfig(scorer="vit-h"))
    with pytest.raises(ConfigError, match="is not the published tiny-clip"):
        build(replace(TINY, sha256="0" * 64))
