"""The recipe's part of the stream: which captions are trained on. Free of numpy and torch."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from zoo_core.schema import Config

CaptionPolicy = Literal["alt", "random-synthetic", "top-synthetic"]


class CaptionSettings(Config):
    """What a training sample is called."""

    policy: Annotated[
        CaptionPolicy,
        Meta(
            description="alt: original captions only; random-synthetic: with the given probability one "
            "of the five best synthetic captions at random; top-synthetic: with that probability the best"
        ),
    ] = "random-synthetic"
    probability: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Share of samples that take a synthetic caption, if they have one",
        ),
    ] = 0.5
    drop: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Share of samples whose caption is dropped, for classifier-free guidance",
        ),
    ] = 0.1
