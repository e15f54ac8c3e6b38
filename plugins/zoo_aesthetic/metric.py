"""The aesthetic score: mean over prompts of a linear figure of the image's CLIP embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import nn

from zoo_aesthetic.config import AestheticConfig
from zoo_core.adapters.clip import (
    VIT_L_14,
    Architecture,
    CLIPEmbedder,
    check_image,
    known_architecture,
    load_embedder,
)
from zoo_core.adapters.pinned import PinnedFile, load_state, locate_pinned, pinned_protocol
from zoo_core.adapters.state_dict import fill
from zoo_core.evaluation.mean import mean_score
from zoo_core.interfaces.metric import Metric, Score
from zoo_core.interfaces.prompts import Prompt

#: The predictor trained on Simulacra Aesthetic Captions, LAION-Logos and AVA.
PREDICTOR = PinnedFile(
    name="laion-aesthetic-v2",
    file="sac+logos+ava1-l14-linearMSE.pth",
    licence="as its repository christophschuhmann/improved-aesthetic-predictor says",
    url="https://raw.githubusercontent.com/christophschuhmann/improved-aesthetic-predictor/"
    "6934dd81792f086e613a121dbce43082cb8be85e/sac%2Blogos%2Bava1-l14-linearMSE.pth",
    sha256="21dd590f3ccdc646f0d53120778b296013b096a035a2718c9cb0d511bff0f1e0",
    size=3_714_759,
)
_WIDTHS = (1024, 128, 64, 16, 1)
#: Where the linear layers stand among the dropouts of the published file.
_PLACES = (0, 2, 4, 6, 7)


def build(config: AestheticConfig) -> Aesthetic:
    """The metric with both published files.

    Raises `ConfigError` saying which file is missing, from where and into which folder, or that a file
    is another than the published one.
    """
    predictor = PREDICTOR.expecting(config.sha256)
    clip = VIT_L_14.expecting(config.clip_sha256)
    return load(
        (predictor, locate_pinned(predictor, config.weights)),
        (clip, locate_pinned(clip, config.clip_weights, setting="clip_weights")),
        known_architecture("ViT-L-14-quickgelu"),
    )


def load(
    predictor: tuple[PinnedFile, Path], clip: tuple[PinnedFile, Path], architecture: Architecture
) -> Aesthetic:
    """The metric with files of the published formats, for a CLIP model of any size."""
    embedder = load_embedder(architecture, clip[1])
    head = Predictor(architecture.settings["embed_dim"])
    fill(head, load_state(predictor[1]), str(predictor[1]))
    protocol = {
        "weights": pinned_protocol(*predictor),
        "model": architecture.name,
        "clip_weights": pinned_protocol(*clip),
    }
    return Aesthetic(head, embedder, architecture, protocol)


class Predictor(nn.Module):
    """Five linear layers, D-1024-128-64-16-1, with nothing between them when scoring.

    The published network has dropouts between them and no activation, under the name ``layers``.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        inputs = (width, *_WIDTHS[:-1])
        layers = zip(_PLACES, inputs, _WIDTHS, strict=True)
        self.layers = nn.ModuleDict({str(place): nn.Linear(i, o) for place, i, o in layers})

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Scores [B] of unit embeddings [B, D]."""
        for layer in self.layers.values():
            embeddings = layer(embeddings)
        return embeddings.squeeze(1)


@final
class Aesthetic(Metric):
    """LAION's predictor (Schuhmann et al. 2022, arXiv 2210.08402, section 3.3), about 1 to 10.

    It looks at the image alone; the prompt only keys the row.
    """

    def __init__(
        self,
        head: Predictor,
        embedder: CLIPEmbedder,
        architecture: Architecture,
        protocol: Mapping[str, Any],
    ) -> None:
        # A few thousand sums an image: done in float64 on the CPU, so that rounding is CLIP's alone.
        self.head = head.double().eval().requires_grad_(False)
        self.embedder = embedder
        self.architecture = architecture
        self._protocol = dict(protocol)

    @property
    def name(self) -> str:
        return "aesthetic"

    def score_images(
        self, prompts: Sequence[Prompt], images: Sequence[np.ndarray]
    ) -> list[dict[str, Any]]:
        """One row an image: prompt, score."""
        assert len(prompts) == len(images), "one image a prompt"
        rows = []
        for prompt, image in zip(prompts, images, strict=True):
            check_image(prompt, image)
            seen = self.embedder.image(self.architecture.preprocessing(image))
            score = self.head(torch.from_numpy(seen)[None]).item()
            rows.append({"prompt": prompt.id, "score": score})
        return rows

    def summarize(self, rows: Sequence[Mapping[str, Any]]) -> Score:
        """Mean score, standard error and interval over prompts; details ``stdev``, ``min``, ``max``."""
        return mean_score(self.name, rows)

    def protocol(self) -> dict[str, Any]:
        seen = self.architecture.preprocessing
        return {
            "variant": "laion-aesthetic-v2",
            **self._protocol,
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
