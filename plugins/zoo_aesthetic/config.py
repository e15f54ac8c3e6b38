"""Settings of the aesthetic score. Light: no torch."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from zoo_core.schema import Config


class AestheticConfig(Config, frozen=True):
    """Where the two published files are: the predictor, and the CLIP model whose embeddings it reads."""

    weights: Annotated[
        str,
        Meta(
            description="The folder of sac+logos+ava1-l14-linearMSE.pth, or package:NAME/FOLDER; empty for "
            "$ZOO_WEIGHTS"
        ),
    ] = ""
    sha256: Annotated[
        str,
        Meta(
            description="SHA-256 that the predictor must have instead of the published one; 'any' to record it alone"
        ),
    ] = ""
    clip_weights: Annotated[
        str,
        Meta(
            description="The folder of OpenAI's ViT-L/14 as open_clip_model.safetensors, or package:NAME/FOLDER; "
            "empty for $ZOO_WEIGHTS and the hub's cache"
        ),
    ] = ""
    clip_sha256: Annotated[
        str,
        Meta(
            description="SHA-256 that the CLIP model must have instead of the published one; 'any' to record it alone"
        ),
    ] = ""
