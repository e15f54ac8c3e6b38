"""BLIP's visual question answering (Li et al. 2022, arXiv 2201.12086) as a `vqa` family."""

from __future__ import annotations

from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"


@hookimpl
def zoo_components() -> list[Component]:
    return [
        Component(
            kind="vqa",
            name="blip-vqa",
            target="zoo_blip_vqa.model:build",
            config="zoo_blip_vqa.config:BlipVQAConfig",
            summary="BLIP fine-tuned on VQAv2: short free-form answers, decoded greedily",
        )
    ]
