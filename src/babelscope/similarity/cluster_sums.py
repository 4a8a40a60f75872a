"""Sums of matrices over clusters of sentences: what the deletion of whole clusters needs."""

from __future__ import annotations

import numpy as np

from babelscope.similarity.arrays import Array, FloatArray, IntArray, is_tensor, like, to_numpy
from babelscope.similarity.representation import lazy


class Clusters:
    """Which sentences belong together.

    Parameters
    ----------
    codes : ndarray of int, shape (n,)
        The cluster of each sentence, from 0 to C - 1.

    Attributes
    ----------
    codes : ndarray of int, shape (n,)
    sizes : ndarray of int, shape (C,)
        Sentences of each cluster.
    """

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
        """Return the sums of the columns of each cluster, shape (n, C), in double precision."""
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
