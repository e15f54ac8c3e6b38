"""The trainer: one loop for a laptop's processor and for a GPU."""

from __future__ import annotations

from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"


@hookimpl
def zoo_components() -> list[Component]:
    return [
        Component(
            kind="trainer",
            name="gpu-trainer",
            target="zoo_gpu_trainer.trainer:build",
            config="zoo_gpu_trainer.config:GPUTrainerConfig",
            summary="AdamW on one device, GPU or CPU, with resumable checkpoints",
        )
    ]
