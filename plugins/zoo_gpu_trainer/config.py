"""Settings of the trainer itself; what is trained and how long is in the recipe's sections."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from zoo_core.schema import Config


class GPUTrainerConfig(Config, frozen=True):
    """How the loop runs. None of it changes what is computed beyond floating-point order."""

    threads: Annotated[
        int | None, Meta(description="CPU threads of torch; torch's own choice when absent")
    ] = None
    encode_batch: Annotated[
        int, Meta(ge=1, le=4096, description="Images the VAE encodes at a time for the cache")
    ] = 64
