"""Putting a checkpoint's weights into a module, name by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from zoo_core.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor, nn


def restore_weights(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load every weight by name. Raises `CheckpointError` naming the first that does not fit."""
    own = module.state_dict()
    missing, extra = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or extra:
        what = f"lacks '{missing[0]}'" if missing else f"has an unknown '{extra[0]}'"
        raise CheckpointError(
            f"The checkpoint {what} ({len(missing)} missing, {len(extra)} unknown tensors): it belongs "
            f"to another model."
        )
    for name, value in tensors.items():
        if value.shape != own[name].shape:
            raise CheckpointError(
                f"'{name}' is {tuple(value.shape)} in the checkpoint and {tuple(own[name].shape)} in the "
                f"model: it belongs to another model."
            )
    module.load_state_dict(tensors)
