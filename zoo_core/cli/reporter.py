"""Progress of long work on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from zoo_core.cli.output import say
from zoo_core.cli.quantities import duration
from zoo_core.interfaces.reporter import Progress, Reporter

SECONDS_BETWEEN_LINES = 15.0


def terminal_reporter() -> Reporter:
    """A reporter that fits stderr."""
    return TerminalReporter() if sys.stderr.isatty() else LineReporter()


class _Pace:
    """Units done since the work began here, and what follows: rate and time left."""

    def __init__(self, total: int, done: int, clock: Callable[[], float]) -> None:
        self.total = total
        self.before = done
        self.done = done
        self._clock = clock
        self._began = clock()

    @property
    def rate(self) -> float | None:
        """Units a second, of those done in this call; None before the first."""
        passed = self._clock() - self._began
        fresh = self.done - self.before
        return fresh / passed if fresh > 0 and passed > 0 else None

    def words(self, unit: str) -> str:
        """``3.2 images/s, 2 min 10 s left``; empty while nothing is known."""
        rate = self.rate
        if rate is None:
            return ""
        pace = f"{rate:.{0 if rate >= 100 else 1 if rate >= 10 else 2}f} {unit or 'units'}/s"
        left = max(0, self.total - self.done) / rate
        return f"{pace}, {duration(left)} left" if left else pace


class LineReporter(Reporter):
    """Sentences and progress as lines, for logs: the first, the last, and one every now and then."""

    def __init__(
        self,
        every: float = SECONDS_BETWEEN_LINES,
        clock: Callable[[], float] = time.monotonic,
        write: Callable[[str], None] = say,
    ) -> None:
        self._every = every
        self._clock = clock
        self._write = write

    def say(self, text: str) -> None:
        self._write(text)

    @contextmanager
    def progress(self, label: str, total: int, unit: str = "", done: int = 0) -> Iterator[Progress]:
        progress = _Lines(label, unit, _Pace(total, done, self._clock), self)
        try:
            yield progress
        finally:
            progress.close()

    def _due(self, last: float | None) -> bool:
        return last is None or self._clock() - last >= self._every


class _Lines(Progress):
    def __init__(self, label: str, unit: str, pace: _Pace, reporter: LineReporter) -> None:
        self._label = label
        self._unit = unit
        self._pace = pace
        self._reporter = reporter
        self._last: float | None = None
        self._shown: int | None = None
        self._note = ""

    def advance(self, count: int = 1, note: str = "") -> None:
        self._pace.done += count
        self._note = note or self._note
        if self._reporter._due(self._last):
            self._line()

    def close(self) -> None:
        """The last line, unless it would repeat the one before."""
        if self._pace.done > self._pace.before and self._shown != self._pace.done:
            self._line()

    def _line(self) -> None:
        pace = self._pace
        share = f" ({100 * pace.done // pace.total} %)" if pace.total else ""
        units = f" {self._unit}" if self._unit else ""
        parts = [f"{pace.done}/{pace.total}{units}{share}", pace.words(self._unit), self._note]
        self._reporter.say(f"{self._label}: {', '.join(part for part in parts if part)}")
        self._last = self._reporter._clock()
        self._shown = pace.done


class TerminalReporter(Reporter):
    """A bar for each piece of work; sentences appear above the bars."""

    def __init__(self, console: Any = None) -> None:
        from rich.console import Console

        self._console = console or Console(stderr=True, markup=False, highlight=False)
        self._display: Any = None

    def say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    @contextmanager
    def progress(self, label: str, total: int, unit: str = "", done: int = 0) -> Iterator[Progress]:
        # A terminal can hold one live display, so work inside work adds a bar to the one that is there.
        outermost = self._display is None
        if outermost:
            self._display = _new_display(self._console)
            self._display.start()
        pace = _Pace(total, done, time.monotonic)
        task = self._display.add_task(label, total=total, completed=done, pace="", note="")
        progress = _Bar(self._display, task, unit, pace)
        try:
            yield progress
        finally:
            if outermost:
                display, self._display = self._display, None
                display.stop()
            else:
                self._display.remove_task(task)


def _new_display(console: Any) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bars

    def text(field: str) -> TextColumn:
        return TextColumn(f"{{task.{field}}}", markup=False)

    return Bars(
        text("description"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        text("fields[pace]"),
        text("fields[note]"),
        console=console,
    )


class _Bar(Progress):
    def __init__(self, display: Any, task: Any, unit: str, pace: _Pace) -> None:
        self._display = display
        self._task = task
        self._unit = unit
        self._pace = pace
        self._note = ""

    def advance(self, count: int = 1, note: str = "") -> None:
        self._pace.done += count
        self._note = note or self._note
        self._display.update(
            self._task,
            completed=self._pace.done,
            pace=self._pace.words(self._unit),
            note=self._note,
        )
