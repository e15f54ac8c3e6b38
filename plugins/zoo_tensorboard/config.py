"""Settings of the TensorBoard logger."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated

from msgspec import Meta

from zoo_core.errors import ConfigError
from zoo_core.schema import Config


class TensorBoardConfig(Config, frozen=True):
    """Where event files go and how soon they reach the disk."""

    folder: Annotated[str, Meta(min_length=1, description="Folder inside the run's folder")] = (
        "tensorboard"
    )
    flush_seconds: Annotated[
        int,
        Meta(ge=1, le=86400, description="Seconds after which figures are written at the latest"),
    ] = 30

    def __post_init__(self) -> None:
        path = PurePath(self.folder)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ConfigError(
                f"folder {self.folder!r} is not inside the run's folder; 'tensorboard' is.",
                key="folder",
            )
