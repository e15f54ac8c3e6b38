"""Failing together: no process of a group waits for one that has given up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from zoo_core.errors import RunError
from zoo_core.interfaces.group import Group


@contextmanager
def agreed(group: Group) -> Iterator[None]:
    """A block that fails in every process when it fails in one.

    Each process comes to the end of the block, whatever it does inside; no calls of the group are
    made in it. A process whose own work went well raises `RunError` with the words of the one that
    failed.
    """
    own: Exception | None = None
    try:
        yield
    except Exception as error:
        own = error
    told = group.gather(None if own is None else str(own) or type(own).__name__)
    first = group.broadcast(next((text for text in told or [] if text is not None), None))
    if own is not None:
        raise own
    if first is not None:
        raise RunError(first)
