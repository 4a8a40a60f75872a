"""Retrieval of a sentence's other side: precision at k, mean reciprocal rank, xsim, MEXA.

The table of similarities between all sentences of one side and all of the other is made once a pair. Permuting the
sentences only changes which cell of a row is the right one, so a null costs n look-ups a permutation, and its mean
and variance are sums over the table.
"""

# ruff: noqa: D102  (what overrides do is documented in Measure)
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from babelscope.similarity.arrays import Array, FloatArray, IntArray, to_numpy
from babelscope.similarity.measure import Measure, count, make, one_of, register
from babelscope.similarity.nulls import NullLaw, assignment_counts, assignment_moments
from babelscope.similarity.representation import Representation

DIRECTIONS = ("both", "xy", "yx")


@dataclass
class Vectors:
    """One side, ready for a product with the other."""

    rows: Array  # (n, d)
    squares: FloatArray | None = None  # (n,), for distances


@dataclass(frozen=True)
class Assignment(Measure):
    """Base of the scores that are a mean over sentences of a weight w(i, the sentence that i is paired with)."""

    @property
    def same_space(self) -> bool:
        return True

    @property
    def null_kinds(self) -> tuple[str, ...]:
        return ("exact", "permutation")

    @property
    def minimum_sentences(self) -> int:
        return 3

    def weights(self, x: Vectors, y: Vectors) -> FloatArray:
        """Return w, shape (n, n): what pairing i with j would score."""
        raise NotImplementedError

    @property
    def counts(self) -> bool:
        """Whether w is a hit or a miss (its null is a count) or a number."""
        return True

    def value(self, x: Vectors, y: Vectors) -> float:
        return self._outcome(float(np.trace(self.weights(x, y))) / x.rows.shape[0])

    def _outcome(self, hits: float) -> float:
        return hits

    def permuted(self, x: Vectors, y: Vectors, orders: IntArray) -> FloatArray:
        table = self.weights(x, y)
        hits = table[np.arange(table.shape[0]), orders].mean(1)
        return np.asarray([self._outcome(value) for value in hits])

    def law(self, x: Vectors, y: Vectors) -> NullLaw | None:
        table = self.weights(x, y)
        n = table.shape[0]
        mean, variance, skewness = assignment_moments(table)
        support, mass = assignment_counts(table) if self.counts else (None, None)
        law = NullLaw(mean, variance**0.5, skewness, support, mass).scaled(1 / n)
        return law if self.higher_is_better else law.scaled(-1.0, 1.0)


def best_in_rows(table: FloatArray, k: int = 1) -> FloatArray:
    """Return which cells are among the k best of their row; cells tied at the border share what room is left there."""
    table = np.round(table / max(float(np.abs(table).max()), 1e-300), 12)  # the last bit of a product breaks no tie
    border = np.partition(table, -k, axis=1)[:, -k][:, None]
    above, tied = table > border, table == border
    room = (k - above.sum(1, keepdims=True)) / tied.sum(1, keepdims=True)
    return np.asarray(above + tied * room, dtype=np.float64)


def reciprocal_ranks(table: FloatArray) -> FloatArray:
    """Return 1 / rank of every cell within its row; tied cells have their mean rank."""
    from scipy.stats import rankdata

    table = np.round(table / max(float(np.abs(table).max()), 1e-300), 12)
    return np.asarray(1.0 / rankdata(-table, axis=1))


