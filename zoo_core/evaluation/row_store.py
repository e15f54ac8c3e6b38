"""A metric's results of each image on the disk, so that no image is scored twice.

In the folder of an evaluation::

    parts/KEY.parquet              rows of one chunk, while the evaluation is not finished
    tables/METRIC-PROTOCOL.parquet rows of all prompts, with their texts; the parts are gone then

The key of a chunk covers all that its rows depend on: the metric with its protocol, the prompts with
their questions, and the images.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_core.evaluation.image_store import Chunk
from zoo_core.evaluation.prompt_images import PromptImages
from zoo_core.evaluation.rows import Row, decode, encode
from zoo_core.interfaces.metric import Metric
from zoo_core.runs.durable import discard, write_atomic

PARTS = "parts"
TABLES = "tables"

_OWN_COLUMNS = ("chunk", "text")


@dataclass(frozen=True)
class Part:
    """The rows of one chunk, and the versions of what scored them."""

    rows: list[Row]
    libraries: Mapping[str, str]


def metric_identity(metric: Metric) -> str:
    """The metric and its protocol as text."""
    return json.dumps([metric.name, metric.protocol()], sort_keys=True)


def row_key(identity: str, chunk: Chunk, images: PromptImages) -> str:
    """A digest of all that the rows of a chunk depend on, library versions aside.

    identity: of the metric, see `metric_identity`.
    """
    total = hashlib.blake2b(identity.encode(), digest_size=16)
    for prompt in chunk:
        total.update(repr((prompt, images.digest(prompt))).encode())
    return total.hexdigest()


class RowStore:
    """The rows of one evaluation. One process writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, metric: str, keys: Iterable[str]) -> dict[str, Part]:
        """The parts that are there, by key. A damaged file counts as if it were not there."""
        wanted = set(keys)
        found = self._in_tables(metric, wanted)
        for key in wanted - found.keys():
            content = _read(self._part(key))
            if content is not None:
                rows, about = content
                found[key] = Part(rows, about["libraries"])
        return found

    def add(
        self,
        metric: str,
        key: str,
        rows: Sequence[Mapping[str, Any]],
        libraries: Mapping[str, str],
    ) -> Part:
        """Keep the rows of a chunk; returns them as they will be read. Raises `RunError`."""
        reserved = [name for row in rows[:1] for name in _OWN_COLUMNS if name in row]
        assert not reserved, f"{metric}: the column names {_OWN_COLUMNS} are taken"
        about = {"metric": metric, "libraries": dict(libraries)}
        data = encode(rows, about, metric)
        write_atomic(self._part(key), data)
        return Part(decode(data)[0], libraries)

    def finish(
        self, metric: str, name: str, parts: Mapping[str, Part], texts: Mapping[str, str]
    ) -> tuple[Path, list[Row]]:
        """Put all parts into one table and remove them; returns its path and all rows.

        name: tells tables of one metric under several protocols apart. texts: of prompts, by id.
        """
        rows = [
            {"chunk": key, **row, "text": texts[row["prompt"]]}
            for key, part in parts.items()
            for row in part.rows
        ]
        about = {
            "metric": metric,
            "chunks": list(parts),
            "libraries": merge_versions(part.libraries for part in parts.values()),
        }
        data = encode(rows, about, metric)
        path = self.folder / TABLES / f"{slug(metric)}-{name}.parquet"
        write_atomic(path, data)
        for key in parts:
            discard(self._part(key))
        folder = self.folder / PARTS
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        return path, [_without_own(row) for row in decode(data)[0]]

    def _part(self, key: str) -> Path:
        return self.folder / PARTS / f"{key}.parquet"

    def _in_tables(self, metric: str, wanted: set[str]) -> dict[str, Part]:
        found: dict[str, Part] = {}
        for path in sorted((self.folder / TABLES).glob(f"{slug(metric)}-*.parquet")):
            content = _read(path)
            if content is None or content[1]["metric"] != metric:
                continue
            rows, about = content
            inside: dict[str, list[Row]] = {key: [] for key in about["chunks"] if key in wanted}
            for row in rows:
                if row["chunk"] in inside:
                    inside[row["chunk"]].append(_without_own(row))
            found |= {key: Part(kept, about["libraries"]) for key, kept in inside.items()}
        return found


def slug(metric: str) -> str:
    """A metric's name as part of a file name."""
    return re.sub(r"[^a-z0-9.]+", "-", metric.lower()).strip("-")


def merge_versions(all_versions: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Versions by library; where work was done under several, all of them in one string."""
    merged: dict[str, set[str]] = {}
    for versions in all_versions:
        for library, version in versions.items():
            merged.setdefault(library, set()).update(version.split(" and "))
    return {library: " and ".join(sorted(found)) for library, found in sorted(merged.items())}


def _read(path: Path) -> tuple[list[Row], dict[str, Any]] | None:
    try:
        return decode(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _without_own(row: Mapping[str, Any]) -> Row:
    return {key: value for key, value in row.items() if key not in _OWN_COLUMNS}
