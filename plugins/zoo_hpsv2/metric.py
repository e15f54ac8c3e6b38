"""The HPSv2 score: mean over prompts of the cosine between image and prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, final

import numpy as np

from zoo_core.adapters.clip import (
    DEVIATION,
    MEAN,
    Architecture,
    CLIPEmbedder,
    check_image,
    check_text,
    known_architecture,
    load_embedder,
)
from zoo_core.adapters.pinned import PinnedFile, locate_pinned, pinned_protocol
from zoo_core.evaluation.mean import mean_score
from zoo_core.interfaces.metric import Metric, Score
from zoo_core.interfaces.prompts import Prompt
from zoo_hpsv2.config import HPSv2Config
from zoo_hpsv2.preprocess import pixels

_REVISION = "697403c78157020a1ae59d23f111aa58ced35b0a"
#: Both hold a `state_dict` of OpenCLIP's ViT-H/14 in half precision.
PUBLISHED = {
    # No published hash of this file is confirmed, so that of the file found is recorded.
    "2.0": PinnedFile(
        name="HPSv2",
        file="HPS_v2_compressed.pt",
        licence="Apache-2.0",
        repo="xswu/HPSv2",
        revision=_REVISION,
    ),
    "2.1": PinnedFile(
        name="HPSv2.1",
        file="HPS_v2.1_compressed.pt",
        licence="Apache-2.0",
        repo="xswu/HPSv2",
        revision=_REVISION,
        sha256="c57a38fb4a2f7e7c15bf00da2ea377cdf165448b4dd1052a484c215a998c9837",
        size=1_972_490_005,
    ),
}


def build(config: HPSv2Config) -> HPSv2:
    """The metric with published weights.

    Raises `ConfigError` saying which file is missing, from where and into which folder, or that the
    file is another than the published one.
    """
    pinned = PUBLISHED[config.version].expecting(config.sha256)
    file = locate_pinned(pinned, config.weights)
    return load(config, pinned, file, known_architecture("ViT-H-14"))


def load(config: HPSv2Config, pinned: PinnedFile, file: Path, architecture: Architecture) -> HPSv2:
    """The metric with a checkpoint of the published format, of any size."""
    return HPSv2(
        config,
        load_embedder(architecture, file, under="state_dict"),
        architecture.preprocessing.size,
        {"model": architecture.name, "weights": pinned_protocol(pinned, file)},
    )


@final
class HPSv2(Metric):
    """Wu et al. 2023, section 3.2: the cosine of the embeddings of image and prompt, in [-1, 1].

    It is the figure of the published `score`; the published leaderboard prints 100 times it. The
    published code runs in half precision on a GPU; here it is float32 everywhere.
    """

    def __init__(
        self, config: HPSv2Config, embedder: CLIPEmbedder, size: int, protocol: Mapping[str, Any]
    ) -> None:
        self.config = config
        self.embedder = embedder
        self.size = size
        self._protocol = dict(protocol)

    @property
    def name(self) -> str:
        base = "hpsv2" if self.config.version == "2.0" else f"hpsv{self.config.version}"
        return base if self.config.antialias else f"{base}[no-antialias]"

    def score_images(
        self, prompts: Sequence[Prompt], images: Sequence[np.ndarray]
    ) -> list[dict[str, Any]]:
        """One row an image: prompt, score. Raises `ConfigError` naming an empty prompt."""
        assert len(prompts) == len(images), "one image a prompt"
        rows = []
        for prompt, image in zip(prompts, images, strict=True):
            check_text(prompt)
            check_image(prompt, image)
            seen = self.embedder.image(pixels(image, self.size, self.config.antialias))
            cosine = float(seen @ self.embedder.text(prompt.text))
            rows.append({"prompt": prompt.id, "score": cosine})
        return rows

    def summarize(self, rows: Sequence[Mapping[str, Any]]) -> Score:
        """Mean cosine, standard error and interval over prompts; details ``stdev``, ``min``, ``max``."""
        return mean_score(self.name, rows)

    def protocol(self) -> dict[str, Any]:
        return {
            "variant": f"hpsv{self.config.version}",
            **self._protocol,
            "preprocessing": {
                "resize": f"tensor, longer side to {self.size}, bicubic",
                "antialias": self.config.antialias,
                "padding": "zeros before normalisation",
                "mean": list(MEAN),
                "deviation": list(DEVIATION),
            },
            "precision": "fp32",
            "scorer_libraries": {
                name: metadata.version(name) for name in ("open_clip_torch", "torchvision")
            },
        }
