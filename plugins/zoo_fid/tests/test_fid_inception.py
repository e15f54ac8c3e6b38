"""The Inception network with seeded weights: what a vector depends on, and files that are refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from zoo_core.adapters.pinned import PinnedFile, load_state
from zoo_core.errors import ConfigError
from zoo_core.testing.seeded import seeded_picture
from zoo_fid import inception_features
from zoo_fid.config import FIDConfig
from zoo_fid.inception import load_inception
from zoo_fid.inception_features import PUBLISHED, InceptionFeatures

FREE = PinnedFile(name="seeded", file="weights.pth", licence="none")


def test_a_vector_is_a_function_of_its_image_alone(extractor):
    images = [seeded_picture(48, 80, seed=seed) for seed in range(6)]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        together = extractor.features(images)
        torch.set_num_threads(3)
        turned = extractor.features(images[::-1])[::-1]
        alone = extractor.features(images[4:5])
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert together.shape == (6, 2048)
    assert together.dtype == np.float32
    assert np.array_equal(together, turned)
    assert np.array_equal(together[4:5], alone)
    assert not np.array_equal(together[0], together[1])


IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
import numpy as np
from test_fid_inception import FREE, seeded_picture
from zoo_fid.inception_features import load
images = [seeded_picture(48, 80, seed=seed) for seed in range(2, 5)]
np.save(sys.argv[2], load("fid", Path(sys.argv[1]), FREE).features(images))
"""


@pytest.mark.slow
def test_another_process_with_one_thread_gives_the_same_bits(extractor, weights, tmp_path):
    places = [str(Path(__file__).parent), *sys.path]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(places)}
    target = tmp_path / "features.npy"
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, str(weights), str(target)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    images = [seeded_picture(48, 80, seed=seed) for seed in range(5)]
    assert np.array_equal(np.load(target), extractor.features(images)[2:])


def test_no_images_are_no_vectors(extractor):
    assert extractor.features([]).shape == (0, 2048)


def test_only_the_published_weights_are_called_fid(extractor):
    assert extractor.name == "frechet[fid, other weights]"
    other = InceptionFeatures("clean-fid", extractor.network, {"sha256": "0" * 64})
    assert other.name == "frechet[clean-fid, other weights]"
    told = {"file": PUBLISHED.file, "sha256": PUBLISHED.sha256}
    assert InceptionFeatures("fid", extractor.network, told).name == "fid"
    assert InceptionFeatures("clean-fid", extractor.network, told).name == "clean-fid"
    assert extractor.protocol()["preprocessing"]["resize"].startswith("TensorFlow 1 bilinear")
    assert len(extractor.protocol()["weights"]["sha256"]) == 64


# --- Files ------------------------------------------------------------------------------------------


def test_missing_weights_are_said_with_file_place_and_source(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_WEIGHTS", str(tmp_path))
    monkeypatch.delenv("ZOO_DOWNLOAD", raising=False)
    with pytest.raises(ConfigError) as raised:
        inception_features.build(FIDConfig())
    for part in ("pt_inception-2015-12-05-6726825d.pth", str(tmp_path), "mseitzer/pytorch-fid"):
        assert part in str(raised.value)


def test_a_file_of_another_hash_is_refused_unless_asked_for(weights):
    with pytest.raises(ConfigError, match="is not the published inception-2015-12-05: its SHA-256"):
        inception_features.build(FIDConfig(weights=str(weights.parent)))
    config = FIDConfig(weights=str(weights.parent), sha256="any", variant="clean-fid")
    assert inception_features.build(config).name == "frechet[clean-fid, other weights]"


def test_a_state_of_another_architecture_is_refused_by_tensor(weights):
    state = load_state(weights)
    name = "Mixed_6b.branch7x7_2.conv.weight"
    for broken, words in (
        ({k: v for k, v in state.items() if k != name}, f"'{name}' is missing"),
        ({**state, "Mixed_9z.conv.weight": torch.zeros(1)}, "'Mixed_9z.conv.weight' is unknown"),
        ({**state, name: state[name].transpose(2, 3)}, rf"'{name}' is \(128, 128, 7, 1\)"),
    ):
        with pytest.raises(ConfigError, match=words):
            load_inception(broken, "the file")


def test_the_classifier_and_the_counters_may_be_left_out(weights, extractor):
    lean = {
        name: value
        for name, value in load_state(weights).items()
        if not name.startswith("fc.") and not name.endswith("num_batches_tracked")
    }
    network = load_inception(lean, "the file")
    pixels = torch.zeros(1, 3, 299, 299).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        assert torch.equal(network(pixels), extractor.network(pixels))


def test_what_is_no_weights_file_is_refused(tmp_path):
    path = tmp_path / PUBLISHED.file
    for content in (b"", b"not weights at all", b"PK\x03\x04broken"):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="no intact weights file"):
            inception_features.build(FIDConfig(weights=str(tmp_path), sha256="any"))


def test_weights_with_a_hole_give_features_that_are_refused(weights, tmp_path):
    """A NaN in a weight is in every feature map behind it."""
    from zoo_core.interfaces.prompts import Prompt

    state = load_state(weights)
    state["Mixed_7c.branch_pool.bn.bias"][5] = torch.nan
    torch.save(state, tmp_path / PUBLISHED.file)
    metric = inception_features.build(FIDConfig(weights=str(tmp_path), sha256="any"))
    with pytest.raises(ConfigError, match="prompt 'a picture' are not finite"):
        metric.score_images([Prompt("a picture", "x")], [seeded_picture(40, 40)])
