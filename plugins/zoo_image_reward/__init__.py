"""ImageReward: a learned human preference for text-to-image (Xu et al. 2023, arXiv 2304.05977)."""

from __future__ import annotations

from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"


@hookimpl
def zoo_components() -> list[Component]:
    return [
        Component(
            kind="metric",
            name="image-reward",
            target="zoo_image_reward.metric:build",
            config="zoo_image_reward.config:ImageRewardConfig",
            summary="ImageReward 1.0: a preference learned from human rankings, about -2 to 2",
        )
    ]
