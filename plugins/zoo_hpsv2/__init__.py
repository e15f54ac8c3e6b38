"""HPSv2 and HPSv2.1: CLIP tuned on human preferences (Wu et al. 2023, arXiv 2306.09341)."""

from __future__ import annotations

from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"


@hookimpl
def zoo_components() -> list[Component]:
    return [
        Component(
            kind="metric",
            name="hpsv2",
            target="zoo_hpsv2.metric:build",
            config="zoo_hpsv2.config:HPSv2Config",
            summary="Human Preference Score v2: cosine by a CLIP ViT-H/14 tuned on human choices",
        )
    ]
