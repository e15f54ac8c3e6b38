"""Ways to compute the same thing faster or in less memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from zoo_core.interfaces.backbone import Backbone
from zoo_gpu_trainer.config import GPUTrainerConfig


def prepare(backbone: Backbone, config: GPUTrainerConfig, device: torch.device) -> None:
    """Apply the switches to a backbone on its device, before it is sharded."""
    if wants_channels_last(config, device):
        backbone.to(memory_format=torch.channels_last)
    for block in backbone.repeated_blocks():
        if config.activation_checkpointing:
            _recompute(block)
        if config.compile:
            block.compile()


def wants_channels_last(config: GPUTrainerConfig, device: torch.device) -> bool:
    """The setting, or the measured default: off (see ``benchmarks/results``)."""
    return bool(config.channels_last)


def _recompute(block: nn.Module) -> None:
    """Keep the block's inputs alone and compute its inside again in the backward pass."""
    inside: Callable[..., Any] = block.forward
    block.forward = partial(checkpoint, inside, use_reentrant=False)
