"""The jackknife of a score in closed form: without each cluster of sentences, and what pairs of sentences add.

Both come in numbers that add up: those of a sum of scores are the sums of theirs.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from babelscope.similarity.arrays import Array, FloatArray, IntArray, is_tensor, like, to_numpy
from babelscope.similarity.representation import lazy

#: Sums with random signs that stand for all pairs of sentences.
SKETCHES = 8


@lru_cache(maxsize=4)
def _signs(count: int) -> FloatArray:
    """Return vectors of random signs, the same every time, shape (count, SKETCHES)."""
    return np.sign(np.random.default_rng(count).standard_normal((count, SKETCHES)))


def sketched(pairs: Array) -> FloatArray:
    """Return sums with random signs of what pairs of sentences, or of clusters, add to a score, shape (SKETCHES,).

    P, shape (n, n), is symmetric, with a diagonal of 0; the score is the sum of all entries, to second order. The sums
    are s' P s for vectors s of random signs, scaled so that their squares sum to 2 |P|^2: the variance that the pairs
    add, and the mean of the sum of these squares over all signs (Hutchinson 1990).
    """
    signs = _signs(int(pairs.shape[0]))
    signs = like(signs, pairs) if is_tensor(pairs) else signs.astype(pairs.dtype, copy=False)
    return _scaled(to_numpy((signs * (pairs @ signs)).sum(0)), 2 * float((pairs * pairs).sum()))


def sketched_entries(rows: IntArray, columns: IntArray, values: FloatArray, count: int) -> FloatArray:
    """Return what :func:`sketched` gives for a matrix of few entries above its diagonal, and their mirror images.

    `count` is the number of its rows; entries of one place add up.
    """
    signs = _signs(count)
    _, place = np.unique(np.minimum(rows, columns) * count + np.maximum(rows, columns), return_inverse=True)
    sketches = 2 * (values[:, None] * signs[rows] * signs[columns]).sum(0)
    return _scaled(sketches, 4 * float((np.bincount(place, values) ** 2).sum()))


def _scaled(sketches: FloatArray, squares: float) -> FloatArray:
    length = float((sketches**2).sum())
    return np.asarray(sketches * (squares / length) ** 0.5 if length else np.zeros(SKETCHES))


def deviations_by_cluster(influence: FloatArray, clusters: IntArray, pairs: FloatArray | None = None) -> FloatArray:
    """Return the delete-a-cluster jackknife's deviations of a score, scaled so that their squares sum to its variance.

    They are made of :meth:`babelscope.similarity.Measure.influence`, shape (n,); the clusters are numbered from 0, and
    with one for every sentence this is the plain jackknife. Behind them come the sketches of `pairs`, if they are given
    (:meth:`babelscope.similarity.Measure.pair_sketch`).
    """
    count = int(clusters.max()) + 1
    sums = np.bincount(clusters, influence - influence.mean(), minlength=count)
    deviations = np.asarray(sums / influence.size * (count / (count - 1)) ** 0.5)
    return deviations if pairs is None else np.concatenate([deviations, pairs])


class Clusters:
    """Which sentences belong together: the cluster of each, from 0 to C - 1, and the sizes of clusters, shape (C,)."""

    def __init__(self, codes: IntArray) -> None:
        self.codes, self.sizes = codes, np.bincount(codes)

    @lazy
    def _order(self) -> IntArray | None:
        """The sentences cluster by cluster; None where they are in that order already."""
        return None if (np.diff(self.codes) >= 0).all() else np.argsort(self.codes, kind="stable").astype(np.int64)

    @lazy
    def _starts(self) -> IntArray:
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int64)

    def sums(self, matrix: Array) -> FloatArray:
        """Return the sums of the columns (axis 1) of each cluster, shape (n, C), in double precision."""
        if is_tensor(matrix):
            out = matrix.new_zeros((matrix.shape[0], len(self.sizes)))
            return to_numpy(out.index_add_(1, like(self.codes, matrix), matrix))
        columns = matrix if self._order is None else matrix[:, self._order]
        return np.asarray(np.add.reduceat(columns, self._starts, axis=1, dtype=np.float64))

    def by_pair(self, matrix: Array) -> FloatArray:
        """Return the sums of the entries between each two clusters, shape (C, C)."""
        return self.sums(self.sums(matrix).T).T

    def own(self, sums: FloatArray) -> FloatArray:
        """Return what a sentence's own cluster has of :meth:`sums`, shape (n,)."""
        return np.asarray(sums[np.arange(len(sums)), self.codes])

    def total(self, values: FloatArray) -> FloatArray:
        """Return the sum of the values of the sentences of each cluster, shape (C,)."""
        return np.bincount(self.codes, values).astype(np.float64, copy=False)

    def spread(self, values: FloatArray) -> FloatArray:
        """Return the values of clusters in equal shares of their sentences, shape (n,)."""
        return np.asarray((values / self.sizes)[self.codes])
