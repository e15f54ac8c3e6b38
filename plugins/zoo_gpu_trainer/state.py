"""The backbone's weights and AdamW's moments as named tensors, whole or in this process's part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint import HuggingFaceStorageReader
from torch.distributed.tensor import DTensor, distribute_tensor

from zoo_core.errors import CheckpointError
from zoo_core.runs.weights import restore_weights

_MOMENTS = ("exp_avg", "exp_avg_sq")


def local(tensor: Tensor) -> Tensor:
    """This process's part of a sharded tensor; any other as it is."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensors: Iterable[tuple[str, Tensor]], keep: bool) -> dict[str, Tensor]:
    """Copies of whole tensors on the CPU, gathered one by one; empty unless `keep`.

    Every process of the group must call it, since sharded tensors are put together by all.
    """
    copies = {}
    for name, tensor in tensors:
        full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if keep:
            copies[name] = full.detach().to("cpu", copy=True)
    return copies


def restore_backbone(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put whole weights into a module, each process its part. Raises `CheckpointError`."""
    own = module.state_dict()
    parts = {
        name: _part(value, own[name]) if name in own and own[name].shape == value.shape else value
        for name, value in tensors.items()
    }
    restore_weights(module, parts)


def restore_average(average: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    """Put whole averaged weights into an average's own tensors. Raises `CheckpointError`."""
    if average.keys() != tensors.keys():
        raise CheckpointError(
            f"The checkpoint averages {len(tensors)} weights, not these {len(average)}: it belongs to "
            f"another model."
        )
    for name, value in tensors.items():
        local(average[name]).copy_(local(_part(value, average[name])))


def optimizer_moments(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """AdamW's moments as ``PARAMETER.exp_avg`` and ``PARAMETER.exp_avg_sq``, sharded as the weights are."""
    return {
        f"{name}.{moment}": optimizer.state[parameter][moment]
        for name, parameter in module.named_parameters()
        # A parameter that never had a gradient has no state, and gets none back.
        if parameter in optimizer.state
        for moment in _MOMENTS
    }


def optimizer_steps(optimizer: torch.optim.Optimizer) -> int:
    """How many updates AdamW has made, the same for every parameter it updates."""
    steps = {int(state["step"]) for state in optimizer.state.values()}
    assert len(steps) <= 1, f"parameters were updated {sorted(steps)} times"
    return steps.pop() if steps else 0


def restore_optimizer(
    optimizer: torch.optim.Optimizer,
    module: nn.Module,
    folder: Path,
    steps: int,
    process_group: torch.distributed.ProcessGroup | None,
) -> None:
    """Read the moments that `folder` holds, however many processes wrote them.

    Raises `CheckpointError` when they belong to other parameters than the module's.
    """
    optimizer.state.clear()
    if not steps:
        return
    reader = HuggingFaceStorageReader(str(folder))
    stored = reader.read_metadata().state_dict_metadata
    parameters = dict(module.named_parameters())
    wanted: dict[str, Tensor] = {}
    for key in sorted(stored):
        name, _, moment = key.rpartition(".")
        if name not in parameters or moment not in _MOMENTS:
            raise CheckpointError(
                f"{folder}: has optimizer state for an unknown parameter, '{key}': it belongs to another "
                f"model."
            )
        size = getattr(stored[key], "size", None)  # absent from what is no tensor
        if size != parameters[name].shape:
            raise CheckpointError(
                f"{folder}: '{key}' is {tuple(size or ())}, the parameter "
                f"{tuple(parameters[name].shape)}: it belongs to another model."
            )
        wanted[key] = torch.zeros_like(parameters[name].detach())
    dcp.load(
        wanted, storage_reader=reader, process_group=process_group, no_dist=process_group is None
    )
    for name, parameter in parameters.items():
        if f"{name}.{_MOMENTS[0]}" not in wanted:
            continue
        optimizer.state[parameter] = {
            "step": torch.tensor(float(steps), device=parameter.device),
            **{moment: wanted[f"{name}.{moment}"] for moment in _MOMENTS},
        }


def _part(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor divided as `like` is."""
    if not isinstance(like, DTensor):
        return value
    on_device = value.to(like.device)
    return distribute_tensor(on_device, like.device_mesh, like.placements, src_data_rank=None)
