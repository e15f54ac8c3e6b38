"""Settings of the CLIP score. Light: no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from zoo_core.schema import Config


class CLIPScoreConfig(Config, frozen=True):
    """The formula, and the CLIP model that it is taken with."""

    formula: Annotated[
        Literal["cosine", "hessel"],
        Meta(
            description="'cosine', or Hessel et al.'s 2.5 max(cosine, 0) of the prompt after 'A photo depicts '"
        ),
    ] = "cosine"
    scorer: Annotated[
        str,
        Meta(
            min_length=1,
            description="OpenAI's weights 'vit-l-14' or 'vit-b-32'; any other name is a name of your own for "
            "the model in the folder of `weights`, and becomes part of the score's name",
        ),
    ] = "vit-l-14"
    weights: Annotated[
        str,
        Meta(
            description="A folder with open_clip_model.safetensors, for a scorer of your own with its "
            "open_clip_config.json and, where it has one, its vocabulary *.txt.gz; or package:NAME/FOLDER; "
            "empty for $ZOO_WEIGHTS and the hub's cache"
        ),
    ] = ""
    sha256: Annotated[
        str,
        Meta(
            description="SHA-256 that the file must have instead of the published one; 'any' to record it alone"
        ),
    ] = ""
