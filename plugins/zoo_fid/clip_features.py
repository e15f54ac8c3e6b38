"""Features of an OpenCLIP image tower, such as the small world's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from zoo_core.adapters.clip import Architecture, CLIPEmbedder, load_embedder, stored_architecture
from zoo_core.adapters.pinned import content_sha256
from zoo_core.adapters.weights import safetensors_files
from zoo_core.catalog.resource import locate
from zoo_core.errors import ConfigError
from zoo_fid.config import CLIPFrechetConfig
from zoo_fid.extractor import FeatureExtractor, Image
from zoo_fid.metric import FrechetDistance
from zoo_fid.portions import map_portions

_FILE = "open_clip_model.safetensors"
_PORTION = 16  # images a thread takes at a time; they are embedded one by one all the same


def build(config: CLIPFrechetConfig) -> FrechetDistance:
    """The metric over the embeddings of the model in `config.weights`.

    Raises `ConfigError` when the folder lacks a file, or the weights do not fit its architecture.
    """
    folder = locate(config.weights)
    architecture = stored_architecture(folder)
    files = safetensors_files(folder, [_FILE])
    if len(files) > 1:
        raise ConfigError(f"{folder} has weights in {len(files)} parts; expected one {_FILE}.")
    weights = {"file": _FILE, "sha256": content_sha256(files[0])}
    embedder = load_embedder(architecture, files[0])
    extractor = CLIPFeatures(config.label, architecture, embedder, weights)
    return FrechetDistance(extractor, config.references)


@final
class CLIPFeatures(FeatureExtractor):
    """Unit embeddings of images, as a CLIP score sees them."""

    def __init__(
        self,
        label: str,
        architecture: Architecture,
        embedder: CLIPEmbedder,
        weights: dict[str, str],
    ) -> None:
        self.name = f"frechet[{label}]"
        self.dimensions = int(architecture.settings["embed_dim"])
        self._architecture = architecture
        self._embedder = embedder
        self._weights = weights

    def features(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """See `FeatureExtractor.features`; D is the width of the embeddings."""

        def work(portion: Sequence[Image]) -> NDArray[np.float32]:
            preprocess = self._architecture.preprocessing
            return np.stack(
                [self._embedder.image(preprocess(image)) for image in portion], dtype=np.float32
            )

        found = map_portions(work, images, _PORTION, self._embedder.device)
        return np.concatenate(found) if found else np.empty((0, self.dimensions), np.float32)

    def protocol(self) -> dict[str, Any]:
        seen, settings = self._architecture.preprocessing, self._architecture.settings
        return {
            "variant": "frechet",
            "features": "unit image embeddings of an OpenCLIP model",
            "model": self._architecture.name,
            "architecture": {key: settings[key] for key in sorted(settings) if key != "text_cfg"},
            "weights": self._weights,
            "preprocessing": {
                "resize": f"Pillow, {seen.resize} side to {seen.size}, {seen.interpolation}",
                "mean": list(seen.mean),
                "deviation": list(seen.deviation),
            },
        }
