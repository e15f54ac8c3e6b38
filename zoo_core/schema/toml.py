"""TOML files with errors that name the file, the line and the column."""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
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
        state = path.stat()
        lines = _key_lines(path, state.st_mtime_ns, state.st_size)
    except (OSError, UnicodeDecodeError):
        return None
    while dotted:
        if dotted in lines:
            return lines[dotted]
        dotted = dotted.rpartition(".")[0]
    return None


@lru_cache(maxsize=64)
def _key_lines(path: Path, modified: int, size: int) -> dict[str, int]:
    """The first line of every key and table header, and of tables that only others' headers name.

    `modified` and `size` tell when to read again.
    """
    quoted = r"\"[^\"]*\"|'[^']*'"
    header_line = re.compile(rf"\[\[?((?:{quoted}|[^\[\]\"'])+)\]\]?\s*(#.*)?$")
    key_line = re.compile(rf"((?:[A-Za-z0-9_.\-]+|{quoted}|\s*\.\s*)+?)\s*=")
    lines: dict[str, int] = {}
    implied: dict[str, int] = {}
    header: tuple[str, ...] = ()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        stripped = line.strip()
        if match := header_line.match(stripped):
            here = header = _parts(match[1])
        elif match := key_line.match(stripped):
            here = header + _parts(match[1])
        else:
            continue
        lines.setdefault(".".join(here), number)
        for length in range(1, len(here)):
            implied.setdefault(".".join(here[:length]), number)
    return {**implied, **lines}


def _parts(text: str) -> tuple[str, ...]:
    found = re.findall(r"\"([^\"]*)\"|'([^']*)'|([A-Za-z0-9_\-]+)", text)
    return tuple(double or single or bare for double, single, bare in found)
