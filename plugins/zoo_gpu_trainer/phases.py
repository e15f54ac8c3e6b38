"""Where the wall-clock time goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

Phase = Literal[
    "data", "encode", "forward_backward", "exchange", "optimizer", "evaluation", "checkpoint"
]


class Phases:
    """Seconds by phase. Work that a GPU has been given counts where it was given.

    On a GPU the marks are events in its queue, read when the figures are taken, so that measuring
    makes nothing wait.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._seconds: dict[str, float] = {}
        self._marks: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def __call__(self, phase: Phase) -> Iterator[None]:
        """Count the time of this block as `phase`. Phases do not nest."""
        if self._cuda:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            try:
                yield
            finally:
                end.record()
                self._marks.append((phase, begin, end))
            return
        began = time.perf_counter()
        try:
            yield
        finally:
            self._add(phase, time.perf_counter() - began)

    def take(self) -> dict[str, float]:
        """Seconds by phase since the last call, rounded to 0.1 ms."""
        if self._marks:
            self._marks[-1][2].synchronize()
            for phase, begin, end in self._marks:
                self._add(phase, begin.elapsed_time(end) / 1000)
            self._marks.clear()
        taken = {phase: round(seconds, 4) for phase, seconds in sorted(self._seconds.items())}
        self._seconds.clear()
        return taken

    def _add(self, phase: str, seconds: float) -> None:
        self._seconds[phase] = self._seconds.get(phase, 0.0) + seconds
