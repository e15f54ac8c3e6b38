"""Where work that later runs can use again is kept, outside any run folder."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "ZOO_CACHE"


def cache_folder() -> Path:
    """``$ZOO_CACHE``, else ``zoo`` in the user's cache folder (``$XDG_CACHE_HOME`` or ``~/.cache``)."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "zoo"
