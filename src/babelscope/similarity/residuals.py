"""Regressing covariates out of representations: their span, residuals, and the space in which residuals live."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from babelscope.errors import DataError
from babelscope.similarity.arrays import FloatArray, IntArray, as_rows, same_sentences, to_numpy

#: Share of a side's spread that counts as nothing: what is left of single precision after covariates explain it all.
ROUNDING = 1e-6


class NothingLeft(DataError):  # noqa: N818  (what happened, not a failure of the program)
    """The covariates explain a whole side."""

    def __init__(self, measure: str) -> None:
        super().__init__(
            f"{measure}: the covariates explain a whole side, so that nothing is left to compare; compare without "
            "regressing them out"
        )


def span_of(covariates: Any) -> FloatArray:
    """Return an orthonormal basis of centred covariates, shape (n, c); collinear and constant columns count once.

    DataError for NaN or infinity, or so many independent covariates that fewer than three degrees of freedom are left.
    """
    design = to_numpy(as_rows(covariates, "the covariates")[0])
    n = design.shape[0]
    design = design - design.mean(0)
    spread = np.abs(design).max(0)
    design = design[:, spread > 0] / spread[spread > 0]
    if not design.shape[1]:
        return np.empty((n, 0))
    u, s, _ = np.linalg.svd(design, full_matrices=False)
    u = u[:, s > s[0] * max(design.shape) * np.finfo(np.float64).eps]
    if n - 1 - u.shape[1] < 2:
        raise DataError(
            f"{u.shape[1]} independent covariates leave nothing of {n} sentences: take fewer covariates or more "
            "sentences"
        )
    return np.ascontiguousarray(u)


def regress_out(x: Any, covariates: Any) -> FloatArray:
    """Take the linear effect of covariates out of every feature.

    Least squares with an intercept, column by column; what is returned is the residual, which is centred and
    uncorrelated with every covariate.

    Parameters
    ----------
    x : array_like, shape (n, d)
        One row a sentence.
    covariates : array_like, shape (n, c) or (n,)
        Numbers of the same sentences (log duration, log token count, indicators of the reader). Columns may be
        collinear or constant.

    Returns
    -------
    ndarray, shape (n, d)
        Exactly 0 in columns that the covariates explain to rounding (1e-10 of their spread).

    Raises
    ------
    DataError
        For NaN or infinity in either, unequal numbers of sentences, or so many independent covariates that nothing is
        left.
    """
    values = to_numpy(as_rows(x, "x")[0])
    given = to_numpy(as_rows(covariates, "the covariates")[0])
    same_sentences(values.shape[0], given.shape[0], "x", "the covariates")
    u = span_of(given)
    centred = values - values.mean(0)
    residual = centred - u @ (u.T @ centred)
    residual -= u @ (u.T @ residual)  # a second pass removes what rounding left
    residual = residual - residual.mean(0)
    residual[:, np.linalg.norm(residual, axis=0) <= 1e-10 * np.linalg.norm(centred, axis=0)] = 0.0
    return np.asarray(residual)


@dataclass(frozen=True)
class ResidualRows:
    """A map of sentences to fewer rows, in which residuals of unrelated data are exchangeable.

    The rows of `map`, shape (m, n), sum to 0; map map' is the centring matrix of m rows, and map' map takes out the
    mean and `span`, shape (n, c), orthonormal and centred. `clusters`, shape (m,), say which rows may be permuted
    together, where sentences belong together.
    """

    map: FloatArray
    span: FloatArray
    clusters: IntArray | None = None


def residual_rows(span: FloatArray, clusters: IntArray | None = None) -> ResidualRows:
    """Return rows that stand for the residuals of sentences, and may be permuted.

    Residuals of both sides lie in one and the same subspace, of n - 1 - c dimensions; permuting them as if they had n -
    1 makes the null too narrow, by a share of about c / n. The map turns x into rows of the same singular values as the
    residuals have. Of all such maps it is the one whose rows are nearest to the residuals of as many sentences (Theil
    1965; Winkler et al. 2020).

    Where sentences belong to clusters, what clusters have in common has another variance than what differs within them,
    and covariates that follow the clusters take more out of the former. So the means of the covariates over each
    cluster and what they are beyond these means are taken out both, and the two kinds of directions are mapped apart:
    those between clusters to fewer clusters, those within to rows within them. Where clusters differ in size, a
    direction's variance grows with the size of the clusters that it runs through; directions between clusters are then
    mapped to directions that run through clusters of like size.

    Raises
    ------
    NothingLeft
        If the covariates leave fewer than two independent directions between clusters.

    References
    ----------
    Theil 1965, "The analysis of disturbances in regression analysis", JASA 60. Huh & Jhun 2001, "Random permutation
    testing in multiple linear regression", Communications in Statistics 30. Winkler et al. 2020, "Permutation inference
    for canonical correlation analysis", NeuroImage 220.
    """
    span = np.ascontiguousarray(span, dtype=np.float64)
    codes = None if clusters is None else np.ascontiguousarray(clusters, dtype=np.int64).tobytes()
    return _residual_rows(span.tobytes(), span.shape, codes)


@lru_cache(maxsize=16)
def _residual_rows(content: bytes, shape: tuple[int, int], codes: bytes | None) -> ResidualRows:
    n, c = shape
    span = np.frombuffer(content).reshape(shape)
    if codes is not None:
        return _by_cluster(span, np.frombuffer(codes, dtype=np.int64))
    basis = _complement(np.column_stack([np.full(n, n**-0.5), span]))
    centred = _centred_basis(n - 1 - c)
    return ResidualRows(centred @ _nearest_rotation(centred, basis[: n - c]) @ basis.T, span)


def _by_cluster(span: FloatArray, clusters: IntArray) -> ResidualRows:
    n = len(clusters)
    members = [np.flatnonzero(clusters == cluster) for cluster in range(int(clusters.max()) + 1)]
    sizes = np.array([len(rows) for rows in members])
    indicators, within = np.zeros((n, len(members))), np.zeros((n, n - len(members)))
    for cluster, rows, before in zip(range(len(members)), members, np.cumsum(sizes - 1) - sizes + 1, strict=True):
        indicators[rows, cluster] = len(rows) ** -0.5
        within[rows, before : before + len(rows) - 1] = _centred_basis(len(rows) - 1)
    # In coordinates of cluster means (each scaled by the root of its size), and of what differs within clusters.
    means, beyond = _orthonormal(indicators.T @ span), _orthonormal(within.T @ span)
    between_left = _complement(np.column_stack([(sizes / n) ** 0.5, means]))
    within_left = _complement(beyond)
    if between_left.shape[1] < 2:
        raise NothingLeft("length_regressed")
    kept, counts = _fewer_clusters(sizes, means.shape[1], within_left.shape[1])
    m = int(counts.sum())
    ends = np.cumsum(counts)
    new_indicators, new_within = np.zeros((m, len(kept))), np.zeros((m, m - len(kept)))
    taken = np.zeros((m, n))  # which sentence a row stands for; a row that was added stands for none
    for at, (cluster, count, end) in enumerate(zip(kept, counts, ends, strict=True)):
        rows = np.arange(end - count, end)
        new_indicators[rows, at] = count**-0.5
        new_within[rows, rows[0] - at : rows[0] - at + count - 1] = _centred_basis(count - 1)
        both = min(count, sizes[cluster])
        taken[rows[:both], members[cluster][:both]] = 1.0
    new_between = _complement((counts / m)[:, None] ** 0.5)
    turned = new_between @ _rotation_by_size(new_between, counts, between_left, sizes, kept)
    mapped = new_indicators @ turned @ (indicators @ between_left).T
    inside = within @ within_left
    mapped += new_within @ _nearest_rotation(new_within, taken @ inside) @ inside.T
    both_spans = np.hstack([indicators @ means, within @ beyond])
    return ResidualRows(mapped, both_spans, np.repeat(np.arange(len(kept)), counts))


def _fewer_clusters(sizes: IntArray, dropped: int, within: int) -> tuple[IntArray, IntArray]:
    """Return which clusters are kept, and with how many rows each, so that so many directions are within them."""
    kept = list(range(len(sizes)))
    for _ in range(dropped):  # of the size that most clusters have, so that most still have clusters of their size
        values, counts = np.unique(sizes[kept], return_counts=True)
        most = values[np.argmax(counts)]
        kept.remove(max(cluster for cluster in kept if sizes[cluster] == most))
    counts = sizes[kept].copy()
    while (short := within - int((counts - 1).sum())) != 0:
        if short > 0:
            counts[np.argsort(-counts, kind="stable")[:short]] += 1
        else:
            counts[[at for at in np.argsort(-counts, kind="stable") if counts[at] > 1][:-short]] -= 1
    return np.array(kept), counts


def _orthonormal(columns: FloatArray) -> FloatArray:
    """Return an orthonormal basis of the columns, shape (rows, rank); directions at the level of rounding are none."""
    u, s, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(u[:, s > 1e-9])


def _complement(orthonormal: FloatArray) -> FloatArray:
    """Return an orthonormal basis of what is orthogonal to some columns."""
    whole, _ = np.linalg.qr(orthonormal, mode="complete")
    return np.asarray(whole[:, orthonormal.shape[1] :])


def _nearest_rotation(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the rotation R of coordinates for which a R is nearest to b."""
    left, _, right = np.linalg.svd(a.T @ b, full_matrices=False)
    return np.asarray(left @ right)


