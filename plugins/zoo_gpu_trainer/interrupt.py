"""Signals as a request to stop at the next step, with everything saved."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType

from zoo_core.interfaces.reporter import Reporter

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

#: A terminal and a launcher may both pass the same Ctrl-C on; only a later one means "at once".
_ECHO = 1.0


class StopRequest:
    """A context in which a signal sets `requested`.

    Before `stepping` is set there is nothing to save, so the first signal interrupts at once, as a
    second Ctrl-C does later.
    """

    def __init__(self, reporter: Reporter) -> None:
        self.requested = False
        self.stepping = False
        self._at = 0.0
        self._reporter = reporter
        self._previous: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        # Python allows handlers in the main thread only; elsewhere signals keep their own meaning.
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def __call__(self) -> bool:
        return self.requested

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.stepping:
            raise KeyboardInterrupt
        if self.requested:
            if number == signal.SIGINT and now - self._at > _ECHO:
                raise KeyboardInterrupt
            return
        self.requested = True
        self._at = now
        self._reporter.say(
            "Stopping after this step, with a checkpoint. Press Ctrl-C again to stop at once."
        )
