"""LAION's aesthetic score, version 2: how much people like an image, from its CLIP embedding."""

from __future__ import annotations

from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"


@hookimpl
def zoo_components() -> list[Component]:
    return [
        Component(
            kind="metric",
            name="aesthetic",
            target="zoo_aesthetic.metric:build",
            config="zoo_aesthetic.config:AestheticConfig",
            summary="LAION aesthetic score v2 of the image alone, about 1 to 10",
        )
    ]
