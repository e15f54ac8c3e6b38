"""The metric on the small world's images, by the extractors that need no download."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from zoo_core.catalog.resource import locate
from zoo_core.errors import ConfigError
from zoo_core.evaluation import rows as parquet
from zoo_core.interfaces.images import ImageSource
from zoo_core.interfaces.prompts import Prompt
from zoo_core.testing.seeded import seeded_picture
from zoo_fid import clip_features, efficientnet_features, references
from zoo_fid.clip_features import CLIPFeatures
from zoo_fid.config import CLIPFrechetConfig, EfficientNetFrechetConfig
from zoo_fid.metric import FewImagesWarning, FrechetDistance

TINY_CLIP = "package:zoo_shapes/weights/tiny_clip"
pytestmark = pytest.mark.filterwarnings("ignore::zoo_fid.metric.FewImagesWarning")


class Images(ImageSource):
    """Images in memory, counting how often they are read."""

    def __init__(self, images: Sequence[np.ndarray]) -> None:
        self.images = images
        self.times_read = 0

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[np.ndarray]:
        self.times_read += 1
        return iter(self.images)

    def fingerprint(self) -> str:
        total = hashlib.sha256()
        for image in self.images:
            total.update(repr(image.shape).encode() + image.tobytes())
        return total.hexdigest()


def pictures(count: int, first: int = 0, size: tuple[int, int] = (64, 64)) -> list[np.ndarray]:
    return [seeded_picture(*size, seed=first + i) for i in range(count)]


def prompts(count: int) -> list[Prompt]:
    return [Prompt(f"p{i:03d}", f"picture {i}") for i in range(count)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "frechet"


def build(real: Sequence[np.ndarray] | ImageSource, **settings: str) -> FrechetDistance:
    config = CLIPFrechetConfig(weights=TINY_CLIP, label="tiny-clip", **settings)
    metric = clip_features.build(config)
    metric.use_references(real if isinstance(real, ImageSource) else Images(real))
    return metric


def test_the_name_says_whose_features_and_nothing_else_is_called_fid():
    metric = build(pictures(4))
    assert metric.name == "frechet[tiny-clip]"
    assert metric.needs == {"references"}
    assert "fid" not in str(metric.protocol()).lower()


def test_the_score_is_zero_for_the_real_images_and_grows_with_what_is_done_to_them():
    real = pictures(24)
    metric = build(real)

    def score(images: list[np.ndarray]) -> float:
        return metric.summarize(metric.score_images(prompts(len(images)), images)).value

    darker = [score([image // k for image in real]) for k in (1, 2, 4)]
    assert darker[0] == pytest.approx(0, abs=1e-10)
    assert darker[0] < darker[1] < darker[2]


def test_rows_go_through_parquet_and_come_in_any_order_to_the_same_bits():
    metric = build(pictures(20, first=50))
    rows = metric.score_images(prompts(20), pictures(20))
    score = metric.summarize(rows)
    kept, _ = parquet.decode(parquet.encode(rows, {}, metric.name))
    assert metric.summarize(kept[::-1]) == score
    assert metric.summarize([*kept[7:], *kept[:7]]) == score
    assert score.count == 20
    assert score.details["images"] == score.details["references"] == 20
    assert score.details["mean_term"] + score.details["covariance_term"] == pytest.approx(
        score.value
    )


@pytest.mark.parametrize("kind", ["clip", "efficientnet"])
def test_a_row_is_a_function_of_its_image_alone(kind):
    metric = build(pictures(2))
    if kind == "efficientnet":
        metric = efficientnet_features.build(EfficientNetFrechetConfig())
    images = pictures(9)
    together = [row["features"] for row in metric.score_images(prompts(9), images)]
    threads = torch.get_num_threads()
    for at_once in (1, threads + 2):
        torch.set_num_threads(at_once)
        try:
            apart = [
                metric.score_images([p], [i])[0] for p, i in zip(prompts(9), images, strict=True)
            ]
            turned = metric.score_images(prompts(9), images[::-1])[::-1]
            assert torch.get_num_threads() == at_once
        finally:
            torch.set_num_threads(threads)
        for vector, alone, other in zip(together, apart, turned, strict=True):
            assert vector.dtype == np.float32
            assert np.array_equal(vector, alone["features"])
            assert np.array_equal(vector, other["features"])


SECOND_PROCESS = """
import sys
from pathlib import Path
import test_fid_metric as here
from zoo_core.evaluation import rows as parquet
metric = here.build(here.pictures(2))
rows = metric.score_images(here.prompts(12)[5:], here.pictures(12)[5:])
Path(sys.argv[1]).write_bytes(parquet.encode(rows, {}, metric.name))
"""


def test_two_processes_give_the_score_of_one(tmp_path):
    """The second one with a single thread, as torchrun starts its processes."""
    metric = build(pictures(10, first=50))
    alone = metric.summarize(metric.score_images(prompts(12), pictures(12)))
    path = tmp_path / "rows.parquet"
    places = [str(Path(__file__).parent), *sys.path]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(places)}
    command = [sys.executable, "-c", SECOND_PROCESS, str(path)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    theirs, _ = parquet.decode(path.read_bytes())
    assert len(theirs) == 7
    mine = metric.score_images(prompts(5), pictures(5))
    assert metric.summarize([*theirs, *mine]) == alone


def test_spread_is_over_prompts_and_covers_what_repetition_gives():
    """Forty sets of images from one world: their scores deviate as each score's own error says."""
    generator = np.random.default_rng(0)
    metric = build(pictures(60, first=1000))
    # Features are drawn from those of many images, which is what a new set of prompts does.
    rows = metric.score_images(prompts(300), pictures(300))
    values, errors = [], []
    for _ in range(40):
        chosen = [rows[i] for i in generator.choice(300, 60, replace=False)]
        score = metric.summarize(chosen)
        values.append(score.value)
        errors.append(score.stderr)
        assert score.interval[0] < score.value < score.interval[1]
        width = score.interval[1] - score.interval[0]
        assert width == pytest.approx(2 * 1.96 * score.stderr, rel=0.1)
    # 60 out of 300 without replacement deviate by the root of 4/5 less.
    assert np.mean(errors) * math.sqrt(0.8) == pytest.approx(np.std(values), rel=0.35)


