"""Settings of T5's encoder. Light: no torch."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from zoo_core.interfaces import TextEncoderConfig


class T5Config(TextEncoderConfig, frozen=True):
    """The defaults are Flan-T5-XXL's encoder (T5 1.1, gated GELU) with PixArt-alpha's 120 tokens."""

    width: Annotated[int, Meta(ge=1, le=65536, description="Width D of the text states")] = 4096
    tokens: Annotated[
        int, Meta(ge=2, le=4096, description="Tokens L every caption is padded or cut to")
    ] = 120
    layers: Annotated[int, Meta(ge=1, le=512, description="Encoder layers")] = 24
    heads: Annotated[int, Meta(ge=1, le=1024, description="Attention heads")] = 64
    head_width: Annotated[int, Meta(ge=1, le=1024, description="Channels of an attention head")] = (
        64
    )
    ff_width: Annotated[
        int, Meta(ge=1, le=262144, description="Width of the gated feed-forward")
    ] = 10240
    vocabulary: Annotated[int, Meta(ge=3, description="Rows of the token embedding")] = 32128
    weights: Annotated[
        str,
        Meta(
            description="A folder in transformers' format (config.json and safetensors), or "
            "package:NAME/FOLDER; empty for fresh weights"
        ),
    ] = ""
    tokenizer: Annotated[
        str,
        Meta(
            description="A folder with spiece.model or tokenizer.json; empty for the folder of weights"
        ),
    ] = ""
