"""ImageReward as a metric: rows, score, weights, and what is said when something is wrong."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_core.adapters.pinned import PinnedFile
from zoo_core.adapters.wordpiece import locate_bert_vocabulary
from zoo_core.errors import ConfigError
from zoo_core.interfaces.prompts import Prompt
from zoo_image_reward.config import ImageRewardConfig
from zoo_image_reward.inputs import PromptTokens, pixels
from zoo_image_reward.metric import WEIGHTS, ImageReward, build, load
from zoo_image_reward.model import Architecture, RewardModel, load_published

TINY = Architecture(vision_width=64, vision_layers=1, text_width=64, text_layers=1)
FREE = PinnedFile(name="tiny", file="ImageReward.pt", licence="none")


@pytest.fixture(scope="module")
def metric() -> ImageReward:
    torch.manual_seed(0)
    return ImageReward(
        RewardModel(TINY), PromptTokens(locate_bert_vocabulary()), {"variant": "tiny"}
    )


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """No weights of the machine's are found."""
    for variable in ("ZOO_WEIGHTS", "ZOO_CACHE", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
    monkeypatch.delenv("ZOO_DOWNLOAD", raising=False)


def _images(count: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [
        generator.integers(0, 256, (40 + 9 * n, 70 - 5 * n, 3), dtype=np.uint8)
        for n in range(count)
    ]


def _prompts(count: int) -> list[Prompt]:
    return [Prompt(f"p{n}", "a red circle " * (n + 1)) for n in range(count)]


def test_a_row_depends_on_its_prompt_and_image_alone(metric):
    prompts, images = _prompts(4), _images(4)
    together = metric.score_images(prompts, images)
    alone = [
        metric.score_images([p], [i])[0]
        for p, i in reversed(list(zip(prompts, images, strict=True)))
    ]
    assert together == list(reversed(alone))
    assert [row["prompt"] for row in together] == ["p0", "p1", "p2", "p3"]
    assert len({row["reward"] for row in together}) == 4


def test_autocast_and_training_around_it_change_nothing(metric):
    prompts, images = _prompts(2), _images(2)
    expected = metric.score_images(prompts, images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert metric.score_images(prompts, images) == expected
    assert not metric.model.training


@given(
    st.lists(st.floats(-3, 3, allow_subnormal=False), min_size=1, max_size=20),
    st.randoms(use_true_random=False),
)
@settings(max_examples=25, deadline=None)
def test_the_score_is_the_mean_in_any_order(metric, rewards, random):
    rows = [{"prompt": f"p{n}", "reward": reward} for n, reward in enumerate(rewards)]
    score = metric.summarize(rows)
    assert score == metric.summarize(random.sample(rows, len(rows)))
    assert score.value == pytest.approx(np.mean(rewards), abs=1e-12)
    assert score.count == len(rewards)
    assert score.interval is not None
    assert score.interval[0] - 1e-12 <= score.value <= score.interval[1] + 1e-12
    if len(rewards) > 1:
        assert score.details["stdev"] == pytest.approx(np.std(rewards, ddof=1), abs=1e-12)
        assert score.stderr == pytest.approx(score.details["stdev"] / len(rewards) ** 0.5)
    else:
        assert score.stderr is None


def test_no_rows_is_an_error_that_says_so(metric):
    with pytest.raises(ValueError, match="needs at least one image"):
        metric.summarize([])


def test_pixels_keep_the_middle_of_a_wide_image():
    image = np.zeros((100, 300, 3), dtype=np.uint8)
    image[:, 100:200] = 255
    seen = pixels(image)
    assert seen.shape == (1, 3, 224, 224)
    assert seen.dtype == torch.float32
    assert (seen[0, :, :, 5:-5] > 1.9).all()


def test_no_weights_says_which_file_from_where_into_which_folder(tmp_path):
    with pytest.raises(ConfigError, match=r"ImageReward\.pt is not in .*THUDM/ImageReward"):
        build(ImageRewardConfig())
    with pytest.raises(ConfigError, match=rf"ImageReward\.pt is not in {tmp_path}"):
        build(ImageRewardConfig(weights=str(tmp_path)))


def test_a_vocabulary_of_other_words_is_refused(tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nred\n")
    with pytest.raises(ConfigError, match="is not the published bert-base-uncased"):
        build(ImageRewardConfig(vocabulary=str(tmp_path)))


def test_weights_of_another_hash_are_refused(tmp_path):
    torch.save({}, tmp_path / "ImageReward.pt")
    with pytest.raises(ConfigError, match="is not the published ImageReward"):
        build(ImageRewardConfig(weights=str(tmp_path), sha256="0" * 64))


class Sabotage:
    """Unpickling it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "write", [torch.save, lambda value, file: file.write_bytes(pickle.dumps(value))]
)
def test_a_pickle_is_never_executed(write, tmp_path):
    trap = tmp_path / "executed"
    write({"blip.visual_encoder.cls_token": Sabotage(trap)}, tmp_path / "ImageReward.pt")
    with pytest.raises(ConfigError, match=r"is refused|no intact weights file"):
        build(ImageRewardConfig(weights=str(tmp_path)))
    assert not trap.exists()


def test_weights_of_another_architecture_are_refused():
    model = RewardModel(TINY)
    with pytest.raises(ConfigError, match=r"here: the tensor '.*' is missing"):
        load_published(model, {"blip.visual_encoder.cls_token": torch.zeros(1, 1, 64)}, "here")


def test_a_checkpoint_is_read_whole_and_named_in_the_protocol(tmp_path):
    torch.manual_seed(1)
    model = RewardModel(TINY)
    names = {  # ours and the published ones, of a model with one layer
        "vision.embeddings.class_embedding": "blip.visual_encoder.cls_token",
        "vision.embeddings.position_embedding": "blip.visual_encoder.pos_embed",
        "vision.embeddings.patch_embedding": "blip.visual_encoder.patch_embed.proj",
        "vision.post_layernorm": "blip.visual_encoder.norm",
        "vision.encoder.layers.0.self_attn.projection": "blip.visual_encoder.blocks.0.attn.proj",
        "vision.encoder.layers.0.self_attn.qkv": "blip.visual_encoder.blocks.0.attn.qkv",
        "vision.encoder.layers.0.layer_norm1": "blip.visual_encoder.blocks.0.norm1",
        "vision.encoder.layers.0.layer_norm2": "blip.visual_encoder.blocks.0.norm2",
        "vision.encoder.layers.0.mlp": "blip.visual_encoder.blocks.0.mlp",
        "text": "blip.text_encoder",
        **{f"head.{n}": f"mlp.layers.{place}" for n, place in enumerate((0, 2, 4, 6, 7))},
    }
    state = {}
    for name, value in model.state_dict().items():
        ours = next(prefix for prefix in names if name == prefix or name.startswith(prefix + "."))
        state[names[ours] + name[len(ours) :]] = value
    torch.save(state, tmp_path / "ImageReward.pt")
    metric = load(FREE, tmp_path / "ImageReward.pt", locate_bert_vocabulary(), TINY)
    for name, value in metric.model.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name
    protocol = metric.protocol()
    assert len(protocol["weights"]["sha256"]) == 64
    assert protocol["vocabulary"]["sha256"].startswith("07eced37")
    assert protocol["variant"] == "image-reward-1.0"


def test_the_published_size():
    with torch.device("meta"):
        model = RewardModel(Architecture())
    # The published 446,665,953 less the projections of BLIP's losses, which scoring does not use.
    unused = 1024 * 256 + 256 + 768 * 256 + 256
    assert sum(p.numel() for p in model.parameters()) == 446_665_953 - unused
    assert WEIGHTS.repo == "THUDM/ImageReward"
