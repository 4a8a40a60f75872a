"""Retrieval of a sentence's other side: precision at k, mean reciprocal rank, xsim, MEXA.

Permuting the sentences only changes which cell of a row is the right one, so that value, null and interval follow from
the few cells that would score: :class:`~babelscope.similarity.nulls.Cells`. Nearest neighbours are found in blocks of
one product; the table of all similarities is made only where a measure needs more than the nearest.
"""

# ruff: noqa: D102  (what overrides do is documented in Measure)
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from babelscope.similarity.arrays import Array, FloatArray, IntArray, is_tensor, like, single, to_numpy
from babelscope.similarity.jackknife import SKETCHES, sketched_entries
from babelscope.similarity.measure import Measure, Outcome, chunks, count, make, one_of, register
from babelscope.similarity.nulls import Cells, NullLaw, assignment_counts
from babelscope.similarity.representation import Representation
from babelscope.similarity.residuals import ROUNDING, NothingLeft

DIRECTIONS = {"both": "mean of both directions", "xy": "from x to y", "yx": "from y to x"}

#: Of each direction, whether rows are found from columns: the second side's sentences from the first's.
TURNED: dict[str, tuple[bool, ...]] = {"both": (False, True), "xy": (False,), "yx": (True,)}

#: Similarities that are looked at together.
BLOCK = 2**19

#: Sentences and features from which a product of single precision is worth its checks.
SINGLE = 64

#: Similarities that differ by less are ties.
TIE = 1e-12


@dataclass
class Vectors:
    """One side, ready for a product with the other."""

    rows: Array  # (n, d)
    squares: FloatArray | None = None  # (n,), for distances
    norms: Array | None = None  # (n,), what the rows were divided by
    single: Array | None = None  # (n, d), the rows in single precision, where that is faster
    clusters: IntArray | None = None  # (n,), which sentences belong together


@dataclass(frozen=True)
class Blocked:
    """What sentences would score more without another one, each number for a pair of them.

    The two are never of the same cluster: sentences of a cluster are left out together.
    """

    rows: IntArray  # (e,), the sentence that would score
    columns: IntArray  # (e,), the one that prevents it
    gains: FloatArray  # (e,)


@dataclass(frozen=True)
class Matches:
    """What each pairing of two sentences would score, and what a sentence would score without another one.

    `blocked` is None where it has no closed form.
    """

    cells: Cells
    blocked: Blocked | None = None


@dataclass(frozen=True)
class Assignment(Measure):
    """Base of the scores that are a mean over sentences of a weight w(i, the sentence that i is paired with)."""

    same_space = True
    null_kinds = ("exact", "permutation")

    @property
    def symmetric(self) -> bool:
        return getattr(self, "direction", "both") == "both"

    @property
    def invariances(self) -> frozenset[str]:
        return frozenset({"scale", "shift"} if self.centres else {"scale"})

    @property
    def _centred_text(self) -> str:
        return "each side centred by its own mean" if self.centres else "not centred"

    def prepare(self, x: Representation) -> Vectors:
        rows = x.centred if self.centres else x.rows / float(abs(x.rows).max() or 1.0)
        unit = x.centred_unit if self.centres else x.unit
        return Vectors(unit, norms=(rows * rows).sum(1) ** 0.5, clusters=x.clusters)

    def regressed(self, x: Vectors, covariates: FloatArray) -> Vectors:
        rows = x.rows if x.norms is None else x.rows * x.norms[:, None]
        mean = rows.mean(0)
        rows = rows - mean
        spread = float((rows * rows).sum())
        q = like(covariates, rows)
        rows = rows - q @ (q.T @ rows)
        if not float((rows * rows).sum()) > ROUNDING**2 * spread:
            raise NothingLeft(self.name)
        if not self.centres:
            rows = rows + mean  # or the control would take off the mean as well
        squares = (rows * rows).sum(1)
        if x.squares is not None:
            return Vectors(rows, to_numpy(squares))
        lengths = squares**0.5
        if not float(lengths.min()) > 0:
            raise NothingLeft(self.name)
        return Vectors(rows / lengths[:, None], norms=lengths)

    def matches(self, x: Vectors, y: Vectors) -> Matches:
        """Return what each pairing would score."""
        raise NotImplementedError

    @property
    def counts(self) -> bool:
        """Whether a pairing is a hit or a miss (its null is a count) or a number."""
        return True

    def value(self, x: Vectors, y: Vectors) -> float:
        return self.outcome(x, y).value

    def _score(self, hits: float) -> float:
        return hits

    def permuted(self, x: Vectors, y: Vectors, orders: IntArray) -> FloatArray:
        cells = self.matches(x, y).cells
        return np.asarray([self._score(float(cells.paired(order).mean())) for order in orders])

    def law(self, x: Vectors, y: Vectors) -> NullLaw | None:
        return self.outcome(x, y, law=True).law

    def _law(self, cells: Cells) -> NullLaw:
        mean, variance, skewness = cells.moments()
        support, mass = assignment_counts(cells.weights, cells.n) if self.counts else (None, None)
        law = NullLaw(mean, variance**0.5, skewness, support, mass).scaled(1 / cells.n)
        return law if self.higher_is_better else law.scaled(-1.0, 1.0)

    def influence(self, x: Vectors, y: Vectors) -> FloatArray | None:
        return self.outcome(x, y, influence=True).influence

    def _influence(self, matches: Matches) -> FloatArray | None:
        """Delete each sentence in turn: its own hit goes, and so does what it stood in the way of."""
        blocked = matches.blocked
        if blocked is None:
            return None
        hits = matches.cells.paired()
        return np.asarray(hits - np.bincount(blocked.columns, blocked.gains, minlength=hits.size) - hits.mean())

    def pair_sketch(self, x: Vectors, y: Vectors) -> FloatArray:
        return self._pair_sketch(self.matches(x, y), x.clusters)

    def _pair_sketch(self, matches: Matches, clusters: IntArray | None) -> FloatArray:
        """A hit that one sentence alone prevents is what those two add together."""
        blocked, units = matches.blocked, matches.cells.n
        if blocked is None:
            return np.zeros(SKETCHES)
        rows, columns = blocked.rows, blocked.columns
        if clusters is not None:
            rows, columns, units = clusters[rows], clusters[columns], int(clusters.max()) + 1
        return sketched_entries(rows, columns, blocked.gains / (-2 * matches.cells.n), units)

    def outcome(
        self,
        x: Vectors,
        y: Vectors,
        *,
        law: bool = False,
        order: IntArray | None = None,
        influence: bool = False,
        value: float | None = None,
    ) -> Outcome:
        matches = self.matches(x, y)
        return Outcome(
            self._score(float(matches.cells.paired().mean())),
            self._law(matches.cells) if law else None,
            self._score(float(matches.cells.paired(order).mean())) if order is not None else float("nan"),
            self._influence(matches) if influence else None,
            self._pair_sketch(matches, x.clusters) if influence else None,
        )


