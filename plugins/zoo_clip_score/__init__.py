"""CLIP score: how near an image and its prompt are in CLIP's embedding space."""

from __future__ import annotations

from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"


@hookimpl
def zoo_components() -> list[Component]:
    return [
        Component(
            kind="metric",
            name="clip-score",
            target="zoo_clip_score.metric:build",
            config="zoo_clip_score.config:CLIPScoreConfig",
            summary="Mean cosine of CLIP's image and prompt embeddings, by OpenAI's ViT-L/14",
        )
    ]
