"""How a score moves with the sentences: its jackknife, in closed form or drawn, and the interval that follows.

In closed form every sentence is left out in turn (:meth:`babelscope.similarity.Measure.influence`). Elsewhere a score
is taken again without blocks of the sentences, and on halves of them. Nothing is drawn twice: a bootstrap repeats
sentences, and two copies of a row agree on both sides whatever the representations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from babelscope.similarity import student
from babelscope.similarity.arrays import FloatArray, IntArray
from babelscope.similarity.intervals import interval_on_scale
from babelscope.similarity.jackknife import SKETCHES
from babelscope.similarity.measure import Measure

#: Partitions of the sentences, blocks of each that are left out in turn, and halvings of the sentences. Few large
#: blocks, because the directions that SVCCA keeps, and a nearest neighbour, change by jumps: a jackknife multiplies the
#: variance of the jumps by blocks - 1. Several partitions, because one of four blocks leaves three degrees of freedom.
PARTITIONS, BLOCKS, HALVINGS = 5, 4, 10

#: What pairs of sentences add to the jackknife, over what they add to the variance, less 1. A pair within one block is
#: kept by all draws but one, another by all but two, and each draw counts what it keeps for the whole.
PAIRS = ((BLOCKS - 1) * 2 * (BLOCKS - 2) * BLOCKS**2 / (BLOCKS - 1) ** 3 + (BLOCKS / (BLOCKS - 1)) ** 2) / BLOCKS - 1


#: The share of a score's jackknife variance up to which what pairs of sentences add is left in: an estimate of it is
#: too large as often as too small. Chosen so that intervals hold as often as they say with flat and with steep spectra
#: (benchmarks/coverage.py).
KEPT_OF_PAIRS = 0.05

#: A standard error up to which scores count as not moving: rounding.
NOTHING = 1e-9

#: Fewest clusters of sentences from which an interval is given.
FEWEST_CLUSTERS = 16


@dataclass(frozen=True)
class Deviations:
    """How scores deviate from draw to draw, scaled so that sums of squares are variances.

    Attributes
    ----------
    blocks : ndarray, shape (B, K)
        Of K scores, without each block of each partition. For any weights w, ``((blocks @ w) ** 2).sum()`` is the
        delete-a-group jackknife's variance of the weighted sum, averaged over the partitions. It counts more than twice
        what pairs of sentences add to it.
    halves : ndarray, shape (H, K)
        ``((halves @ w) ** 2).sum()`` estimates what is counted too often. Without rows where half of the sentences are
        too few for the measure.
    freedom : float
        Degrees of freedom of a variance; 0 where nothing is known.
    readers : ndarray, shape (L, K), optional
        ``((readers @ w) ** 2).sum()`` is the variance that other readers add, from L languages that were heard from
        two readers (:func:`babelscope.gaps.readers.with_readers`).
    closed : bool
        Whether the rows of `blocks` are single clusters, as :meth:`of_clusters` has them.
    units : float
        Sentences, or clusters of sentences.

    Notes
    -----
    Write a score as a sum of contributions of single sentences and of pairs, of variances v1 and v2 (a measure of
    similarity is nearly a U-statistic). Leaving out blocks gives v1 + c v2 in expectation (Efron & Stein 1981), with
    c = 2.22 for four blocks. The mean of the two halves' scores less the whole's has no contribution of single
    sentences, and variance v2; it is taken off c - 1 times.
    """

    blocks: FloatArray
    halves: FloatArray
    freedom: float
    readers: FloatArray | None = None
    closed: bool = False
    units: float = np.inf

    @property
    def freedoms(self) -> FloatArray:
        """Degrees of freedom of the variance of each single score, shape (K,).

        Those of a jackknife in closed form are fewer where few sentences move the score most: with kurtosis k of the
        B deviations, a variance has 2 / (2 / (B - 1) + (k - 3) / B), rounded down, and no more than B - 1.
        """
        count = len(self.blocks)
        if not self.closed or count < 2:
            return np.full(self.blocks.shape[1], self.freedom)
        second, fourth = (self.blocks**2).mean(0), (self.blocks**4).mean(0)
        excess = np.maximum(fourth / np.maximum(second**2, 1e-300) - 3, 0)
        return np.asarray(np.floor(2 / (2 / self.freedom + excess / count) + 1e-9))

    @classmethod
    def of_clusters(cls, deviations: FloatArray) -> Deviations:
        """Return those of a jackknife by cluster in closed form, shape (clusters + SKETCHES, K).

        The last rows are the sketches of pairs of sentences, which say what the jackknife counts twice
        (:meth:`babelscope.similarity.Measure.pair_sketch`).
        """
        clusters = len(deviations) - SKETCHES
        return cls(deviations[:clusters], deviations[clusters:], float(clusters - 1), closed=True, units=clusters)

    @classmethod
    def none(cls, count: int) -> Deviations:
        """Return those of scores of which none are known."""
        return cls(np.full((0, count), np.nan), np.full((0, count), np.nan), 0.0)

    @cached_property
    def variances(self) -> tuple[FloatArray, FloatArray]:
        """The variance that other sentences bring to each score, and what pairs of sentences add to it, shapes (K,).

        What the jackknife counts too often of pairs of sentences is itself an estimate: where it is small it is left
        in, and never more than half of the jackknife's variance is taken off. The variance is never less than what
        pairs add alone: of a score near chance single sentences tell nothing.
        """
        jackknife, pairs = (self.blocks**2).sum(0), (self.halves**2).sum(0)
        alone = pairs if self.closed else pairs / PAIRS
        counted_twice = np.clip(pairs - KEPT_OF_PAIRS * jackknife, 0, jackknife / 2)
        return np.maximum(jackknife - counted_twice, alone), alone

    def without_short_halves(self) -> Deviations:
        """Return these without the halves, if half of the sentences were too few for a measure (NaN)."""
        return self if np.isfinite(self.halves).all() else replace(self, halves=self.halves[:0])

    def scaled(self, factors: FloatArray) -> Deviations:
        """Return the deviations of each score times its factor, shape (K,)."""
        readers = None if self.readers is None else self.readers * factors
        return replace(self, blocks=self.blocks * factors, halves=self.halves * factors, readers=readers)

    def at(self, rows: IntArray | int) -> Deviations:
        """Return the deviations of some of the scores, or of those of one row where the scores are a table."""
        readers = None if self.readers is None else self.readers[:, rows]
        return replace(self, blocks=self.blocks[:, rows], halves=self.halves[:, rows], readers=readers)

    def averaged(self) -> Deviations:
        """Return the deviations of the mean of the scores, for other sentences alone."""
        blocks, halves = (rows.mean(1, keepdims=True) for rows in (self.blocks, self.halves))
        return replace(self, blocks=blocks, halves=halves, readers=None)


def intervals(
    measure: Measure,
    values: FloatArray,
    deviations: Deviations,
    alpha: float = 0.05,
    *,
    errors: FloatArray | None = None,
    freedoms: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Return the lower and upper ends of the intervals of K scores of one measure, shapes (K,).

    They are symmetric on the measure's scale (:attr:`babelscope.similarity.Measure.interval_scale`), and cut where its
    range ends, since no score lies beyond. A score that no sentence moves, or that saturates in every draw, has none
    (NaN): how far it would move cannot be estimated. Where more than other sentences counts, standard errors and their
    degrees of freedom are given.
    """
    variance, of_pairs = deviations.variances
    errors = np.sqrt(variance) if errors is None else errors
    freedoms = deviations.freedoms if freedoms is None else freedoms
    reach = student.quantiles(1 - alpha / 2, freedoms) * np.where(errors > NOTHING, errors, np.nan)
    # At a score of 0 pairs alone are left of the variance. They add less there than here where few directions carry a
    # representation, and as much where many do: half of it is taken to stay.
    at_zero = np.divide(of_pairs, 2 * variance, out=np.zeros_like(variance), where=variance > 0)
    low, high = interval_on_scale(values, reach, measure.interval_scale, deviations.units, at_zero)
    return np.maximum(low, measure.range[0]), np.minimum(high, measure.range[1])


