"""Filling a module from a state dict with every tensor accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from zoo_core.errors import ConfigError

_DRAWS = {"normal_", "uniform_", "kaiming_uniform_"}


class WithoutDraws(TorchFunctionMode):
    """Modules built inside have zeros for random initial weights.

    Drawing hundreds of millions of numbers takes longer than reading the file that replaces them. For
    use with `fill`, which leaves no tensor as it was.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func.__name__ not in _DRAWS:
            return func(*args, **kwargs)
        # Not left as it is: torch's truncated normal repeats draws until all are within bounds.
        with torch.no_grad():
            return (args[0] if args else kwargs["tensor"]).zero_()


@torch.no_grad()
def fill(
    module: nn.Module, state: Mapping[str, Tensor], source: str, ignore: Sequence[str] = ()
) -> None:
    """Copy the tensors of `state` into the module's, each by its name, converted to the module's dtype.

    source: the file they came from, for messages. ignore: beginnings or endings of names that the file
    may hold and the module has no use for. A tensor that shares its memory with another (tied weights)
    may be absent. Raises `ConfigError` for a tensor that is missing, unknown, or of another shape.
    """
    wanted = module.state_dict()
    foreign = [
        name
        for name in state
        if name not in wanted and not any(name.startswith(i) or name.endswith(i) for i in ignore)
    ]
    found = wanted.keys() & state.keys()
    memory = {wanted[name].data_ptr() for name in found}
    missing = [
        name for name in wanted if name not in found and wanted[name].data_ptr() not in memory
    ]
    if missing:
        raise ConfigError(
            f"{source}: the tensor '{missing[0]}' is missing ({len(missing)} of {len(wanted)} are); the file "
            f"is of another architecture."
        )
    if foreign:
        raise ConfigError(
            f"{source}: the tensor '{foreign[0]}' is unknown ({len(foreign)} are); the file is of another "
            f"architecture."
        )
    for name in found:
        if wanted[name].shape != state[name].shape:
            raise ConfigError(
                f"{source}: '{name}' is {tuple(state[name].shape)}, but the architecture has "
                f"{tuple(wanted[name].shape)}."
            )
        wanted[name].copy_(state[name])
