"""T5's encoder as a text encoder family."""

from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"


@hookimpl
def zoo_components() -> list[Component]:
    return [
        Component(
            kind="text-encoder",
            name="t5",
            target="zoo_t5.model:build",
            config="zoo_t5.config:T5Config",
            summary="T5's encoder with its padding mask",
            extra="t5",
        )
    ]
