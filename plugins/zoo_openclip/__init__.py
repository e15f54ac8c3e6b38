"""OpenCLIP's text towers as a text encoder family."""

from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"


@hookimpl
def zoo_components() -> list[Component]:
    return [
        Component(
            kind="text-encoder",
            name="openclip",
            target="zoo_openclip.model:build",
            config="zoo_openclip.config:OpenCLIPConfig",
            summary="OpenCLIP's text tower: the penultimate layer's states after the final norm",
        )
    ]
