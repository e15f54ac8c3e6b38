"""TIFA: text-to-image faithfulness by question answering (Hu et al. 2023, arXiv 2303.11897)."""

from __future__ import annotations

from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"


@hookimpl
def zoo_components() -> list[Component]:
    return [
        Component(
            kind="metric",
            name="tifa",
            target="zoo_tifa.metric:build",
            config="zoo_tifa.config:TIFAConfig",
            summary="Share of questions about an image that a VQA model answers as expected",
            uses={"vqa": "vqa"},
        ),
        Component(
            kind="prompts",
            name="tifa-file",
            target="zoo_tifa.prompts:TIFAPrompts",
            config="zoo_tifa.config:TIFAFileConfig",
            summary="Prompts and questions from files in the format of TIFA v1.0",
        ),
    ]
