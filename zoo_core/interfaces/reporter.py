"""How long work talks to whoever started it: sentences and progress, on a terminal or in a log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Progress:
    """One piece of long work. The base class shows nothing."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """`count` more units are done; `note` is a short remark such as the current loss."""


class Reporter:
    """Receives what is worth telling. The base class is silent, for libraries and tests."""

    def say(self, text: str) -> None:
        """One sentence for a person."""

    @contextmanager
    def progress(self, label: str, total: int, unit: str = "", done: int = 0) -> Iterator[Progress]:
        """Progress of `total` units of which `done` were there before; rate and time left follow."""
        yield Progress()
