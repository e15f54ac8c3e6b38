"""DeepFloyd IF-XL's UNet as a backbone family."""

from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"


@hookimpl
def zoo_components() -> list[Component]:
    return [
        Component(
            kind="backbone",
            name="if-xl",
            target="zoo_if_xl.model:build",
            config="zoo_if_xl.config:IFXLConfig",
            account="zoo_if_xl.account:account",
            summary="DeepFloyd IF-XL's UNet on latents: many residual blocks, one attention after each",
        )
    ]