@register
@dataclass(frozen=True)
class Retrieval(Assignment):
    """Whether a sentence's nearest neighbour on the other side is its own other side."""

    name = "retrieval"
    source = (
        "Precision at k and mean reciprocal rank, as in Tatoeba retrieval (Artetxe & Schwenk 2019, arXiv 1812.10464)"
    )

    metric: str = "cosine"
    k: int = 1
    mrr: bool = False
    direction: str = "both"
    centre: bool = True

    def __post_init__(self) -> None:
        one_of(self.name, "metric", self.metric, ("cosine", "euclidean"))
        one_of(self.name, "direction", self.direction, DIRECTIONS)
        count(self.name, "k", self.k)

    @property
    def convention_text(self) -> str:
        what = "mean reciprocal rank" if self.mrr else f"precision at {self.k}"
        way = {"both": "mean of both directions", "xy": "from x to y", "yx": "from y to x"}[self.direction]
        centred = "each side centred by its own mean" if self.centre else "not centred"
        return f"{what} by {self.metric}; {way}; {centred}; ties share a hit"

    @property
    def centres(self) -> bool:
        return self.centre

    @property
    def symmetric(self) -> bool:
        return self.direction == "both"

    @property
    def minimum_sentences(self) -> int:
        return max(self.k + 2, 3)

    @property
    def counts(self) -> bool:
        return not self.mrr

    @property
    def invariances(self) -> frozenset[str]:
        scale = {"scale"} if self.metric == "cosine" else set()
        shift = {"shift"} if self.centre else set()
        return frozenset(scale | shift)

    def prepare(self, x: Representation) -> Vectors:
        if self.metric == "cosine":
            return Vectors(x.centred_unit if self.centre else x.unit)
        rows = x.rows - x.rows.mean(0) if self.centre else x.rows
        return Vectors(rows, to_numpy((rows * rows).sum(1)))

    def weights(self, x: Vectors, y: Vectors) -> FloatArray:
        table = to_numpy(x.rows @ y.rows.T)
        if x.squares is not None and y.squares is not None:
            table = 2 * table - x.squares[:, None] - y.squares[None, :]

        def scored(t: FloatArray) -> FloatArray:
            return reciprocal_ranks(t) if self.mrr else best_in_rows(t, self.k)

        if self.direction == "xy":
            return scored(table)
        if self.direction == "yx":
            return scored(table.T).T
        return (scored(table) + scored(table.T).T) / 2


@register
@dataclass(frozen=True)
class Xsim(Assignment):
    """Error rate of margin-based retrieval."""

    name = "xsim"
    source = "LASER xsim (facebookresearch/LASER, source/xsim.py); margins: Artetxe & Schwenk 2019, arXiv 1811.01136"

    margin: str = "ratio"
    k: int = 4
    direction: str = "xy"
    centre: bool = False

    def __post_init__(self) -> None:
        one_of(self.name, "margin", self.margin, ("ratio", "distance", "absolute"))
        one_of(self.name, "direction", self.direction, DIRECTIONS)
        count(self.name, "k", self.k)

    @property
    def convention_text(self) -> str:
        way = {"both": "mean of both directions", "xy": "from x to y", "yx": "from y to x"}[self.direction]
        centred = "each side centred by its own mean" if self.centre else "not centred"
        return (
            f"share of sentences whose best match by {self.margin} margin (k={self.k}) is another sentence: an "
            f"error, 0 is best; {way}; {centred}"
        )

    @property
    def centres(self) -> bool:
        return self.centre

    @property
    def symmetric(self) -> bool:
        return self.direction == "both"

    @property
    def higher_is_better(self) -> bool:
        return False

    @property
    def best(self) -> float:
        return 0.0

    @property
    def minimum_sentences(self) -> int:
        return max(self.k + 1, 3)

    @property
    def invariances(self) -> frozenset[str]:
        return frozenset({"scale", "shift"} if self.centre else {"scale"})

    def prepare(self, x: Representation) -> Vectors:
        return Vectors(x.centred_unit if self.centre else x.unit)

    def _outcome(self, hits: float) -> float:
        return 1.0 - hits

    def weights(self, x: Vectors, y: Vectors) -> FloatArray:
        table = to_numpy(x.rows @ y.rows.T)
        if self.direction == "xy":
            return self._hits(table)
        if self.direction == "yx":
            return self._hits(table.T).T
        return (self._hits(table) + self._hits(table.T).T) / 2

    def _hits(self, table: FloatArray) -> FloatArray:
        if self.margin == "absolute":
            return best_in_rows(table)
        k = self.k
        row_mean = np.partition(table, -k, axis=1)[:, -k:].mean(1)
        column_mean = np.partition(table, -k, axis=0)[-k:].mean(0)
        middle = (row_mean[:, None] + column_mean[None, :]) / 2
        scored = table / middle if self.margin == "ratio" else table - middle
        # As in LASER, only the k nearest by cosine are candidates.
        border = np.partition(table, -k, axis=1)[:, -k][:, None]
        scored = np.where(table >= border - 1e-12, scored, -np.inf)
        best = scored.max(1, keepdims=True)
        tied = scored >= best - 1e-12 * np.maximum(np.abs(best), 1.0)
        return np.asarray(tied / tied.sum(1, keepdims=True), dtype=np.float64)


