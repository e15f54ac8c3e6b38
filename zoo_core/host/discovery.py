"""Finding plugins: the entry points of installed distributions.

`importlib.metadata` answers the same question, but importing it and parsing whole METADATA files takes
longer than everything else that listing names does. So folders on `sys.path`, which is where nearly all
distributions are, are read here directly; anything else (zip files, eggs, finders of their own) is left
to `importlib.metadata`.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib import metadata

_SUFFIXES = (".dist-info", ".egg-info")


class PluginPoint:
    """An entry point: a name, ``module`` or ``module:attribute``, and the distribution it came with."""

    def __init__(self, name: str, value: str, distribution: str = "?", version: str = "?") -> None:
        self.name = name
        self.value = value
        self.distribution = distribution
        self.version = version

    @classmethod
    def of(cls, point: metadata.EntryPoint) -> PluginPoint:
        """The same entry point as `importlib.metadata` gives it."""
        dist = point.dist
        if dist is None:
            return cls(point.name, point.value)
        return cls(point.name, point.value, dist.name, dist.version)

    def load(self) -> Any:
        """Import the module and take the attribute. Raises whatever the import raises."""
        module, _, attribute = self.value.partition("[")[0].partition(":")  # [...] names extras
        loaded = importlib.import_module(module.strip())
        for part in filter(None, attribute.strip().split(".")):
            loaded = getattr(loaded, part)
        return loaded


def find_plugin_points(group: str) -> list[PluginPoint]:
    """Every entry point of a group, in the order of `sys.path`."""
    if _only_folders():
        return list(_in_folders(group))
    from importlib import metadata

    return [PluginPoint.of(point) for point in metadata.entry_points(group=group)]


def _only_folders() -> bool:
    """Whether all distributions that can be found are in folders on `sys.path`."""
    standard = ("PathFinder", "MetadataPathFinder")
    for finder in sys.meta_path:
        name = getattr(finder, "__name__", type(finder).__name__)
        if hasattr(finder, "find_distributions") and name not in standard:
            return False
    return not any(path.endswith(".egg") or Path(path).is_file() for path in sys.path)


def _in_folders(group: str) -> Iterator[PluginPoint]:
    seen: set[str] = set()
    for folder in sys.path:
        try:
            with os.scandir(folder or ".") as listing:
                infos = sorted(e.name for e in listing if e.name.endswith(_SUFFIXES))
        except OSError:  # paths that do not exist are normal on sys.path
            continue
        for info in infos:
            # The first distribution of a name on the path hides later ones, as it does for imports.
            identity = re.sub(r"[-_.]+", "-", info.rpartition(".")[0].partition("-")[0]).lower()
            if identity in seen:
                continue
            seen.add(identity)
            yield from _of_distribution(Path(folder, info), group)


def _of_distribution(info: Path, group: str) -> Iterator[PluginPoint]:
    text = _read(info / "entry_points.txt")
    if text is None or f"[{group}]" not in text:
        return
    name, version = _name_and_version(info)
    section = None
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif section == group and line and not line.startswith(("#", ";")) and "=" in line:
            key, _, value = line.partition("=")
            yield PluginPoint(key.strip(), value.strip(), name, version)


def _name_and_version(info: Path) -> tuple[str, str]:
    """From the headers of METADATA, which end at the first empty line."""
    headers: dict[str, str] = {}
    text = _read(info / "METADATA") or _read(info / "PKG-INFO") or ""
    for line in text.split("\n\n", 1)[0].splitlines():
        key, colon, value = line.partition(":")
        if colon and not line.startswith((" ", "\t")):
            headers.setdefault(key.strip().lower(), value.strip())
    return headers.get("name", "?"), headers.get("version", "?")


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # most distributions have no entry points
        return None
