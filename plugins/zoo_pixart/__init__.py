"""PixArt-alpha's transformer as a backbone family."""

from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"


@hookimpl
def zoo_components() -> list[Component]:
    return [
        Component(
            kind="backbone",
            name="pixart",
            target="zoo_pixart.model:build",
            config="zoo_pixart.config:PixArtConfig",
            account="zoo_pixart.account:account",
            summary="PixArt-alpha's diffusion transformer on latent patches",
        )
    ]