@register
@dataclass(frozen=True)
class Mexa(Assignment):
    """Share of sentences that are each other's strict nearest neighbour."""

    name = "mexa"
    source = "Kargaran et al. 2024, arXiv 2410.05873"

    centre: bool = False

    @property
    def convention_text(self) -> str:
        centred = "each side centred by its own mean" if self.centre else "not centred"
        return (
            "share of sentences whose cosine with their own other side exceeds all others in its row and in its "
            f"column; {centred}"
        )

    @property
    def centres(self) -> bool:
        return self.centre

    @property
    def invariances(self) -> frozenset[str]:
        return frozenset({"scale", "shift"} if self.centre else {"scale"})

    def prepare(self, x: Representation) -> Vectors:
        return Vectors(x.centred_unit if self.centre else x.unit)

    def weights(self, x: Vectors, y: Vectors) -> FloatArray:
        table = np.round(to_numpy(x.rows @ y.rows.T), 12)
        in_row, in_column = table == table.max(1, keepdims=True), table == table.max(0, keepdims=True)
        alone = (in_row.sum(1, keepdims=True) == 1) & (in_column.sum(0, keepdims=True) == 1)
        strict = in_row & in_column & alone
        return np.asarray(strict, dtype=np.float64)


def retrieval(
    x: Any,
    y: Any,
    *,
    metric: str = "cosine",
    k: int = 1,
    mrr: bool = False,
    direction: str = "both",
    centre: bool = True,
) -> float:
    """Retrieve each sentence's other side among all sentences.

    Parameters
    ----------
    x, y : array_like or torch.Tensor, shapes (n, d), (n, d)
        One row a sentence, the same sentences in the same order, the same features.
    metric : {"cosine", "euclidean"}
    k : int
        A hit if the right sentence is among the k best; unrelated data give k / n exactly.
    mrr : bool
        Mean reciprocal rank in place of hits.
    direction : {"both", "xy", "yx"}
        "both" averages the two directions.
    centre : bool
        Whether each side's own mean is taken off first. A constant offset between the sides (speech here, text there)
        would else decide.

    Returns
    -------
    float
        In [0, 1]. Tied candidates share a hit.

    Raises
    ------
    UsageError, DataError
        For an option out of range; for NaN, different widths, unequal numbers of sentences or fewer than k + 2.
    """
    return make(Retrieval, metric=metric, k=k, mrr=mrr, direction=direction, centre=centre).between(x, y)


def xsim(x: Any, y: Any, *, margin: str = "ratio", k: int = 4, direction: str = "xy", centre: bool = False) -> float:
    """xsim: error rate of margin-based retrieval; **smaller is better**.

    Parameters
    ----------
    x, y : array_like or torch.Tensor, shapes (n, d), (n, d)
        One row a sentence, the same sentences in the same order, the same features.
    margin : {"ratio", "distance", "absolute"}
        Cosine over, or less, the mean cosine to the k nearest of either sentence; or the plain cosine.
    k : int
        Neighbours of the margin, and candidates of a sentence.
    direction : {"xy", "yx", "both"}
        LASER goes from x to y.
    centre : bool
        LASER does not centre.

    Returns
    -------
    float
        Share of errors, in [0, 1].

    Raises
    ------
    UsageError, DataError
        For an option out of range; for NaN, a zero vector, different widths, unequal numbers of sentences or too few.

    References
    ----------
    facebookresearch/LASER, source/xsim.py; Artetxe & Schwenk 2019, arXiv 1811.01136.
    """
    return make(Xsim, margin=margin, k=k, direction=direction, centre=centre).between(x, y)


def mexa(x: Any, y: Any, *, centre: bool = False) -> float:
    """MEXA's alignment score: share of sentences that are strictly each other's nearest by cosine.

    Parameters
    ----------
    x, y : array_like or torch.Tensor, shapes (n, d), (n, d)
        One row a sentence, the same sentences in the same order, the same features.
    centre : bool
        The original does not centre.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    DataError
        For NaN, a zero vector, different widths, unequal numbers of sentences or fewer than 3.

    References
    ----------
    Kargaran et al. 2024, "MEXA: Multilingual Evaluation of English-Centric LLMs via Cross-Lingual Alignment", arXiv
    2410.05873.
    """
    return make(Mexa, centre=centre).between(x, y)
