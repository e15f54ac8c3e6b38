"""Numbers as people read them."""

from __future__ import annotations

_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def scaled(value: float, unit: str) -> str:
    """Three significant digits with an SI prefix: ``scaled(1.3e9, "B")`` is ``1.30 GB``."""
    for factor, prefix in _PREFIXES:
        if value >= factor:
            return f"{_three(value / factor)} {prefix}{unit}"
    return f"{value:g} {unit}"


def count(value: int) -> str:
    """A count with its billions, millions or thousands: ``1.32 B``."""
    for factor, word in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if value >= factor:
            return f"{_three(value / factor)} {word}"
    return str(value)


def relative(value: float, reference: float) -> str:
    """How far a value is from its reference, in percent with a sign."""
    return f"{100 * (value / reference - 1):+.1f} %" if reference else "-"


def duration(seconds: float) -> str:
    """A time in the two largest units that matter: ``2 h 05 min``, ``3 min 20 s``, ``12 s``."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    if whole >= 60:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole} s"


def _three(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
