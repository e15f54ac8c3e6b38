"""SDXL's UNet as a backbone family."""

from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"


@hookimpl
def zoo_components() -> list[Component]:
    return [
        Component(
            kind="backbone",
            name="sdxl",
            target="zoo_sdxl.model:build",
            config="zoo_sdxl.config:SDXLConfig",
            account="zoo_sdxl.account:account",
            summary="SDXL's UNet: deep transformers at the low resolutions, none at the highest",
        )
    ]