def nearest(x: Vectors, y: Vectors) -> tuple[list[IntArray], list[IntArray]] | None:
    """Find each row's nearest among the other side's, both ways, in blocks of one product; None if two are as near.

    Rows have length 1, and the largest inner product is nearest. The product is one of single precision where there is
    one; a row for which its rounding could matter, which is known from the bound of its error, is looked at again in
    double precision. Returned are the nearest of each row, shapes (n,), and how many are nearer than its own other
    side, exact up to 1.
    """
    n, d = (int(size) for size in x.rows.shape)
    own = (x.rows * y.rows).sum(1)
    narrow = x.single is not None and y.single is not None
    left: Array = x.single if narrow else x.rows
    right: Array = y.single if narrow else y.rows
    # Of two products of vectors of length 1: |fl(a'b) - a'b| <= d eps / 2 each, and the vectors are rounded themselves.
    margin = 2 * (d + 4) * 2.0**-24 if narrow else TIE
    there = single(own) if narrow else own
    rows: list[_Top] = []
    columns: _Top | None = None
    for block in chunks(n, max(BLOCK // n, 1)):
        table = left[block] @ right.T
        rows.append(_Top.of(table, there[block][:, None], margin, 1, 0))
        seen = _Top.of(table, there[None, :], margin, 0, block.start)
        columns = seen if columns is None else columns.merged(seen, margin)
    assert columns is not None
    of_rows, of_columns = _Top.joined(rows).checked(x.rows, y.rows, own), columns.checked(y.rows, x.rows, own)
    if of_rows is None or of_columns is None:
        return None
    return [of_rows.best, of_columns.best], [of_rows.above, of_columns.above]


@dataclass
class _Top:
    """What is known of each query from the similarities seen so far.

    The nearest (`best`) and its similarity (`highest`); how many are as near, but for rounding (`near`); and how many
    are nearer than the query's own other side for certain (`above`), and how many may be (`beside`).
    """

    best: IntArray
    highest: FloatArray
    near: IntArray
    above: IntArray
    beside: IntArray

    @classmethod
    def of(cls, block: Array, own: Array, margin: float, axis: int, start: int) -> _Top:
        best = block.argmax(axis)
        highest = block.amax(axis) if is_tensor(block) else block.max(axis)
        edge = highest[:, None] if axis else highest[None, :]
        counts = [(block >= edge - margin), (block > own + margin), (block > own - margin)]
        near, above, beside = (_integers(flags.sum(axis)) for flags in counts)
        return cls(_integers(best) + start, to_numpy(highest), near, above, beside)

    @classmethod
    def joined(cls, parts: Sequence[_Top]) -> _Top:
        """Put together what is known of other queries."""
        return cls(*(np.concatenate([getattr(top, name) for top in parts]) for name in cls.__dataclass_fields__))

    def merged(self, other: _Top, margin: float) -> _Top:
        """Put together what further similarities tell of the same queries."""
        higher = other.highest > self.highest
        same = np.abs(other.highest - self.highest) <= margin
        near = np.where(same, self.near + other.near, np.where(higher, other.near, self.near))
        return _Top(
            np.where(higher, other.best, self.best),
            np.maximum(other.highest, self.highest),
            near,
            self.above + other.above,
            self.beside + other.beside,
        )

    def checked(self, queries: Array, others: Array, own: Array) -> _Top | None:
        """Look again, in double precision, where rounding could matter; None if two are equally near."""
        # A query's own other side lies within the margin of itself. That two or more are nearer is as good as known.
        unsure = np.flatnonzero((self.near > 1) | ((self.above < 2) & (self.beside - 1 != self.above)))
        for block in chunks(unsure.size, max(BLOCK // len(self.best), 1)):
            at = unsure[block]
            table = to_numpy(queries[like(at, queries)] @ others.T)
            there = to_numpy(own[like(at, own)])[:, None]
            highest = table.max(1)
            if ((table >= highest[:, None] - TIE).sum(1) > 1).any():
                return None
            self.best[at], self.above[at] = table.argmax(1), (table > there + TIE).sum(1)
        return self


def _integers(values: Array) -> IntArray:
    return np.asarray(values.cpu().numpy() if is_tensor(values) else values, dtype=np.int64)


def best_in_rows(table: FloatArray, k: int = 1) -> FloatArray:
    """Return which cells are among the k best of their row; cells tied at the border share what room is left there."""
    border = np.partition(table, -k, axis=1)[:, -k][:, None]
    above, tied = table > border, table == border
    room = (k - above.sum(1, keepdims=True)) / tied.sum(1, keepdims=True)
    return np.asarray(above + tied * room, dtype=np.float64)


def reciprocal_ranks(table: FloatArray) -> FloatArray:
    """Return 1 / rank of every cell within its row; tied cells have their mean rank."""
    from scipy.stats import rankdata

    return np.asarray(1.0 / rankdata(-table, axis=1))


@register
@dataclass(frozen=True)
class Retrieval(Assignment):
    """Whether a sentence's nearest neighbour on the other side is its own other side."""

    name = "retrieval"
    title = "Retrieval P@1"
    references = ("artetxe2019massively",)
    lead = 7
    source = (
        "Precision at k and mean reciprocal rank, as in Tatoeba retrieval (Artetxe & Schwenk 2019, arXiv 1812.10464)"
    )
    interval_scale = "proportion"

    metric: str = "cosine"
    k: int = 1
    mrr: bool = False
    direction: str = "both"
    centre: bool = True

    def __post_init__(self) -> None:
        one_of(self.name, "metric", self.metric, ("cosine", "euclidean"))
        one_of(self.name, "direction", self.direction, list(DIRECTIONS))
        count(self.name, "k", self.k)

    @property
    def convention_text(self) -> str:
        what = "mean reciprocal rank" if self.mrr else f"precision at {self.k}"
        return f"{what} by {self.metric}; {DIRECTIONS[self.direction]}; {self._centred_text}; ties share a hit"

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
            return self._with_single(super().prepare(x))
        rows = x.rows - x.rows.mean(0) if self.centre else x.rows
        return Vectors(rows, to_numpy((rows * rows).sum(1)), clusters=x.clusters)

    def of_one_column(self) -> Measure:
        # One centred number has no direction, so neighbours are found by distance.
        return replace(self, metric="euclidean")

    @property
    def _by_nearest(self) -> bool:
        """Whether the nearest alone decide."""
        return self.k == 1 and not self.mrr and self.metric == "cosine"

    def regressed(self, x: Vectors, covariates: FloatArray) -> Vectors:
        return self._with_single(super().regressed(x, covariates))

    def _with_single(self, x: Vectors) -> Vectors:
        if self._by_nearest and min(x.rows.shape) >= SINGLE:
            x.single = single(x.rows)
        return x

    def matches(self, x: Vectors, y: Vectors) -> Matches:
        ways = TURNED[self.direction]
        known = nearest(x, y) if self._by_nearest else None
        n = int(x.rows.shape[0])
        if known is None:
            return self._from_table(self._similarities(x, y), ways, x.clusters)
        queries = np.arange(n, dtype=np.int64)
        rows, columns, blocks = [], [], []
        for way in ways:
            best, above = known[0][way], known[1][way]
            rows.append(best if way else queries)
            columns.append(queries if way else best)
            blocks.append((queries[above == 1], best[above == 1]))
        weights = np.full(n * len(ways), 1 / len(ways))
        cells = Cells.summed(n, np.concatenate(rows), np.concatenate(columns), weights)
        blocked, by = (np.concatenate(each) for each in zip(*blocks, strict=True))
        return Matches(cells, _blocked(blocked, by, np.full(blocked.size, 1 / len(ways)), x.clusters))

    def _similarities(self, x: Vectors, y: Vectors) -> FloatArray:
        table = to_numpy(x.rows @ y.rows.T)
        if x.squares is not None and y.squares is not None:
            table = 2 * table - x.squares[:, None] - y.squares[None, :]
        return np.round(table / max(float(np.abs(table).max()), 1e-300), 12)  # the last bit of a product breaks no tie

    def _from_table(self, table: FloatArray, ways: tuple[bool, ...], clusters: IntArray | None = None) -> Matches:
        n = table.shape[0]
        weights, gains = np.zeros((n, n)), np.zeros((n, n))
        for way in ways:
            turned = table.T if way else table
            scored = reciprocal_ranks(turned) if self.mrr else best_in_rows(turned, self.k)
            weights += (scored.T if way else scored) / len(ways)
            nearer = turned > np.diag(table)[:, None]
            rank = nearer.sum(1)
            if self.mrr:
                gain = np.where(rank > 0, 1 / np.maximum(rank, 1) - 1 / (rank + 1.0), 0.0)
            else:
                gain = (rank == self.k).astype(np.float64)
            gains += gain[:, None] * nearer / len(ways)
        rows, columns = np.nonzero(gains)
        return Matches(Cells.of(weights), _blocked(rows, columns, gains[rows, columns], clusters))


def _blocked(rows: IntArray, columns: IntArray, gains: FloatArray, clusters: IntArray | None) -> Blocked:
    """Leave out sentences of one cluster."""
    if clusters is not None:
        apart = clusters[rows] != clusters[columns]
        rows, columns, gains = rows[apart], columns[apart], gains[apart]
    return Blocked(rows, columns, gains)


@register
@dataclass(frozen=True)
class Xsim(Assignment):
    """Error rate of margin-based retrieval."""

    name = "xsim"
    title = "xSIM"
    references = ("artetxe2019margin",)
    source = "LASER xsim (facebookresearch/LASER, source/xsim.py); margins: Artetxe & Schwenk 2019, arXiv 1811.01136"
    higher_is_better = False
    best = 0.0
    has_influence = False

    margin: str = "ratio"
    k: int = 4
    direction: str = "xy"
    centre: bool = False

    def __post_init__(self) -> None:
        one_of(self.name, "margin", self.margin, ("ratio", "distance", "absolute"))
        one_of(self.name, "direction", self.direction, list(DIRECTIONS))
        count(self.name, "k", self.k)

    @property
    def convention_text(self) -> str:
        return (
            f"share of sentences whose best match by {self.margin} margin (k={self.k}) is another sentence: an "
            f"error, 0 is best; {DIRECTIONS[self.direction]}; {self._centred_text}"
        )

    @property
    def minimum_sentences(self) -> int:
        return max(self.k + 1, 3)

    def of_one_column(self) -> None:
        """Return None: the cosine of two numbers is only their signs."""

    def _score(self, hits: float) -> float:
        return 1.0 - hits

    def matches(self, x: Vectors, y: Vectors) -> Matches:
        table = to_numpy(x.rows @ y.rows.T)
        ways = TURNED[self.direction]
        hits = [self._hits(table.T).T if way else self._hits(table) for way in ways]
        return Matches(Cells.of(np.sum(hits, axis=0) / len(ways)))

    def _hits(self, table: FloatArray) -> FloatArray:
        if self.margin == "absolute":
            return best_in_rows(np.round(table / max(float(np.abs(table).max()), 1e-300), 12))
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
    title = "MEXA"
    references = ("kargaran2024mexa",)
    source = "Kargaran et al. 2024, arXiv 2410.05873"
    minimum_sentences = 3
    has_influence = False

    centre: bool = False

    @property
    def convention_text(self) -> str:
        return (
            "share of sentences whose cosine with their own other side exceeds all others in its row and in its "
            f"column; {self._centred_text}"
        )

    def of_one_column(self) -> None:
        """Return None: the cosine of two numbers is only their signs."""

    def matches(self, x: Vectors, y: Vectors) -> Matches:
        table = np.round(to_numpy(x.rows @ y.rows.T), 12)
        in_row, in_column = table == table.max(1, keepdims=True), table == table.max(0, keepdims=True)
        alone = (in_row.sum(1, keepdims=True) == 1) & (in_column.sum(0, keepdims=True) == 1)
        strict = in_row & in_column & alone
        return Matches(Cells.of(np.asarray(strict, dtype=np.float64)))


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