def _rotation_by_size(
    new: FloatArray, counts: IntArray, left: FloatArray, sizes: IntArray, kept: IntArray
) -> FloatArray:
    """Return the rotation of what is left between clusters for which `new` has variances as fewer clusters have.

    If sentences vary by a and clusters in common by b, what is left has covariance a + b left' S left, with the sizes
    on the diagonal of S, and exchangeable clusters have a + b new' S new. The eigenvectors of the one are mapped to
    those of the other, by size, whatever a and b are. Where sizes are equal, so that any rotation would do, it is the
    nearest to the clusters that are kept.
    """
    have, u = np.linalg.eigh(left.T @ (sizes[:, None] * left))
    want, v = np.linalg.eigh(new.T @ (counts[:, None] * new))
    near, rotation = v.T @ new.T @ left[kept] @ u, np.zeros((len(have), len(have)))
    # Up to a block's end neither side's sizes differ by more than rounding.
    cuts = np.flatnonzero((np.diff(have) > 1e-6) | (np.diff(want) > 1e-6)) + 1
    for start, end in itertools.pairwise([0, *cuts, len(have)]):
        block = slice(start, end)
        first, _, second = np.linalg.svd(near[block, block])
        rotation[block, block] = first @ second
    return np.asarray(v @ rotation @ u.T)


