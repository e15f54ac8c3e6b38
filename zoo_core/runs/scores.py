"""Scores that come after training: whose weights they are of, and a line for each that hides no other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo_core.errors import RunError
from zoo_core.runs.checkpoints import MANIFEST, published
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.logs import LogWriter, read_log

BY = "by"
"""Key of the lines of ``scores.jsonl`` that training did not write: the command that did."""


def weights_hash(run: RunFolder, step: int, group: str = "backbone") -> str | None:
    """The first 16 digits of the SHA-256 of a published checkpoint's weights; None without one.

    group: ``backbone`` for the weights of training, ``ema`` for their average. Read from the manifest;
    the weights themselves are not looked at. Raises `RunError` when the manifest cannot be read.
    """
    path = dict(published(run)).get(step)
    if path is None:
        return None
    try:
        files = json.loads((path / MANIFEST).read_bytes())["files"]
        entry = files.get(f"{group}.safetensors")
        return None if entry is None else str(entry["sha256"])[:16]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path / MANIFEST}: cannot be read ({error}).") from None


def attempt_of(run: RunFolder, step: int) -> int:
    """The attempt under which a later score of the checkpoint of `step` is written down.

    That is the last attempt with a score up to the step, which is the one that counts there
    (`zoo_core.runs.logs.last_attempt`): a line of a later one would hide scores of training from this
    step on, a line of an earlier one would be hidden. Before the first score it is the first attempt.
    """
    rows = run.read_log("scores").rows
    before = [row["attempt"] for row in rows if row["step"] <= step]
    return max(before) if before else min((row["attempt"] for row in rows), default=1)


def record(path: Path, rows: Sequence[Mapping[str, Any]], by: str) -> int:
    """Append scores of checkpoints to a ``scores.jsonl``, those not there yet; returns how many.

    rows: with ``attempt``, ``step``, ``metric``, ``value``, ``protocol`` and ``weights_hash``. by: the
    command, told in every line. The caller holds the run's lock. Raises `RunError`.
    """
    known = {_identity(row) for row in read_log(path).rows}
    added = 0
    for row in rows:
        if _identity(row) in known:
            continue
        known.add(_identity(row))
        with LogWriter(path, row["attempt"]) as log:
            log.append({BY: by, **row})
        added += 1
    return added


def _identity(row: Mapping[str, Any]) -> tuple[Any, ...]:
    keys = ("attempt", "step", "metric", "protocol", "weights_hash", "value")
    return tuple(row.get(key) for key in keys)
