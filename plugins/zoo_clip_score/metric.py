"""The CLIP score: mean over prompts of the cosine between image and prompt, or of Hessel's figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, final

import numpy as np

from zoo_clip_score.config import CLIPScoreConfig
from zoo_core.adapters.clip import (
    VIT_B_32,
    VIT_L_14,
    Architecture,
    CLIPEmbedder,
    check_image,
    check_text,
    known_architecture,
    load_embedder,
    stored_architecture,
)
from zoo_core.adapters.pinned import PinnedFile, locate_pinned, pinned_protocol
from zoo_core.errors import ConfigError
from zoo_core.evaluation.mean import mean_score
from zoo_core.interfaces.metric import Metric, Score
from zoo_core.interfaces.prompts import Prompt

#: Published weights by the scorer's name, with open_clip's name of the architecture.
PUBLISHED = {
    "vit-l-14": (VIT_L_14, "ViT-L-14-quickgelu"),
    "vit-b-32": (VIT_B_32, "ViT-B-32-quickgelu"),
}
#: The scorer that a formula's own publication used; only another one is named in the score.
_USUAL = {"cosine": "vit-l-14", "hessel": "vit-b-32"}
_NAMES = {"cosine": "clip-score", "hessel": "clip-score-hessel"}
#: Hessel et al. 2021 (arXiv 2104.08718), section 3: w of equation 1, and the prompt that did best.
WEIGHT = 2.5
PREFIX = "A photo depicts "


def build(config: CLIPScoreConfig) -> CLIPScore:
    """The metric with the scorer that its settings name.

    Raises `ConfigError` saying which file is missing, from where and into which folder, or that the
    file is another than the published one.
    """
    if config.scorer in PUBLISHED:
        published, architecture_name = PUBLISHED[config.scorer]
        architecture = known_architecture(architecture_name)
        pinned = published.expecting(config.sha256)
        return load(config, pinned, locate_pinned(pinned, config.weights), architecture)
    if not config.weights:
        raise ConfigError(
            f"CLIPScoreConfig: scorer '{config.scorer}' is none of {', '.join(PUBLISHED)}; as a name of "
            f"your own it needs the folder of its 'weights'.",
            key="scorer",
        )
    pinned = PinnedFile(config.scorer, VIT_L_14.file, licence="your own")
    pinned = pinned.expecting(config.sha256)
    file = locate_pinned(pinned, config.weights)
    return load(config, pinned, file, stored_architecture(file.parent))


def load(
    config: CLIPScoreConfig, pinned: PinnedFile, file: Path, architecture: Architecture
) -> CLIPScore:
    """The metric with a file of the published format, of any size."""
    embedder = load_embedder(architecture, file)
    return CLIPScore(config, embedder, architecture, pinned_protocol(pinned, file))


@final
class CLIPScore(Metric):
    """The cosine in [-1, 1]; Hessel et al.'s variant is 2.5 max(cosine, 0), in [0, 2.5]."""

    def __init__(
        self,
        config: CLIPScoreConfig,
        embedder: CLIPEmbedder,
        architecture: Architecture,
        weights: Mapping[str, str],
    ) -> None:
        self.config = config
        self.embedder = embedder
        self.architecture = architecture
        self._weights = dict(weights)

    @property
    def name(self) -> str:
        base, usual = _NAMES[self.config.formula], _USUAL[self.config.formula]
        return base if self.config.scorer == usual else f"{base}[{self.config.scorer}]"

    @property
    def prefix(self) -> str:
        """What is put before every prompt."""
        return PREFIX if self.config.formula == "hessel" else ""

    def score_images(
        self, prompts: Sequence[Prompt], images: Sequence[np.ndarray]
    ) -> list[dict[str, Any]]:
        """One row an image: prompt, cosine, score. Raises `ConfigError` naming an empty prompt."""
        assert len(prompts) == len(images), "one image a prompt"
        rows = []
        for prompt, image in zip(prompts, images, strict=True):
            check_text(prompt)
            check_image(prompt, image)
            seen = self.embedder.image(self.architecture.preprocessing(image))
            cosine = float(seen @ self.embedder.text(self.prefix + prompt.text))
            score = WEIGHT * max(cosine, 0.0) if self.config.formula == "hessel" else cosine
            rows.append({"prompt": prompt.id, "cosine": cosine, "score": score})
        return rows

    def summarize(self, rows: Sequence[Mapping[str, Any]]) -> Score:
        """Mean score, standard error and interval over prompts; details ``stdev``, ``min``, ``max``."""
        return mean_score(self.name, rows)

    def protocol(self) -> dict[str, Any]:
        seen = self.architecture.preprocessing
        return {
            "variant": _NAMES[self.config.formula],
            "model": self.architecture.name,
            "weights": dict(self._weights),
            "prefix": self.prefix,
            "tokens": self.embedder.model.context_length,
            "preprocessing": {
                "resize": f"Pillow, {seen.resize} side to {seen.size}, {seen.interpolation}",
                "mean": list(seen.mean),
                "deviation": list(seen.deviation),
            },
            "precision": "fp32",
            "scorer_libraries": {
                name: metadata.version(name) for name in ("open_clip_torch", "pillow")
            },
        }