def location(rows: FloatArray, clusters: IntArray, residuals: FloatArray, residual_clusters: IntArray) -> FloatArray:
    """Return the mean sentence, in which clusters count by what they tell, shape (d,).

    The sentences of a large cluster tell less each, so that the plain mean depends on the large clusters, and so do
    residuals: a mean that is put back to residuals (m rows, centred) is to be independent of them. With a the variance
    of sentences and b that of clusters, estimated from the residuals by analysis of variance, a sentence of a cluster
    of s counts 1 / (a + b s).
    """
    counts = np.bincount(residual_clusters)
    sums = np.zeros((len(counts), residuals.shape[1]))
    np.add.at(sums, residual_clusters, residuals)
    between = float((sums**2 / counts[:, None]).sum())
    m, total = len(residuals), float((residuals**2).sum())
    within = max(total - between, 0.0) / max(m - len(counts), 1)
    mean_size = (m - float(counts @ counts) / m) / (len(counts) - 1)
    common = max(between / (len(counts) - 1) - within, 0.0) / mean_size
    weights = 1 / (within + common * np.bincount(clusters)[clusters])
    return np.asarray(weights @ rows / weights.sum())


@lru_cache(maxsize=16)
def _centred_basis(m: int) -> FloatArray:
    """Return Helmert's columns: an orthonormal basis of the centred vectors of m + 1 numbers, shape (m + 1, m)."""
    basis = np.zeros((m + 1, m))
    for column in range(m):
        basis[: column + 1, column] = 1.0
        basis[column + 1, column] = -(column + 1.0)
        basis[:, column] /= np.sqrt((column + 1.0) * (column + 2.0))
    return basis
