"""Putting a checkpoint's weights into a module, name by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_core.errors import CheckpointError
from zoo_core.runs.initial import WeightsFile, find_weights

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


@dataclass(frozen=True)
class InitialWeights:
    """What `load_initial_weights` did: the file, the number of tensors taken, and names of those left."""

    source: WeightsFile
    taken: int
    left: tuple[str, ...]

    def sentence(self) -> str:
        """For the person who started the training."""
        source = self.source
        of = "" if source.step is None else f" ({source.variant}, step {source.step})"
        left = f" Made anew for this size: {', '.join(self.left)}." if self.left else ""
        return f"Beginning with the {self.taken} tensors of {source.place}{of}.{left}"


def load_initial_weights(
    module: nn.Module,
    path: Path,
    sha256: str | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> InitialWeights:
    """Fill a freshly built, unsharded module from a run, a checkpoint or a safetensors file.

    path: see `find_weights`, which `warn` is for as well. sha256: what the file must have. Every
    parameter and buffer is loaded by name, in the module's dtype. Only a buffer of another shape stays
    as it was made: buffers are computed, and a table of positions depends on the resolution, so that
    weights of 256 x 256 can go on at 512 x 512. Raises `CheckpointError` naming file and tensor for
    anything else that is missing, unknown or of another shape; the module is then unchanged.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    source = find_weights(path, warn)
    file = source.file
    if sha256 is not None and source.sha256 != sha256:
        raise CheckpointError(
            f"{file}: the SHA-256 is {source.sha256}, not {sha256}, with which training was to begin."
        )
    own = module.state_dict()
    assert not any(tensor.is_meta for tensor in own.values()), "a module on the meta device"
    learned = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    try:
        with safe_open(file, framework="pt") as tensors:
            left = _compared(file, tensors, own, learned)
            with torch.no_grad():
                for name, tensor in own.items():
                    if name not in left:
                        tensor.copy_(tensors.get_tensor(name))
    except SafetensorError as error:
        raise CheckpointError(f"{file}: no safetensors file, or a damaged one ({error}).") from None
    return InitialWeights(source, len(own) - len(left), left)


def _compared(
    file: Path, tensors: Any, own: Mapping[str, Tensor], learned: set[str]
) -> tuple[str, ...]:
    """Names of the buffers to leave as they are. Raises `CheckpointError` for what cannot be loaded."""
    given = set(tensors.keys())
    missing, extra = sorted(own.keys() - given), sorted(given - own.keys())
    if missing or extra:
        what = f"lacks '{missing[0]}'" if missing else f"has an unknown '{extra[0]}'"
        raise CheckpointError(
            f"{file}: {what} ({len(missing)} missing, {len(extra)} unknown tensors): the weights are those "
            f"of another model."
        )
    left = []
    for name in sorted(own):
        shape, wanted = tuple(tensors.get_slice(name).get_shape()), tuple(own[name].shape)
        if shape == wanted:
            continue
        if name in learned:
            raise CheckpointError(
                f"{file}: '{name}' is {shape}, and {wanted} in the model: the weights are those of another "
                f"model."
            )
        left.append(name)
    return tuple(left)
