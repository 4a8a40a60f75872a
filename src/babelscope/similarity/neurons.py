"""Measures that compare feature by feature in one space: neuron-wise correlation and the distance of the centroids."""

# ruff: noqa: D102  (what overrides do is documented in Measure)
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from babelscope.errors import DataError
from babelscope.similarity.arrays import Array, FloatArray, IntArray, like, to_numpy
from babelscope.similarity.measure import Measure, make, register
from babelscope.similarity.nulls import NullLaw, assignment_moments
from babelscope.similarity.representation import Representation


@dataclass
class Standard:
    """Columns of length 1 (0 where constant)."""

    columns: Array  # (n, d)
    varying: np.ndarray[Any, np.dtype[np.bool_]]


@register
@dataclass(frozen=True)
class ANC(Measure):
    """Average neuron-wise correlation."""

    name = "anc"
    title = "Average neuron-wise correlation"
    references = ("del2022similarity",)
    geometric = True
    source = "Del & Fishel 2022, arXiv 2212.01924"
    same_space = True
    invariances = frozenset({"scale", "shift"})

    absolute: bool = False

    @property
    def convention_text(self) -> str:
        return (
            f"mean over features of the {'absolute ' if self.absolute else ''}Pearson correlation of that feature "
            "on the two sides; "
            "features constant on a side left out"
        )

    @property
    def range(self) -> tuple[float, float]:
        return (0.0, 1.0) if self.absolute else (-1.0, 1.0)

    @property
    def null_kinds(self) -> tuple[str, ...]:
        return ("permutation",) if self.absolute else ("exact", "permutation")

    def prepare(self, x: Representation) -> Standard:
        columns = x.centred / abs(x.centred).max()
        norms = to_numpy((columns * columns).sum(0)) ** 0.5
        varying = norms > 0
        return Standard(columns / like(np.where(varying, norms, 1.0), columns), varying)

    def _both(self, x: Standard, y: Standard) -> int:
        both = int((x.varying & y.varying).sum())
        if not both:
            raise DataError("anc: no feature varies on both sides")
        return both

    def value(self, x: Standard, y: Standard) -> float:
        each = to_numpy((x.columns * y.columns).sum(0))
        return float((np.abs(each) if self.absolute else each).sum()) / self._both(x, y)

    def permuted(self, x: Standard, y: Standard, orders: IntArray) -> FloatArray:
        both = self._both(x, y)
        if not self.absolute:
            table = to_numpy(x.columns @ y.columns.T)
            return np.asarray(table[np.arange(table.shape[0]), orders].sum(1) / both)
        out = [to_numpy(abs((x.columns * y.columns[like(order, y.columns)]).sum(0))).sum() / both for order in orders]
        return np.asarray(out)

    def law(self, x: Standard, y: Standard) -> NullLaw | None:
        if self.absolute:
            return None
        mean, variance, skewness = assignment_moments(to_numpy(x.columns @ y.columns.T))
        return NullLaw(mean, variance**0.5, skewness).scaled(1 / self._both(x, y))

    def notes(self, x: Standard, y: Standard) -> tuple[str, ...]:
        left_out = int(x.varying.size - (x.varying & y.varying).sum())
        return (f"{left_out} of {x.varying.size} features are constant on a side and left out",) if left_out else ()


@dataclass
class Centroid:
    """Mean of one side."""

    mean: FloatArray
    n: int


@register
@dataclass(frozen=True)
class CentroidGap(Measure):
    """Distance between the centroids of the two sides."""

    name = "centroid_gap"
    title = "Centroid gap"
    references = ("liang2022mind",)
    source = "Liang et al. 2022, arXiv 2203.02053"
    same_space = True
    centres = False
    higher_is_better = False
    best = 0.0
    minimum_sentences = 1
    null_kinds = ()

    normalise: bool = True

    @property
    def convention_text(self) -> str:
        rows = "each sentence scaled to length 1" if self.normalise else "as they are"
        return (
            f"Euclidean distance between the mean vectors of the two sides, {rows}; not centred; 0 is best; has "
            "no permutation null"
        )

    @property
    def range(self) -> tuple[float, float]:
        return (0.0, 2.0 if self.normalise else float("inf"))

    @property
    def invariances(self) -> frozenset[str]:
        return frozenset({"scale"}) if self.normalise else frozenset()

    def of_one_column(self) -> None:
        """Return None: lengths that were standardised have the same mean on both sides."""

    def prepare(self, x: Representation) -> Centroid:
        return Centroid(to_numpy((x.unit if self.normalise else x.rows).mean(0)), x.n)

    def value(self, x: Centroid, y: Centroid) -> float:
        return float(np.linalg.norm(x.mean - y.mean))

    def permuted(self, x: Centroid, y: Centroid, orders: IntArray) -> FloatArray:
        return np.full(len(orders), self.value(x, y))

    def notes(self, x: Centroid, y: Centroid) -> tuple[str, ...]:
        return ("permuting the sentences does not move a centroid: there is no null of this kind",)


def anc(x: Any, y: Any, *, absolute: bool = False) -> float:
    """Average neuron-wise correlation.

    Parameters
    ----------
    x, y : array_like or torch.Tensor, shapes (n, d), (n, d)
        One row a sentence, the same sentences in the same order, the same features.
    absolute : bool
        Mean of the absolute correlations.

    Returns
    -------
    float
        In [-1, 1]. Features that are constant on a side are left out.

    Raises
    ------
    DataError
        For NaN, a constant side, different widths, unequal numbers of sentences or fewer than 5.

    References
    ----------
    Del & Fishel 2022, "Cross-lingual Similarity of Multilingual Representations Revisited", arXiv 2212.01924.
    """
    return make(ANC, absolute=absolute).between(x, y)


def centroid_gap(x: Any, y: Any, *, normalise: bool = True) -> float:
    """Distance between the centroids of two sides, the "modality gap" of Liang et al.; **smaller is better**.

    Measures that centre (CCA, CKA, Procrustes) cannot see it.

    Parameters
    ----------
    x, y : array_like or torch.Tensor, shapes (n, d), (n, d)
        The same features on both sides.
    normalise : bool
        Scale each sentence to length 1 first, as the paper does.

    Returns
    -------
    float
        Not negative.

    Raises
    ------
    DataError
        For NaN, a zero vector, or different widths.

    References
    ----------
    Liang, Zhang, Kwon, Yeung, Zou 2022, "Mind the Gap", arXiv 2203.02053.
    """
    return make(CentroidGap, normalise=normalise).between(x, y)