def in_part(measure: Measure, rows: IntArray, n: int, clusters: IntArray | None) -> Measure:
    """Return the measure that scores these of n sentences as the given one scores all (:meth:`Measure.in_part`)."""
    if clusters is None:
        return measure.in_part(len(rows), n)
    return measure.in_part(np.unique(clusters[rows]).size, int(clusters.max()) + 1)


def deviations(
    score: Callable[[IntArray], FloatArray],
    n: int,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    clusters: IntArray | None = None,
) -> Deviations:
    """Return the deviations of whatever scores a function gives for parts of the sentences.

    Parameters
    ----------
    score : callable
        Takes sorted row numbers, gives scores of any shape, the same each time.
    n : int
        Sentences.
    seed : int
    progress : callable, optional
        Called with (draws done, draws).
    clusters : ndarray of int, shape (n,), optional
        Which sentences belong together, from 0: blocks and halves have all of a cluster or none.
    """
    blocks, halves = draws(n, seed, clusters)
    total, done = len(blocks) + 2 * len(halves), 0

    def take(rows: IntArray) -> FloatArray:
        nonlocal done
        values = score(rows)
        done += 1
        if progress is not None:
            progress(done, total)
        return values

    without = np.stack([take(rows) for rows in blocks])
    means = np.stack([(take(first) + take(second)) / 2 for first, second in halves])
    # Less their own mean: the shift that a measure has from fewer sentences is no variance.
    parts = without.reshape(-1, BLOCKS, *without.shape[1:])
    parts = (parts - parts.mean(1, keepdims=True)) * ((BLOCKS - 1) / BLOCKS / len(parts)) ** 0.5
    halves_scaled = (means - means.mean(0)) * (PAIRS / (len(means) - 1)) ** 0.5
    units = n if clusters is None else int(clusters.max()) + 1
    return Deviations(parts.reshape(without.shape), halves_scaled, freedom(units), units=units)


