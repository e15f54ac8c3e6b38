"""Stable Diffusion 2's UNet as a backbone family."""

from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"


@hookimpl
def zoo_components() -> list[Component]:
    return [
        Component(
            kind="backbone",
            name="sd2",
            target="zoo_sd2.model:build",
            config="zoo_sd2.config:SD2Config",
            account="zoo_sd2.account:account",
            summary="Stable Diffusion 2's UNet: shallow transformers at every level but the deepest",
        )
    ]
