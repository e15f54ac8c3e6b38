"""What a checkpoint holds: the backbone's weights and AdamW's moments, as named tensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo_core.errors import CheckpointError

_MOMENTS = ("exp_avg", "exp_avg_sq")


def optimizer_tensors(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """AdamW's state as tensors called ``PARAMETER.exp_avg``, ``PARAMETER.exp_avg_sq`` and ``.step``."""
    tensors = {}
    for name, parameter in module.named_parameters():
        # A parameter that never had a gradient has no state, and gets none back.
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{name}.{key}"] = value.detach()
    return tensors


def restore_optimizer(
    optimizer: torch.optim.Optimizer, module: nn.Module, tensors: dict[str, Tensor]
) -> None:
    """The inverse of `optimizer_tensors`. Raises `CheckpointError` on a missing or misshapen tensor."""
    left = dict(tensors)
    for name, parameter in module.named_parameters():
        state: dict[str, Tensor] = {}
        for key in (*_MOMENTS, "step"):
            value = left.pop(f"{name}.{key}", None)
            if value is None:
                continue
            if key in _MOMENTS and value.shape != parameter.shape:
                raise CheckpointError(
                    f"The optimizer state of '{name}' is {tuple(value.shape)}, the parameter "
                    f"{tuple(parameter.shape)}: the checkpoint belongs to another model."
                )
            # A copy: loaded tensors are views of the file, which may be retired while training goes on.
            state[key] = value.to(parameter.device, copy=True)
        if state and len(state) != len(_MOMENTS) + 1:
            raise CheckpointError(
                f"The optimizer state of '{name}' is incomplete: {sorted(state)}."
            )
        if state:
            optimizer.state[parameter] = state
    if left:
        raise CheckpointError(
            f"The checkpoint has optimizer state for unknown parameters, '{next(iter(left))}' first."
        )
