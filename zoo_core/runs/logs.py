"""Append-only JSON lines that survive crashes, full disks and restarts.

Every line is an object with ``attempt`` (1 for the first start of a run, one more after each restart)
and ``time`` (seconds since 1970). Lines of the training and score logs also have ``step``.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from zoo_core.errors import RunError
from zoo_core.runs.durable import cannot_write

Row = dict[str, Any]


@dataclass(frozen=True)
class Log:
    """The rows of a log in the order written.

    torn: None, or a sentence on the unfinished last line, which is left out of `rows`.
    """

    rows: list[Row]
    torn: str | None = None


def read_log(path: Path) -> Log:
    """Read a log, which may be in use; a missing one has no rows.

    A last line cut off by a crash is left out and reported in ``Log.torn``. Raises `RunError` with
    file and line for anything else that is not a row.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Log([])
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({(error.strerror or '').lower()}).") from None
    lines = data.split(b"\n")
    unfinished = lines[-1] != b""
    if not unfinished:
        lines.pop()
    rows: list[Row] = []
    for number, line in enumerate(lines, start=1):
        row, complaint = _parse(line)
        if complaint is None:
            rows.append(row)
        elif unfinished and number == len(lines):
            return Log(rows, f"{path}:{number}: the last line is unfinished and was left out.")
        else:
            raise RunError(
                f"{path}:{number}: {complaint}; expected one JSON object a line. Remove or mend the "
                "line, keeping a copy of the file."
            )
    return Log(rows)


def _parse(line: bytes) -> tuple[Row, str | None]:
    """The row of a line, and what is wrong with it."""
    try:
        row = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return {}, f"not JSON ({error})"
    if not isinstance(row, dict):
        return {}, "not a JSON object"
    attempt = row.get("attempt")
    if not isinstance(attempt, int) or isinstance(attempt, bool) or attempt < 1:
        return {}, '"attempt" is not a whole number from 1'
    return row, None


def last_attempt(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows that count: of every step those of the last attempt that came to it.

    A restart goes back to a checkpoint, so rows of earlier attempts from the first step of a later
    one on are superseded. Ordered by step, rows of a step as they were written. Every row has
    ``attempt`` and ``step``.
    """
    known = list(rows)
    first: dict[int, int] = {}
    for row in known:
        first[row["attempt"]] = min(row["step"], first.get(row["attempt"], row["step"]))
    end: dict[int, float] = {}
    reached = float("inf")
    for attempt in sorted(first, reverse=True):
        end[attempt] = reached
        reached = min(reached, first[attempt])
    valid = [row for row in known if row["step"] < end[row["attempt"]]]
    return sorted(valid, key=lambda row: row["step"])


class LogWriter:
    """Appends rows, each in one write that reaches the operating system before `append` returns.

    A log whose last line was cut off by a crash is mended on opening: an unfinished line is removed,
    a whole one without its line end gets it. Usable as a context manager.
    """

    def __init__(self, path: Path, attempt: int) -> None:
        assert attempt >= 1, f"attempts count from 1, not {attempt}"
        self.path = path
        self.attempt = attempt
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise RunError(cannot_write(path, error)) from None
        try:
            self._mend()
        except BaseException:
            os.close(self._descriptor)
            raise

    def append(self, row: Mapping[str, Any]) -> None:
        """Write a row, with ``attempt`` and ``time`` added.

        Raises `RunError` when the disk is full or the file cannot be written, leaving the log as it
        was, so that the row can be tried again; and for numbers that JSON does not have.
        """
        complete = {"attempt": self.attempt, "time": round(time.time(), 3), **row}
        try:
            text = json.dumps(complete, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
        except ValueError:
            raise RunError(
                f"{self.path}: only finite numbers can be logged, not {row!r}."
            ) from None
        self._write(text.encode() + b"\n")

    def sync(self) -> None:
        """Put what was appended on the disk itself. Raises `RunError`."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise RunError(cannot_write(self.path, error)) from None

    def close(self) -> None:
        """Close the file; the writer is done."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, data: bytes) -> None:
        before = os.fstat(self._descriptor).st_size
        written = 0
        try:
            while written < len(data):  # a full disk may take part of a line before it refuses
                written += os.write(self._descriptor, data[written:])
        except OSError as error:
            if written:
                os.ftruncate(self._descriptor, before)
            raise RunError(cannot_write(self.path, error)) from None

    def _mend(self) -> None:
        size = os.fstat(self._descriptor).st_size
        start = _last_line_start(self._descriptor, size)
        tail = os.pread(self._descriptor, size - start, start)
        if not tail:
            return
        if _parse(tail)[1] is None:
            self._write(b"\n")
        else:
            os.ftruncate(self._descriptor, start)


def _last_line_start(descriptor: int, size: int) -> int:
    """Where the last line of a file of `size` bytes begins; at `size` when all lines are ended."""
    block = 1 << 16
    stop = size
    while stop > 0:
        start = max(0, stop - block)
        place = os.pread(descriptor, stop - start, start).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        stop = start
    return 0
