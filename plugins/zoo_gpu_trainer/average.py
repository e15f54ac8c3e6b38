"""An exponential moving average of the weights, for users who want it; scores never use it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo_gpu_trainer.state import local


class WeightAverage:
    """``average = decay * average + (1 - decay) * weights`` after every update, in float32.

    Holds of sharded weights the same part as this process does of the weights themselves.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self._weights = dict(module.named_parameters())
        self.tensors: dict[str, Tensor] = {
            name: parameter.detach().clone() for name, parameter in self._weights.items()
        }

    @torch.no_grad()
    def update(self) -> None:
        """Take in the present weights."""
        torch._foreach_lerp_(
            [local(tensor) for tensor in self.tensors.values()],
            [local(weight.detach()) for weight in self._weights.values()],
            1 - self.decay,
        )
