"""TensorBoard as a logger."""

from __future__ import annotations

from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"


@hookimpl
def zoo_components() -> list[Component]:
    return [
        Component(
            kind="logger",
            name="tensorboard",
            target="zoo_tensorboard.logger:build",
            config="zoo_tensorboard.config:TensorBoardConfig",
            summary="Event files for TensorBoard in the run folder",
            requires=("tensorboard",),
            extra="tensorboard",
        )
    ]
