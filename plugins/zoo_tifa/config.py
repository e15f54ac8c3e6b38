"""Settings of the TIFA metric."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from zoo_core.schema import Config


class TIFAConfig(Config, frozen=True):
    """Which model answers the questions; its name becomes part of the score's name."""

    vqa: Annotated[str, Meta(description="Name of the question answering component")]
