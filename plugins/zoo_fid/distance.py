"""The Frechet distance between two Gaussians, in double precision, without a matrix square root.

For Gaussians N(m, A) and N(n, B) it is |m - n|^2 + tr A + tr B - 2 tr (AB)^(1/2) (Dowson and Landau
1982; Heusel et al. 2017, section 3). Only the last trace is work. With roots R, S of the covariances,
A = R^T R and B = S^T S, it is the sum of the singular values of R S^T; and of up to D samples a root is
at hand, the centred samples themselves. With more samples than dimensions it is the sum of the square
roots of the eigenvalues of the symmetric-definite product AB. Both are cheaper than a square root of
the D x D product and do not suffer from its being singular.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_limits

from zoo_fid.statistics import Array, FeatureStatistics

#: The last bits of a matrix product depend on the number of threads, and two processes on a machine
#: often have other numbers of them than one; on many cores more threads are also slower here.
BLAS_THREADS = 1


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Linear algebra of numpy and scipy on `BLAS_THREADS`; what was set before comes back."""
    with threadpool_limits(limits=BLAS_THREADS, user_api="blas"):
        yield


@dataclass(frozen=True)
class Terms:
    """The distance and its two parts, each >= 0 but for rounding."""

    mean: float
    covariance: float

    @property
    def distance(self) -> float:
        return max(0.0, self.mean + self.covariance)


def frechet_distance(a: FeatureStatistics, b: FeatureStatistics) -> Terms:
    """The squared Frechet (2-Wasserstein) distance of the Gaussians with these moments."""
    assert a.dimensions == b.dimensions, "features of one kind"
    shift = a.mean - b.mean
    return Terms(float(shift @ shift), a.variance + b.variance - 2 * _trace_of_root(a, b))


def influence(blocks: Iterable[Array], own: FeatureStatistics, other: FeatureStatistics) -> Array:
    """How each sample of `own` pulls at the distance to `other`: float64 [N], of sum zero.

    blocks: the samples that `own` was made of, float64 [n, D] each, in order. To first order, giving
    sample i the weight (1 + e) / N changes the distance by e / N times its figure. So the figures'
    deviation over the root of N is the standard error of the distance over samples (the infinitesimal
    jackknife, Efron 1982, chapter 6), and distance plus figure is a value a sample that can be resampled.

    With A = R^T R of rows x_i / (N - 1)^(1/2), the derivative of tr (AB)^(1/2) by the weight of row i is
    half of the i-th diagonal entry of (R B R^T)^(1/2), which exists for any number of samples.
    """
    root = _root(other) / np.sqrt(own.count - 1)  # [rank of B, D]
    if own.centred is not None:
        left, values, _ = scipy.linalg.svd(
            own.centred @ root.T, full_matrices=False, check_finite=False
        )
        return _figures(own.centred, left**2 @ values, float(values.sum()), own, other)
    assert own.covariance is not None
    inner = root @ own.covariance @ root.T * (own.count - 1)
    squares, vectors = scipy.linalg.eigh(inner, check_finite=False, driver="evd")
    kept = squares > _negligible(squares)
    values = np.sqrt(squares[kept])
    turned = root.T @ vectors[:, kept] / np.sqrt(values)  # [D, rank of AB]
    figures = []
    for block in blocks:
        centred = block - own.mean
        diagonal = np.sum((centred @ turned) ** 2, axis=1)
        figures.append(_figures(centred, diagonal, float(values.sum()), own, other))
    return np.concatenate(figures)


def _figures(
    centred: Array, diagonal: Array, trace: float, own: FeatureStatistics, other: FeatureStatistics
) -> Array:
    """Influence [n] of samples; diagonal: their entries of (R B R^T)^(1/2), whose sum is `trace`."""
    count = own.count
    means = 2 * centred @ (own.mean - other.mean)
    spread = np.sum(centred**2, axis=1) * (count / (count - 1)) - own.variance
    return means + spread - (count * diagonal - trace)


def _trace_of_root(a: FeatureStatistics, b: FeatureStatistics) -> float:
    """tr (AB)^(1/2) of the covariances A and B."""
    if a.covariance is not None and b.covariance is not None:
        try:
            squares = scipy.linalg.eigh(
                a.covariance,
                b.covariance,
                type=2,  # A B v = w v, by the Cholesky factor of B
                eigvals_only=True,
                driver="gv",
                check_finite=False,
            )
            return float(np.sqrt(np.maximum(squares, 0)).sum())
        except scipy.linalg.LinAlgError:
            pass  # B is singular, as when a feature never moves: its root has fewer rows
    return float(scipy.linalg.svdvals(_root(a) @ _root(b).T, check_finite=False).sum())


def _root(of: FeatureStatistics) -> Array:
    """R float64 [r, D] with R^T R the covariance, r <= N."""
    if of.centred is not None:
        return of.centred / np.sqrt(of.count - 1)
    assert of.covariance is not None
    try:
        return scipy.linalg.cholesky(of.covariance, check_finite=False)
    except scipy.linalg.LinAlgError:
        squares, vectors = scipy.linalg.eigh(of.covariance, check_finite=False, driver="evd")
        kept = squares > _negligible(squares)
        return np.sqrt(squares[kept])[:, None] * vectors[:, kept].T


def _negligible(squares: Array) -> float:
    """What rounding makes of an eigenvalue of zero, given all of them in rising order."""
    return float(squares[-1]) * float(np.finfo(np.float64).eps) * len(squares)
