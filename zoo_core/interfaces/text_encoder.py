"""The frozen text encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from zoo_core.interfaces.config import TextEncoderConfig


@dataclass(frozen=True)
class TextStates:
    """states: [B, L, D] float; mask: [B, L] bool (True where a token counts), or None when all do."""

    states: Tensor
    mask: Tensor | None = None


class TextEncoder(nn.Module, ABC):
    """Captions to text states. The empty caption is the unconditional input of guidance."""

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def encode(self, captions: Sequence[str]) -> TextStates:
        """States [B, L, D] of B captions; longer ones are cut to L tokens, shorter ones padded."""

    def empty(self) -> TextStates:
        """States [1, L, D] of the empty caption."""
        return self.encode([""])
