"""Settings of the HPSv2 metric. Light: no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from zoo_core.schema import Config


class HPSv2Config(Config, frozen=True):
    """Which of the two published models, and where its file is."""

    version: Annotated[
        Literal["2.0", "2.1"],
        Meta(description="The published weights; their scores are not comparable"),
    ] = "2.0"
    antialias: Annotated[
        bool,
        Meta(
            description="Whether the resize to 224 pixels is antialiased, as the published code does with "
            "torchvision 0.17 and later; earlier ones did not, and the published leaderboard was made in 2023. "
            "Without it the score is called hpsv2[no-antialias]"
        ),
    ] = True
    weights: Annotated[
        str,
        Meta(
            description="The folder of HPS_v2_compressed.pt or HPS_v2.1_compressed.pt, or package:NAME/FOLDER; "
            "empty for $ZOO_WEIGHTS and the hub's cache"
        ),
    ] = ""
    sha256: Annotated[
        str,
        Meta(
            description="SHA-256 that the file must have instead of the published one; 'any' to record it alone"
        ),
    ] = ""
