"""Settings of OpenCLIP's text towers. Light: no torch."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from zoo_core.interfaces import TextEncoderConfig


class OpenCLIPConfig(TextEncoderConfig, frozen=True):
    """The defaults are OpenCLIP ViT-H/14's text tower, as Stable Diffusion 2 uses it: 77 x 1024."""

    model: Annotated[
        str,
        Meta(
            min_length=1,
            description="An architecture known to open_clip; not looked at when the folder of `weights` has an "
            "open_clip_config.json",
        ),
    ] = "ViT-H-14"
    weights: Annotated[
        str,
        Meta(
            description="A folder with open_clip_model.safetensors, its open_clip_config.json and, for a "
            "vocabulary of its own, one *.txt.gz of merges; or package:NAME/FOLDER; empty for fresh weights"
        ),
    ] = ""
