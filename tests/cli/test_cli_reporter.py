"""Progress: lines now and then in a log, a bar on a terminal; rate and time left from this call alone."""

from __future__ import annotations

import io
import re

import pytest

from zoo_core.cli.quantities import count, duration, relative, scaled
from zoo_core.cli.reporter import LineReporter, TerminalReporter, terminal_reporter


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def log(clock):
    """A line reporter with a clock of its own, and what it wrote."""
    written: list[str] = []
    return LineReporter(every=15, clock=clock, write=written.append), written


def test_lines_first_now_and_then_and_last(log, clock):
    reporter, written = log
    with reporter.progress("training", 1000, "images") as progress:
        for _ in range(100):
            clock.now += 1
            progress.advance(10, "loss 0.5")
    assert len(written) == 1 + 99 // 15 + 1
    assert written[0] == "training: 10/1000 images (1 %), 10.0 images/s, 1 min 39 s left, loss 0.5"
    assert written[-1] == "training: 1000/1000 images (100 %), 10.0 images/s, loss 0.5"


def test_last_line_is_not_repeated(log, clock):
    reporter, written = log
    with reporter.progress("drawing", 2, "images") as progress:
        clock.now += 1
        progress.advance(2)
    assert written == ["drawing: 2/2 images (100 %), 2.00 images/s"]


def test_what_was_done_before_counts_for_the_share_but_not_for_the_rate(log, clock):
    reporter, written = log
    with reporter.progress("training", 100, "images", done=90) as progress:
        clock.now += 5
        progress.advance(1)
    assert written == ["training: 91/100 images (91 %), 0.20 images/s, 45 s left"]


def test_work_that_fails_shows_how_far_it_came(log, clock):
    reporter, written = log

    def fail():
        with reporter.progress("drawing", 10, "images") as progress:
            clock.now += 1
            progress.advance()
            clock.now += 1
            progress.advance()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert written[-1].startswith("drawing: 2/10 images (20 %)")


def test_nothing_done_nothing_said(log):
    reporter, written = log
    with reporter.progress("training", 0, "images", done=0):
        pass
    assert written == []
    reporter.say("a sentence")
    assert written == ["a sentence"]


def test_bar_on_a_terminal_with_work_inside_work():
    from rich.console import Console

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120, markup=False, highlight=False)
    reporter = TerminalReporter(console)
    with reporter.progress("training", 10, "images") as outer:
        outer.advance(4, "loss [0.5]")
        reporter.say("milestone [4]")
        with reporter.progress("scoring", 3, "images") as inner:
            inner.advance(3)
        outer.advance(6)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert "milestone [4]" in text
    assert "scoring" in text
    assert "10/10" in text
    assert "images/s" in text
    assert "loss [0.5]" in text
    with reporter.progress("again", 1) as progress:  # a display can be had again afterwards
        progress.advance()


def test_reporter_fits_stderr(monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert isinstance(terminal_reporter(), LineReporter)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (scaled(1.32e9, "B"), "1.32 GB"),
        (scaled(143.02e9, "MACs"), "143 GMACs"),
        (scaled(12, "B"), "12 B"),
        (scaled(2.5e21, "FLOPs"), "2500 EFLOPs"),
        (count(1_320_000_000), "1.32 B"),
        (count(57_600), "57.6 K"),
        (count(999), "999"),
        (duration(59.6), "1 min 00 s"),
        (duration(3), "3 s"),
        (duration(7505), "2 h 05 min"),
        (relative(101, 100), "+1.0 %"),
        (relative(1, 0), "-"),
    ],
)
def test_quantities(shown, expected):
    assert shown == expected
