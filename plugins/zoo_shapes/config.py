"""Settings of the small world's components."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from zoo_core.interfaces import DatasetConfig
from zoo_core.schema import Config

World = Annotated[
    Literal["simple", "default", "hard"],
    Meta(description="Which scenes there are; each has more of everything than the one before"),
]
Seed = Annotated[int, Meta(ge=0, description="Seed of the scenes")]


class ShapesConfig(DatasetConfig, frozen=True):
    """Training scenes, rendered when asked for."""

    world: World = "simple"
    samples: Annotated[int, Meta(ge=1, description="Scenes in the training set")] = 16384
    seed: Seed = 0


class ShapesPromptsConfig(Config, frozen=True):
    """Scenes to draw, with their questions."""

    world: World = "simple"
    split: Annotated[
        Literal["heldout", "composition"],
        Meta(
            description="heldout: new scenes of known combinations; composition: colour and shape "
            "combinations that no training scene has"
        ),
    ] = "heldout"
    count: Annotated[int, Meta(ge=1, le=100_000, description="Prompts in the set")] = 256
    seed: Seed = 0
    resolution: Annotated[
        int,
        Meta(
            ge=8,
            le=4096,
            description="Pixels along one side of the ground-truth images, for metrics that compare",
        ),
    ] = 64


class ShapesReaderConfig(Config, frozen=True):
    """The reader of scenes. It knows the names of one world, so give it the prompts' or a larger one."""

    world: World = "default"
