"""Mutual nearest neighbours: whether the two sides give a sentence the same neighbours."""

# ruff: noqa: D102  (what overrides do is documented in Measure)
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from babelscope.similarity.arrays import FloatArray, IntArray
from babelscope.similarity.measure import Measure, count, make, one_of, register
from babelscope.similarity.nulls import CentredSums, NullLaw, OffDiagonalSums, centred_moments, offdiagonal_moments
from babelscope.similarity.representation import Representation, lazy
from babelscope.similarity.trace import row_weighted


@dataclass
class Neighbours:
    """Who is near whom on one side."""

    nearest: IntArray  # (n, k)
    table: np.ndarray[Any, np.dtype[np.bool_]]  # (n, n)

    @lazy
    def sums(self) -> OffDiagonalSums:
        """What mean and variance of the null need; made when a null is asked for."""
        return OffDiagonalSums.of(self.table.astype(np.float64))

    @lazy
    def mutual(self) -> CentredSums:
        """What the skewness of the null needs: of the symmetric part, which carries nearly all of it."""
        both = (self.table.astype(np.float64) + self.table.T) / 2
        n = both.shape[0]
        both -= both.sum() / (n * (n - 1))
        np.fill_diagonal(both, 0.0)
        return CentredSums.of(row_weighted(both))


@register
@dataclass(frozen=True)
class MutualKNN(Measure):
    """Share of common nearest neighbours."""

    name = "mutual_knn"
    title = "Mutual k-NN"
    references = ("huh2024platonic",)
    lead = 4
    geometric = True
    source = "Huh et al. 2024, arXiv 2405.07987 (mutual k-NN)"
    shown = ("k",)
    null_kinds = ("exact", "permutation")

    k: int = 10
    metric: str = "cosine"
    centre: bool = True

    def __post_init__(self) -> None:
        count(self.name, "k", self.k)
        one_of(self.name, "metric", self.metric, ("cosine", "euclidean"))

    @property
    def convention_text(self) -> str:
        centred = "centred first" if self.centre or self.metric == "euclidean" else "not centred"
        return (
            f"share of the {self.k} nearest neighbours ({self.metric}) that a sentence has on both sides, "
            f"averaged; {centred}"
        )

    @property
    def minimum_sentences(self) -> int:
        return max(self.k + 2, 5)

    @property
    def invariances(self) -> frozenset[str]:
        shift = {"shift"} if self.centre or self.metric == "euclidean" else set()
        return frozenset({"rotation", "scale"} | shift)

    def prepare(self, x: Representation) -> Neighbours:
        near = -x.square_distances if self.metric == "euclidean" else x.cosines(self.centre).copy()
        np.fill_diagonal(near, -np.inf)
        # Rounded so that ties (duplicate sentences) fall to the lower row on either side alike, not to the last bit
        # of a product.
        near = np.round(near, 12)
        nearest = np.argsort(-near, axis=1, kind="stable")[:, : self.k].copy()  # a view would keep the whole table
        table = np.zeros((x.n, x.n), dtype=bool)
        np.put_along_axis(table, nearest, True, axis=1)
        return Neighbours(nearest, table)

    def of_one_column(self) -> MutualKNN:
        # One centred number has no direction, so neighbours are found by distance.
        return replace(self, metric="euclidean")

    def value(self, x: Neighbours, y: Neighbours) -> float:
        return float(np.count_nonzero(x.table & y.table)) / x.nearest.size

    def permuted(self, x: Neighbours, y: Neighbours, orders: IntArray) -> FloatArray:
        n = x.table.shape[0]
        flat = y.table.reshape(-1)
        out = np.empty(len(orders))
        for index, order in enumerate(orders):
            out[index] = np.count_nonzero(flat[(order * n)[:, None] + order[x.nearest]])
        return out / x.nearest.size

    def law(self, x: Neighbours, y: Neighbours) -> NullLaw | None:
        mean, variance = offdiagonal_moments(x.sums, y.sums)
        _, mutual_variance, mutual_skewness = centred_moments(x.mutual, y.mutual)
        skewness = mutual_skewness * (mutual_variance / variance) ** 1.5 if variance > 0 else 0.0
        return NullLaw(mean, variance**0.5, skewness, step=1.0).scaled(1 / x.nearest.size)


def mutual_knn(x: Any, y: Any, *, k: int = 10, metric: str = "cosine", centre: bool = True) -> float:
    """Mutual k-nearest-neighbour agreement.

    Parameters
    ----------
    x, y : array_like or torch.Tensor, shapes (n, dx), (n, dy)
        One row a sentence, the same sentences in the same order.
    k : int
        Neighbours; a sentence is no neighbour of itself. Unrelated data give k / (n - 1) exactly.
    metric : {"cosine", "euclidean"}
    centre : bool
        Whether the mean sentence is taken off before a cosine (the original does not).

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    UsageError, DataError
        For an option out of range; for NaN, unequal numbers of sentences, or fewer than k + 2.

    References
    ----------
    Huh, Cheung, Wang, Isola 2024, "The Platonic Representation Hypothesis", arXiv 2405.07987.
    """
    return make(MutualKNN, k=k, metric=metric, centre=centre).between(x, y)
