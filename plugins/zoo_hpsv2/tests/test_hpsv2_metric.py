"""HPSv2 against what the published package gives on the same weights, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.model import CLIP
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from zoo_core.adapters.clip import DEVIATION, MEAN, Architecture, Preprocessing, known_architecture
from zoo_core.adapters.pinned import PinnedFile
from zoo_core.errors import ConfigError
from zoo_core.interfaces.prompts import Prompt
from zoo_core.testing.seeded import seeded_picture, seeded_state
from zoo_hpsv2 import metric as metric_module
from zoo_hpsv2.config import HPSv2Config
from zoo_hpsv2.metric import PUBLISHED, build, load
from zoo_hpsv2.preprocess import pixels

REFERENCE = json.loads(Path(__file__).with_name("hpsv2_reference.json").read_text())
REDUCED = REFERENCE["sizes"]["reduced"]
ARCHITECTURE = Architecture("reduced", REDUCED["architecture"], Preprocessing())
PINNED = PinnedFile("random", "HPS_v2_compressed.pt", "none")
PROMPTS = [Prompt(f"p{n}", case[0]) for n, case in enumerate(REFERENCE["cases"])]
IMAGES = [
    seeded_picture(height, width, seed=n) for n, (_, height, width) in enumerate(REFERENCE["cases"])
]
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A file as it is published: half precision under `state_dict`, with other things beside it."""
    file = tmp_path_factory.mktemp("hps") / PINNED.file
    torch.save({"state_dict": seeded_state(REDUCED["shapes"], half=True), "epoch": 1}, file)
    return file


@pytest.fixture(scope="module")
def metric(checkpoint):
    return load(HPSv2Config(), PINNED, checkpoint, ARCHITECTURE)


@pytest.fixture(scope="module")
def aliased(checkpoint):
    return load(HPSv2Config(antialias=False), PINNED, checkpoint, ARCHITECTURE)


@pytest.fixture(scope="module")
def rows(metric):
    return metric.score_images(PROMPTS, IMAGES)


def scores(metric):
    return np.array([row["score"] for row in metric.score_images(PROMPTS, IMAGES)])


def furthest(found, reference):
    return np.abs(found - np.array(reference)).max()


def test_scores_are_those_of_the_published_package(rows, aliased):
    assert furthest([row["score"] for row in rows], REDUCED["antialias"]) <= TOLERANCE
    assert furthest(scores(aliased), REDUCED["no-antialias"]) <= TOLERANCE
    assert np.std(REDUCED["antialias"]) > 0.03  # the weights are of visible scale


@pytest.mark.slow
def test_scores_at_the_full_size_are_those_of_the_published_package(tmp_path):
    if os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") < 16e9:
        pytest.skip("ViT-H/14 in two precisions needs about 10 GB of memory")
    full = REFERENCE["sizes"]["full"]
    architecture = known_architecture("ViT-H-14")
    assert architecture.settings == full["architecture"]
    with torch.device("meta"):
        model = CLIP(**architecture.settings)
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    torch.save({"state_dict": seeded_state(shapes, half=True)}, tmp_path / PINNED.file)
    found = load(HPSv2Config(), PINNED, tmp_path / PINNED.file, architecture)
    assert furthest(scores(found), full["antialias"]) <= TOLERANCE