def test_several_images_of_a_prompt_count_as_one_prompt_in_the_spread():
    metric = build(pictures(20, first=50))
    images = pictures(10)
    twice = metric.score_images([*prompts(10), *prompts(10)], [*images, *images])
    score = metric.summarize(twice)
    assert score.count == 10
    assert score.details["images"] == 20
    once = metric.summarize(metric.score_images(prompts(10), images))
    assert score.stderr == pytest.approx(once.stderr, rel=0.3), "copies bring no certainty"
    single = metric.score_images([prompts(1)[0]] * 4, images[:4])
    assert metric.summarize(single).stderr is None


def test_few_images_are_told_what_that_does_to_the_number():
    real = Images(pictures(300, first=1000))
    metric = build(real)
    rows = metric.score_images(prompts(64), pictures(64))
    with pytest.warns(FewImagesWarning, match=r"over 64 images is too high: .* below 2048"):
        score = metric.summarize(rows)
    assert score.details["half"] > score.value > score.details["extrapolated"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", FewImagesWarning)
        enough = metric.summarize(
            [{**row, "prompt": f"{i} {row['prompt']}"} for i in range(32) for row in rows]
        )
    assert "half" not in enough.details
    assert enough.count == 2048


# --- Real images ------------------------------------------------------------------------------------


def test_real_images_are_brought_to_the_generated_size_unless_told_not_to():
    real = pictures(12, size=(96, 200))
    small = [references.resized(image, (48, 32)) for image in real]
    assert small[0].shape == (48, 32, 3)
    fitted, left = build(real), build(real, references="as-is")
    rows = fitted.score_images(prompts(12), small)
    assert fitted.summarize(rows).value == pytest.approx(0, abs=1e-10)
    assert left.summarize(rows).value > 1e-3
    assert fitted.protocol()["references"] != left.protocol()["references"]
    assert "generated size" in fitted.protocol()["references"]


def test_generated_images_of_several_sizes_have_no_one_size_to_bring_real_ones_to():
    metric, free = build(pictures(6)), build(pictures(6), references="as-is")
    images = [*pictures(3), *pictures(3, size=(32, 48))]
    rows = metric.score_images(prompts(6), images)
    with pytest.raises(ConfigError, match=r"2 sizes \(48 x 32 and 64 x 64 .*as-is"):
        metric.summarize(rows)
    assert free.summarize(rows).value > 0


def test_statistics_of_real_images_are_kept_by_content_size_and_extractor(cache):
    real = Images(pictures(10, first=50))
    rows = build(real).score_images(prompts(8), pictures(8))
    score = build(real).summarize(rows)
    assert real.times_read == 1
    assert build(real).summarize(rows) == score
    assert real.times_read == 1, "a second metric finds the file"
    assert len(list(cache.iterdir())) == 1
    other = Images([*pictures(9, first=50), pictures(1)[0]])
    assert build(other).summarize(rows).value != score.value
    assert other.times_read == 1, "other content, other file"
    build(real, references="as-is").summarize(rows)
    assert real.times_read == 2, "another size, another file"
    second = efficientnet_features.build(EfficientNetFrechetConfig())
    second.use_references(real)
    second.summarize(second.score_images(prompts(3), pictures(3)))
    assert real.times_read == 3, "another extractor, another file"
    assert len(list(cache.iterdir())) == 4


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 and then noise", None])
def test_a_damaged_file_of_statistics_is_made_again(damage, cache):
    real = Images(pictures(10, first=50))
    rows = build(real).score_images(prompts(8), pictures(8))
    score = build(real).summarize(rows)
    path = next(cache.iterdir())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert build(real).summarize(rows) == score
    assert real.times_read == 2
    assert path.read_bytes() == whole


def test_statistics_that_cannot_be_kept_are_a_warning(cache):
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text("a file where the folder should be")
    metric = build(pictures(4, first=50))
    rows = metric.score_images(prompts(4), pictures(4))
    with pytest.warns(UserWarning, match="computed again next time: .*cannot be written"):
        assert metric.summarize(rows).value > 0


# --- Bad input --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "words"), [(0, "there are none"), (1, "there is 1")])
def test_fewer_than_two_images_are_refused(count, words):
    metric = build(pictures(4))
    rows = metric.score_images(prompts(count), pictures(count))
    with pytest.raises(ConfigError, match=rf"tiny-clip\] .* at least 2 images; {words}"):
        metric.summarize(rows)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_real_images_are_refused(count):
    metric = build(pictures(count))
    rows = metric.score_images(prompts(3), pictures(3))
    with pytest.raises(ConfigError, match=f"real images .* at least 2 .* has {count}"):
        metric.summarize(rows)


def test_features_that_are_not_finite_are_refused_by_prompt():
    folder = locate(TINY_CLIP)
    architecture = clip_features.stored_architecture(folder)
    embedder = clip_features.load_embedder(architecture, folder / "open_clip_model.safetensors")
    broken = clip_features.CLIPEmbedder(
        type(embedder.model)(**architecture.settings), embedder.tokenizer, embedder.device
    )
    with torch.no_grad():
        broken.model.visual.ln_post.bias[3] = math.nan
    extractor = CLIPFeatures("broken", architecture, broken, {"sha256": "none"})
    metric = FrechetDistance(extractor, "as-is")
    with pytest.raises(ConfigError, match=r"frechet\[broken\]: .*prompt 'p000' are not finite"):
        metric.score_images(prompts(2), pictures(2))
    metric.use_references(Images(pictures(3)))
    rows = build(pictures(2)).score_images(prompts(2), pictures(2))
    with pytest.raises(ConfigError, match="a real image are not finite"):
        metric.summarize(rows)


def test_a_folder_without_weights_or_with_others_is_refused(tmp_path):
    config = CLIPFrechetConfig(weights=str(tmp_path), label="x")
    with pytest.raises(ConfigError, match=r"open_clip_config\.json is missing"):
        clip_features.build(config)
    tiny = locate(TINY_CLIP)
    for name in ("open_clip_config.json", "bpe_shapes.txt.gz"):
        (tmp_path / name).write_bytes((tiny / name).read_bytes())
    with pytest.raises(ConfigError, match=r"has no weights; expected open_clip_model\.safetensors"):
        clip_features.build(config)
