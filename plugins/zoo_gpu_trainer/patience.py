"""A log that waits for a full disk to be cleared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from zoo_core.errors import RunError
from zoo_core.runs.logs import LogWriter


class PatientLog:
    """Keeps the rows that the disk refuses and writes them before the next one that it takes."""

    def __init__(self, log: LogWriter, say: Callable[[str], None]) -> None:
        self._log = log
        self._say = say
        self._waiting: list[Mapping[str, Any]] = []

    def append(self, row: Mapping[str, Any]) -> None:
        """Write a row now or later; the first refusal is told."""
        first = not self._waiting
        self._waiting.append(row)
        try:
            self._write()
        except RunError as error:
            if first:
                self._say(f"{error} Training goes on; the lines are kept and tried again.")

    def sync(self) -> bool:
        """Put all rows on the disk; whether that went well."""
        try:
            self._write()
            self._log.sync()
        except RunError:
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._write()
        finally:
            self._log.close()

    def _write(self) -> None:
        while self._waiting:
            self._log.append(self._waiting[0])
            self._waiting.pop(0)