def _finish(seen, size=224):
    below, right = size - seen.shape[1], size - seen.shape[2]
    padding = [right // 2, below // 2, right - right // 2, below - below // 2]
    return F.normalize(F.pad(seen, padding), list(MEAN), list(DEVIATION))


def _sides(image, size=224):
    longer = max(image.shape[:2])
    return [max(1, round(side * size / longer)) for side in image.shape[:2]]


def bilinear(image, size, antialias):
    return _finish(F.resize(F.to_tensor(image), _sides(image), InterpolationMode.BILINEAR))


def pillow_resize(image, size, antialias):
    height, width = _sides(image)
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    return _finish(F.to_tensor(resized))


def centre_crop(image, size, antialias):
    seen = F.center_crop(F.resize(F.to_tensor(image), size, InterpolationMode.BICUBIC), size)
    return F.normalize(seen, list(MEAN), list(DEVIATION))


def squashed(image, size, antialias):
    return _finish(F.resize(F.to_tensor(image), [size, size], InterpolationMode.BICUBIC))


def not_normalised(image, size, antialias):
    mean, deviation = torch.tensor(MEAN)[:, None, None], torch.tensor(DEVIATION)[:, None, None]
    return pixels(image, size, antialias) * deviation + mean


def normalised_before_padding(image, size, antialias):
    resized = F.resize(F.to_tensor(image), _sides(image), InterpolationMode.BICUBIC)
    seen = F.normalize(resized, list(MEAN), list(DEVIATION))
    below, right = size - seen.shape[1], size - seen.shape[2]
    return F.pad(seen, [right // 2, below // 2, right - right // 2, below - below // 2])


def padded_at_the_end(image, size, antialias):
    resized = F.resize(F.to_tensor(image), _sides(image), InterpolationMode.BICUBIC)
    padded = F.pad(resized, [0, 0, size - resized.shape[2], size - resized.shape[1]])
    return F.normalize(padded, list(MEAN), list(DEVIATION))


def other_antialias(image, size, antialias):
    return pixels(image, size, not antialias)


@pytest.mark.parametrize(
    "wrong",
    [
        bilinear,
        centre_crop,
        squashed,
        not_normalised,
        normalised_before_padding,
        padded_at_the_end,
        other_antialias,
    ],
)
def test_wrong_preprocessing_is_rejected(metric, monkeypatch, wrong):
    monkeypatch.setattr(metric_module, "pixels", wrong)
    chosen = slice(3, 6)  # tall, small, and square but large
    found = [row["score"] for row in metric.score_images(PROMPTS[chosen], IMAGES[chosen])]
    assert furthest(found, REDUCED["antialias"][chosen]) > 100 * TOLERANCE


def test_pillows_resize_is_rejected(metric, monkeypatch):
    """It is the same filter, but rounds to whole values: the smallest difference of all."""
    monkeypatch.setattr(metric_module, "pixels", pillow_resize)
    found = [row["score"] for row in metric.score_images(PROMPTS[3:6], IMAGES[3:6])]
    assert furthest(found, REDUCED["antialias"][3:6]) > 10 * TOLERANCE


def test_the_resized_tensor_keeps_what_overshoots():
    stripes = np.zeros((100, 100, 3), dtype=np.uint8)
    stripes[:, 25:50] = stripes[:, 75:] = 255
    seen = pixels(stripes) * torch.tensor(DEVIATION)[:, None, None]
    seen += torch.tensor(MEAN)[:, None, None]
    assert seen.min() < -0.05
    assert seen.max() > 1.05


@pytest.mark.parametrize("wrong", ["prefix", "no end token", "capitals kept"])
def test_wrong_text_is_rejected(metric, monkeypatch, wrong):
    tokenizer = metric.embedder.tokenizer

    def tokenize(texts):
        if wrong == "prefix":
            return tokenizer([f"A photo depicts {text}" for text in texts])
        if wrong == "capitals kept":
            monkeypatch.setattr(tokenizer, "clean_fn", lambda text: text)
            return tokenizer(texts)
        longer = tokenizer(texts, context_length=400)
        return longer[:, :77]

    monkeypatch.setattr(metric.embedder, "tokenizer", tokenize)
    chosen = slice(1, 4)  # two are beyond the limit
    found = [row["score"] for row in metric.score_images(PROMPTS[chosen], IMAGES[chosen])]
    assert furthest(found, REDUCED["antialias"][chosen]) > 100 * TOLERANCE


def test_text_beyond_the_77_tokens_does_not_count(metric):
    long = next(prompt for prompt in PROMPTS if len(prompt.text) > 300)
    other = Prompt("other", long.text + " and something else")
    rows = metric.score_images([long, other], [IMAGES[1], IMAGES[1]])
    assert rows[0]["score"] == rows[1]["score"]


def test_a_row_depends_on_its_own_image_and_prompt_alone(metric, rows):
    # The shares of two processes.
    shares = [metric.score_images(PROMPTS[rank::2], IMAGES[rank::2]) for rank in (0, 1)]
    by_prompt = {row["prompt"]: row for row in shares[0] + shares[1]}
    assert by_prompt == {row["prompt"]: row for row in rows}
    assert metric.summarize(rows) == metric.summarize(shares[1] + shares[0])


def test_the_score_is_the_mean_with_its_spread(metric, rows):
    score = metric.summarize(rows)
    assert score.metric == "hpsv2"
    assert score.value == pytest.approx(np.mean(REDUCED["antialias"]), abs=TOLERANCE)
    assert score.stderr == pytest.approx(np.std(REDUCED["antialias"], ddof=1) / 3, abs=TOLERANCE)
    assert score.interval[0] < score.value < score.interval[1]
    assert score.count == len(PROMPTS)
    with pytest.raises(ValueError, match="at least one image"):
        metric.summarize([])


def test_names_and_protocols_tell_variants_apart(checkpoint, metric, aliased):
    newer = load(HPSv2Config(version="2.1"), PINNED, checkpoint, ARCHITECTURE)
    assert [m.name for m in (metric, aliased, newer)] == [
        "hpsv2",
        "hpsv2[no-antialias]",
        "hpsv2.1",
    ]
    entries = metric.protocol()
    assert entries["weights"]["sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert entries["preprocessing"]["antialias"] is True
    assert len({json.dumps(m.protocol()) for m in (metric, aliased, newer)}) == 3


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.booleans())
def test_every_image_is_brought_to_a_square_whole(height, width, antialias):
    seen = pixels(np.full((height, width, 3), 255, dtype=np.uint8), 64, antialias)
    assert seen.shape == (3, 64, 64)
    white = ((1 - torch.tensor(MEAN)) / torch.tensor(DEVIATION))[:, None, None]
    black = (-torch.tensor(MEAN) / torch.tensor(DEVIATION))[:, None, None]
    covered = ((seen - white).abs() < 1e-4).all(0)
    assert ((seen - black).abs() < 1e-4).all(0).logical_xor(covered).all()
    rows, columns = covered.any(1).sum().item(), covered.any(0).sum().item()
    assert max(rows, columns) == 64
    # Half a pixel of rounding, and never nothing.
    assert min(rows, columns) == max(1, round(min(height, width) * 64 / max(height, width)))


@pytest.mark.parametrize("shape", [(1, 1), (224, 100), (100, 224), (1, 64), (224, 224)])
def test_small_and_narrow_images_are_scored(metric, shape):
    (row,) = metric.score_images([Prompt("p", "a dog")], [seeded_picture(*shape)])
    assert -1 <= row["score"] <= 1


def test_a_ribbon_is_refused_with_its_prompt(metric):
    with pytest.raises(ConfigError, match=r"prompt 'p' is 65 x 1 pixels; .* 64 times"):
        metric.score_images([Prompt("p", "a dog")], [seeded_picture(1, 65)])


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_prompt_is_refused(metric, text):
    with pytest.raises(ConfigError, match="Prompt 'p' is empty"):
        metric.score_images([Prompt("p", text)], [IMAGES[0]])


@pytest.fixture
def empty_places(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("ZOO_DOWNLOAD", raising=False)


@pytest.mark.parametrize(
    ("version", "file"), [("2.0", "HPS_v2_compressed.pt"), ("2.1", "HPS_v2.1_compressed.pt")]
)
def test_missing_weights_say_which_from_where_into_which_folder(
    tmp_path, empty_places, version, file
):
    place = tmp_path / "weights" / "xswu" / "HPSv2"
    with pytest.raises(
        ConfigError,
        match=rf"{re.escape(file)} is not in {re.escape(str(place))}.*xswu/HPSv2.*Apache",
    ):
        build(HPSv2Config(version=version))


def test_another_file_under_the_published_name_is_refused(tmp_path, empty_places, checkpoint):
    (tmp_path / "HPS_v2.1_compressed.pt").write_bytes(checkpoint.read_bytes())
    own = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    with pytest.raises(ConfigError, match=f"(?s){own}.*{PUBLISHED['2.1'].sha256}"):
        build(HPSv2Config(version="2.1", weights=str(tmp_path)))


def test_a_corrupt_file_and_another_architecture_are_named(tmp_path, checkpoint, empty_places):
    (tmp_path / PINNED.file).write_bytes(checkpoint.read_bytes()[:100_000])
    with pytest.raises(ConfigError, match=r"HPS_v2_compressed\.pt is no intact weights file"):
        build(HPSv2Config(weights=str(tmp_path)))
    torch.save({"model": {}}, tmp_path / PINNED.file)
    with pytest.raises(ConfigError, match="has no 'state_dict'"):
        build(HPSv2Config(weights=str(tmp_path)))
    torch.save({"state_dict": {"visual.proj": torch.ones(3)}}, tmp_path / PINNED.file)
    with pytest.raises(ConfigError, match=r"is missing \(.* of another architecture"):
        load(HPSv2Config(), PINNED, tmp_path / PINNED.file, ARCHITECTURE)
