"""Mean and covariance of features that come a few at a time, in double precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FeatureStatistics:
    """What a Gaussian's distance to another one is computed from.

    count: the number N of samples, at least 2. mean: float64 [D]. Up to as many samples as dimensions
    `centred` has the samples less their mean, float64 [N, D], and `covariance` is None; with more
    samples it is the other way round, the covariance being float64 [D, D] with N - 1 in the denominator.
    """

    count: int
    mean: Array
    centred: Array | None = None
    covariance: Array | None = None

    def __post_init__(self) -> None:
        assert (self.centred is None) != (self.covariance is None), "one of the two forms"

    @property
    def dimensions(self) -> int:
        """The number D of features."""
        return self.mean.size

    @property
    def variance(self) -> float:
        """The trace of the covariance."""
        if self.covariance is not None:
            return float(np.trace(self.covariance))
        assert self.centred is not None
        return float(np.sum(self.centred**2)) / (self.count - 1)

    def arrays(self) -> dict[str, Array]:
        """Plain arrays for a file; `from_arrays` is the inverse."""
        form = {"centred": self.centred, "covariance": self.covariance}
        kept = {name: value for name, value in form.items() if value is not None}
        return {"count": np.array(float(self.count)), "mean": self.mean, **kept}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> FeatureStatistics:
        """Statistics from a file's arrays. Raises `ValueError` when they do not fit together."""
        count, mean = int(arrays["count"]), arrays["mean"]
        centred, covariance = arrays.get("centred"), arrays.get("covariance")
        form, expected = (centred, (count, mean.size))
        if covariance is not None:
            form, expected = (covariance, (mean.size, mean.size))
        if form is None or mean.ndim != 1 or form.shape != expected or count < 2:
            raise ValueError("these arrays are no feature statistics")
        return cls(count, mean, None if covariance is not None else centred, covariance)


@final
class StreamingStatistics:
    """Collects features in any portions; memory is two matrices of D x D, however many there are.

    Rows wait until there are D of them and are then folded in as one block, by the pairwise update of
    Chan, Golub and LeVeque (1979). Blocks do not depend on the portions, so the same rows in the same
    order give the same bits. Scatter is taken about the block's own mean: a large common offset of the
    features costs no digits, as it would in a sum of squares.
    """

    def __init__(self, dimensions: int) -> None:
        assert dimensions > 0, "features have at least one dimension"
        self.dimensions = dimensions
        self._waiting: list[Array] = []
        self._rows_waiting = 0
        self._count = 0
        self._mean = np.zeros(dimensions)
        self._scatter: Array | None = None

    def __len__(self) -> int:
        return self._count + self._rows_waiting

    def add(self, features: ArrayLike) -> None:
        """Take features [N, D] of any float dtype; they are summed up as float64."""
        rows = np.array(features, dtype=np.float64)
        assert rows.shape[1:] == (self.dimensions,), f"features are {rows.shape}"
        while rows.size:
            head = rows[: self.dimensions - self._rows_waiting]
            rows = rows[len(head) :]
            self._waiting.append(head)
            self._rows_waiting += len(head)
            if rows.size:  # the block is full and more comes: up to D rows are kept as they are
                self._fold()

    def merge(self, other: StreamingStatistics) -> None:
        """Take over all that another one has collected, exact up to rounding; it is unchanged."""
        assert other.dimensions == self.dimensions, "features of one kind"
        if other._scatter is not None:
            self._fold()
            self._combine(other._count, other._mean, other._scatter)
        for rows in other._waiting:
            self.add(rows)

    def result(self) -> FeatureStatistics:
        """The statistics so far. Raises `ValueError` with fewer than two samples."""
        if len(self) < 2:
            raise ValueError(f"a covariance needs at least 2 samples, not {len(self)}")
        if self._scatter is None:
            rows = np.concatenate(self._waiting)
            mean = rows.mean(axis=0)
            return FeatureStatistics(len(rows), mean, centred=rows - mean)
        self._fold()
        return FeatureStatistics(
            self._count, self._mean.copy(), covariance=self._scatter / (self._count - 1)
        )

    def _fold(self) -> None:
        if not self._waiting:
            return
        rows = np.concatenate(self._waiting)
        self._waiting, self._rows_waiting = [], 0
        mean = rows.mean(axis=0)
        rows -= mean
        self._combine(len(rows), mean, rows.T @ rows)

    def _combine(self, count: int, mean: Array, scatter: Array) -> None:
        if self._scatter is None:
            self._count, self._mean, self._scatter = count, mean.copy(), scatter.copy()
            return
        total = self._count + count
        step = mean - self._mean
        self._scatter += scatter
        self._scatter += np.outer(step, step * (self._count * count / total))
        self._mean = self._mean + step * (count / total)
        self._count = total
