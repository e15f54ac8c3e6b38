"""Ordering and matching of names as people expect."""

from __future__ import annotations

import re
from collections.abc import Iterable


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which ``td4`` comes before ``td12``."""
    parts = re.findall(r"\d+|\D+", name.lower())
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def matching(names: Iterable[str], pattern: str | None) -> list[str]:
    """Names that match a wildcard pattern (``sdxl-td*``), in natural order.

    A pattern without wildcards matches names that contain it. Case does not matter.
    """
    chosen = list(names)
    if pattern:
        import fnmatch

        wild = any(mark in pattern for mark in "*?[")
        shape = pattern.lower() if wild else f"*{pattern.lower()}*"
        chosen = [name for name in chosen if fnmatch.fnmatchcase(name.lower(), shape)]
    return sorted(chosen, key=natural_key)
