"""FID's features: images through one of two resizes and the Inception network of 2015-12-05."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from zoo_core.adapters.pinned import PinnedFile, load_state, locate_pinned, pinned_protocol
from zoo_fid.config import FIDConfig
from zoo_fid.extractor import FeatureExtractor, Image
from zoo_fid.inception import DIMENSIONS, SIZE, Inception, load_inception
from zoo_fid.metric import FrechetDistance
from zoo_fid.portions import map_portions, run_padded
from zoo_fid.resize import normalized, pillow_bicubic, tensorflow_bilinear

#: torch-fidelity publishes the same bytes as weights-inception-2015-12-05-6726825d.pth.
PUBLISHED = PinnedFile(
    name="inception-2015-12-05",
    file="pt_inception-2015-12-05-6726825d.pth",
    licence="Apache-2.0",
    url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    size=95_628_359,
)
_RESIZE = {
    "fid": (tensorflow_bilinear, "TensorFlow 1 bilinear, corners not aligned, no antialiasing"),
    "clean-fid": (pillow_bicubic, "Pillow bicubic, antialiased, on float channels, clipped"),
}
#: Images in a forward pass. On one thread of a CPU 4 take 15 % less time each than a single one, and 8
#: no less than 4.
_BATCH = {"cpu": 4, "cuda": 32}


def build(config: FIDConfig) -> FrechetDistance:
    """The metric with published weights.

    Raises `ConfigError` saying which file is missing, from where and into which folder, or that the
    file is another than the published one.
    """
    pinned = PUBLISHED.expecting(config.sha256)
    path = locate_pinned(pinned, config.weights)
    return FrechetDistance(load(config.variant, path, pinned), config.references)


def load(variant: str, path: Path, pinned: PinnedFile = PUBLISHED) -> InceptionFeatures:
    """The extractor with a weights file of the published format. Raises `ConfigError` for another."""
    network = load_inception(load_state(path), str(path))
    return InceptionFeatures(variant, network, pinned_protocol(pinned, path))


@final
class InceptionFeatures(FeatureExtractor):
    """2048 features after the last pooling.

    variant: ``"fid"`` or ``"clean-fid"``. weights: what the protocol says of them; with others than
    the published ones the distance is not called FID.
    """

    dimensions = DIMENSIONS

    def __init__(self, variant: str, network: Inception, weights: dict[str, str]) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = network.to(self.device)
        self._variant = variant
        self._weights = weights
        self._resize, self._resize_in_words = _RESIZE[variant]
        published = weights["sha256"] == PUBLISHED.sha256
        self.name = variant if published else f"frechet[{variant}, other weights]"

    def features(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """See `FeatureExtractor.features`; D is 2048."""
        size = _BATCH[self.device.type]

        def work(portion: Sequence[Image]) -> NDArray[np.float32]:
            inputs = [normalized(self._resize(image)) for image in portion]
            return run_padded(self.network, inputs, size, self.device)

        found = map_portions(work, images, size, self.device)
        return np.concatenate(found) if found else np.empty((0, DIMENSIONS), np.float32)

    def protocol(self) -> dict[str, Any]:
        return {
            "variant": self._variant,
            "features": "Inception of 2015-12-05, 2048 after the last pooling",
            "weights": self._weights,
            "preprocessing": {
                "resize": f"{self._resize_in_words}, to {SIZE} x {SIZE}",
                "range": "(x - 128) / 128",
            },
        }
