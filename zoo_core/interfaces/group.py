"""The processes that work on one run together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeVar, final

T = TypeVar("T")


class Group(ABC):
    """The processes of a run, in lockstep: every one makes the same calls in the same order.

    rank: this process's number, from 0. size: how many there are. The one of rank 0 leads: it alone
    writes to the run folder and talks to the user.
    """

    rank: int
    size: int

    @property
    def leads(self) -> bool:
        """Whether this is the process of rank 0."""
        return self.rank == 0

    @abstractmethod
    def gather(self, value: T) -> list[T] | None:
        """Every process's value by rank, for the leader; None for the others."""

    @abstractmethod
    def broadcast(self, value: Any) -> Any:
        """The leader's value, for all."""

    @abstractmethod
    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any of the processes, for all."""

    @abstractmethod
    def barrier(self) -> None:
        """Wait until every process is here."""


@final
class Alone(Group):
    """A process that works by itself."""

    rank = 0
    size = 1

    def gather(self, value: T) -> list[T] | None:
        return [value]

    def broadcast(self, value: Any) -> Any:
        return value

    def any(self, flag: bool) -> bool:
        return flag

    def barrier(self) -> None:
        return None