def freedom(n: int) -> float:
    """Return the degrees of freedom of a variance from n sentences, or n clusters of sentences."""
    return float(_partitions(n) * (BLOCKS - 1))


def steps(n: int) -> int:
    """Return how many parts are scored of n sentences, or n clusters of sentences."""
    return _partitions(n) * BLOCKS + 2 * HALVINGS


def _partitions(n: int) -> int:
    """Return how many partitions tell something new: they have no more degrees of freedom than the sentences."""
    return max(1, min(PARTITIONS, (n - 1) // (BLOCKS - 1)))


def draws(
    n: int, seed: int, clusters: IntArray | None = None
) -> tuple[list[IntArray], list[tuple[IntArray, IntArray]]]:
    """Return the sentences that each draw keeps: all but one block, and two halves.

    Returns
    -------
    blocks : list of ndarray of int
        :data:`BLOCKS` sets a partition, each without another block of about n / BLOCKS sentences.
    halves : list of (ndarray of int, ndarray of int)
        :data:`HALVINGS` pairs without a sentence in common.
    """
    generator = np.random.default_rng([seed, n, BLOCKS])
    if clusters is not None:
        return _draws_of_clusters(clusters, generator)
    everything = np.arange(n)
    blocks = [
        np.setdiff1d(everything, left_out).astype(np.int64)
        for _ in range(_partitions(n))
        for left_out in np.array_split(generator.permutation(n), BLOCKS)
    ]
    orders, half = (generator.permutation(n) for _ in range(HALVINGS)), n // 2
    return blocks, [(np.sort(order[:half]), np.sort(order[half : 2 * half])) for order in orders]


def _draws_of_clusters(
    clusters: IntArray, generator: np.random.Generator
) -> tuple[list[IntArray], list[tuple[IntArray, IntArray]]]:
    """Return draws of whole clusters, in blocks and halves of nearly as many sentences."""
    sizes = np.bincount(clusters)

    def divided(count: int) -> IntArray:
        """Return which of so many parts each sentence is in."""
        order = generator.permutation(sizes.size)
        middles = np.cumsum(sizes[order]) - sizes[order] / 2
        of_cluster = np.empty(sizes.size, dtype=np.int64)
        of_cluster[order] = np.minimum(middles * count // clusters.size, count - 1)
        return np.asarray(of_cluster[clusters])

    blocks = [
        np.flatnonzero(block_of != block)
        for block_of in (divided(BLOCKS) for _ in range(_partitions(sizes.size)))
        for block in range(BLOCKS)
    ]
    halves = [(np.flatnonzero(half == 0), np.flatnonzero(half == 1)) for half in (divided(2) for _ in range(HALVINGS))]
    return blocks, halves
