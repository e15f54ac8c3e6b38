"""TOML files with errors that name the file, the line and the column."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from zoo_core.errors import ConfigError


def load_toml(path: Path) -> dict[str, Any]:
    """The file as a table. Raises `ConfigError` with file, line and column when it does not parse."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise ConfigError(f"{path}: cannot be read ({reason.lower()}).") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: not UTF-8 text (byte {error.start}); TOML must be UTF-8."
        ) from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"\(at (?:line (\d+), column (\d+)|end of document)\)", str(error))
        what = re.sub(r"\s*\(at .*\)$", "", str(error))
        if where and where[1]:
            raise ConfigError(f"{path}:{where[1]}:{where[2]}: not valid TOML: {what}.") from None
        last = text.count("\n") + 1
        raise ConfigError(
            f"{path}:{last}: not valid TOML: {what} at the end of the file."
        ) from None


def key_line(path: Path, dotted: str) -> int | None:
    """The line (from 1) on which a dotted key or its table stands in a TOML file, for messages.

    ``tomllib`` keeps no positions, so the headers and keys are scanned again; quoted key parts are
    understood, keys inside inline tables are found at the line of the table that holds them.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    wanted = tuple(dotted.split("."))
    header: tuple[str, ...] = ()
    best: tuple[int, int] | None = None
    for number, line in enumerate(lines, start=1):
        stripped = line.strip()
        if match := re.match(r"\[\[?([^\[\]]+)\]\]?\s*(#.*)?$", stripped):
            header = _parts(match[1])
            here = header
        elif match := re.match(
            r"((?:[A-Za-z0-9_.\-]+|\"[^\"]*\"|'[^']*'|\s*\.\s*)+?)\s*=", stripped
        ):
            here = header + _parts(match[1])
        else:
            continue
        if wanted[: len(here)] == here and (best is None or len(here) > best[0]):
            best = (len(here), number)
    return best[1] if best else None


def _parts(text: str) -> tuple[str, ...]:
    found = re.findall(r"\"([^\"]*)\"|'([^']*)'|([A-Za-z0-9_\-]+)", text)
    return tuple(double or single or bare for double, single, bare in found)
