"""FSDP2: the backbone's weights, gradients and optimizer state over the processes."""

from __future__ import annotations

import os
from typing import Literal

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from zoo_core.errors import TrainingError
from zoo_core.interfaces.backbone import Backbone
from zoo_core.interfaces.group import Group
from zoo_gpu_trainer.config import GPUTrainerConfig


def sharding(config: GPUTrainerConfig, group: Group) -> Literal["none", "full", "hybrid"]:
    """How weights are divided. Raises `TrainingError` for several processes without sharding."""
    if config.shard == "auto":
        return "full" if group.size > 1 else "none"
    if config.shard == "none" and group.size > 1:
        raise TrainingError(
            f"trainer.shard is 'none', but there are {group.size} processes, whose gradients only the "
            f"sharded modes add up. Use trainer.shard=full, with trainer.reshard_after_forward=false where "
            f"memory allows."
        )
    return config.shard


def shard(
    backbone: Backbone,
    mode: Literal["full", "hybrid"],
    config: GPUTrainerConfig,
    device: torch.device,
) -> None:
    """Shard the repeated blocks one by one and then the rest, in place.

    Weights stay float32: mixed precision is autocast's, so that master weights are what is sharded.
    """
    mesh = _mesh(mode, device)
    for block in backbone.repeated_blocks():
        fully_shard(block, mesh=mesh, reshard_after_forward=config.reshard_after_forward)
    fully_shard(backbone, mesh=mesh, reshard_after_forward=config.reshard_after_forward)


def synchronise_gradients(backbone: nn.Module, now: bool) -> None:
    """Whether the next backward pass adds up the gradients of all processes."""
    if isinstance(backbone, FSDPModule):
        backbone.set_requires_gradient_sync(now)


def _mesh(mode: Literal["full", "hybrid"], device: torch.device) -> DeviceMesh:
    size = torch.distributed.get_world_size()
    if mode == "full":
        return init_device_mesh(device.type, (size,), mesh_dim_names=("shard",))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if size % local:
        raise TrainingError(
            f"trainer.shard=hybrid needs equally many processes on every machine; {size} in all are no "
            f"multiple of the {local} on this one."
        )
    return init_device_mesh(
        device.type, (size // local, local), mesh_dim_names=("replicate", "shard")
    )
