"""Rows of a metric as Parquet, so that they come back exactly as they were."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]

_ABOUT = b"zoo"
_ARRAY = {b"zoo": b"array"}


def encode(rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any], metric: str) -> bytes:
    """The content of a Parquet file with the rows, and `about` (plain values) in its metadata.

    rows: all with the same keys; values are numbers, strings, booleans, None, lists and dictionaries
    of these, or one-dimensional numpy arrays. A dictionary has the same keys in every row. Breaking
    this is a fault of the metric and an `AssertionError` that names it.
    """
    keys = list(rows[0]) if rows else []
    for row in rows:
        assert set(row) == set(keys), f"{metric}: rows have the keys {keys} and {list(row)}"
    columns = [[row[key] for row in rows] for key in keys]
    try:
        arrays = [_column(values) for values in columns]
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise AssertionError(f"{metric}: rows that Parquet cannot hold: {error}") from error
    fields = [
        pa.field(key, array.type, metadata=_ARRAY if _is_array(values) else None)
        for key, array, values in zip(keys, arrays, columns, strict=True)
    ]
    schema = pa.schema(fields, metadata={_ABOUT: json.dumps(about).encode()})
    table = pa.Table.from_arrays(arrays, schema=schema)
    sink = pa.BufferOutputStream()
    try:
        pq.write_table(table, sink, compression="zstd")
    except pa.ArrowException as error:
        raise AssertionError(f"{metric}: rows that Parquet cannot hold: {error}") from error
    data = sink.getvalue().to_pybytes()
    for kept, row in zip(decode(data)[0], rows, strict=True):
        assert _same(kept, row), f"{metric}: a row is not kept as it is: {row!r} became {kept!r}"
    return data


def decode(data: bytes) -> tuple[list[Row], dict[str, Any]]:
    """Rows and `about` of a file's content. Raises `ValueError` when it is damaged."""
    try:
        table = pq.read_table(pa.BufferReader(data))
        about = json.loads(table.schema.metadata[_ABOUT])
    except (pa.ArrowException, KeyError, TypeError, OSError) as error:
        raise ValueError(f"not a table of rows: {error}") from None
    columns = {
        field.name: _values(table.column(field.name), field.metadata == _ARRAY)
        for field in table.schema
    }
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    return rows, about


def _column(values: Sequence[Any]) -> pa.Array:
    if not _is_array(values):
        return pa.array(values)
    if not all(isinstance(value, np.ndarray) and value.ndim == 1 for value in values):
        raise ValueError("arrays have one dimension, and a column of arrays nothing else")
    offsets = np.concatenate([[0], np.cumsum([value.size for value in values])]).astype(np.int64)
    flat = np.concatenate(values)
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(flat))


def _is_array(values: Sequence[Any]) -> bool:
    return bool(values) and isinstance(values[0], np.ndarray)


def _values(column: pa.ChunkedArray, as_array: bool) -> list[Any]:
    if not as_array:
        return column.to_pylist()
    found: list[Any] = []
    for part in column.chunks:
        flat, offsets = part.values.to_numpy(), part.offsets.to_numpy()
        found += [flat[a:b] for a, b in pairwise(offsets)]
    return found


def _same(kept: Any, given: Any) -> bool:
    """Equal, with NaN equal to itself and a tuple to its list."""
    if isinstance(given, np.ndarray):
        return isinstance(kept, np.ndarray) and kept.dtype == given.dtype and _equal(kept, given)
    if isinstance(given, Mapping):
        return (
            kept is not None
            and kept.keys() == given.keys()
            and all(_same(kept[key], given[key]) for key in given)
        )
    if isinstance(given, (list, tuple)):
        return (
            isinstance(kept, list)
            and len(kept) == len(given)
            and all(_same(a, b) for a, b in zip(kept, given, strict=True))
        )
    return bool(kept == given) or (given != given and kept != kept)


def _equal(kept: np.ndarray, given: np.ndarray) -> bool:
    return np.array_equal(kept, given, equal_nan=given.dtype.kind == "f")
