"""How scores move with the sentences: every comparison again without a block of them, and on halves of them.

A score between two languages and a score between two others move together when a sentence goes, because both are taken
on the same sentences. So each draw leaves the same sentences out of everything, and any average or difference of scores
has its variance from the same draws.

Nothing is drawn twice: a bootstrap repeats sentences, and two copies of a row agree on both sides whatever the
representations (see :mod:`babelscope.similarity.intervals`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelscope.gaps.comparisons import Comparison, Place
from babelscope.similarity import pairwise, parse_measure
from babelscope.similarity.blocks import BlockExecutor
from babelscope.similarity.checkpoint import Checkpoint
from babelscope.similarity.measure import Measure
from babelscope.similarity.pair_sketches import SKETCHES

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Partitions of the sentences, blocks of each that are left out in turn, and halvings of the sentences. Few large
#: blocks, because the directions that SVCCA keeps, and a nearest neighbour, change by jumps: a jackknife multiplies the
#: variance of the jumps by blocks - 1. Several partitions, because one of four blocks leaves three degrees of freedom.
PARTITIONS, BLOCKS, HALVINGS = 5, 4, 10

#: What pairs of sentences add to the jackknife, over what they add to the variance, less 1. A pair within one block is
#: kept by all draws but one, another by all but two, and each draw counts what it keeps for the whole.
PAIRS = ((BLOCKS - 1) * 2 * (BLOCKS - 2) * BLOCKS**2 / (BLOCKS - 1) ** 3 + (BLOCKS / (BLOCKS - 1)) ** 2) / BLOCKS - 1


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

    def scaled(self, factors: FloatArray) -> Deviations:
        """Return the deviations of each score times its factor, shape (K,)."""
        readers = None if self.readers is None else self.readers * factors
        return replace(self, blocks=self.blocks * factors, halves=self.halves * factors, readers=readers)

    def at(self, rows: IntArray) -> Deviations:
        """Return the deviations of some of the scores."""
        readers = None if self.readers is None else self.readers[:, rows]
        return replace(self, blocks=self.blocks[:, rows], halves=self.halves[:, rows], readers=readers)


def resample(
    read: Callable[[Place], NDArray[Any]],
    comparisons: Sequence[Comparison],
    measures: Sequence[str],
    n: int,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: Path | None = None,
    memory: float = 1e9,
    clusters: IntArray | None = None,
    executor: BlockExecutor | None = None,
) -> dict[str, Deviations]:
    """Score all comparisons again on parts of the sentences.

    Parameters
    ----------
    read : callable
        Gives the activations of a place, shape (n, width).
    comparisons : sequence of Comparison
    measures : sequence of str
    n : int
        Sentences.
    seed : int
        Of the blocks and halvings; the same ones for all comparisons and measures.
    progress : callable, optional
        Called with (draws done, draws).
    checkpoint : Path, optional
        A folder that keeps finished draws, of one comparison of one store; a run that is called again goes on there.
    memory : float
        As :func:`babelscope.similarity.pairwise`.
    clusters : ndarray of int, shape (n,), optional
        Which sentences belong together, from 0: blocks and halves have all of a cluster or none.
    executor : BlockExecutor, optional
        As :func:`babelscope.similarity.pairwise`.

    Returns
    -------
    dict of str to Deviations
        By measure. NaN where a measure needs one space and a comparison has two, and wherever a draw has too few
        sentences for the measure.
    """
    one_space = np.array([comparison.same_space for comparison in comparisons], dtype=bool)
    # Comparisons that allow the same measures are scored together: each part of each representation is prepared once.
    groups: list[tuple[bool, list[str]]] = []
    for same_space in dict.fromkeys(one_space.tolist()):
        chosen = [measure for measure in measures if same_space or not parse_measure(measure).same_space]
        groups += [(same_space, chosen)] if chosen else []
    drawn: dict[str, dict[bool, Deviations]] = {measure: {} for measure in measures}
    for number, (same_space, chosen) in enumerate(groups):
        pairs = [(comparison.a, comparison.b) for comparison in comparisons if comparison.same_space is same_space]

        def report_progress(done: int, total: int, before: int = number) -> None:
            if progress is not None:
                progress(before * total + done, len(groups) * total)

        score: Callable[[NDArray[np.int64]], NDArray[np.float64]]
        score = partial(_scores, read, chosen, pairs, memory, n, clusters, executor)
        if checkpoint is not None:
            plan = {"measures": chosen, "pairs": len(pairs), "n": n, "seed": seed}
            score = _kept(score, Checkpoint(checkpoint / ("one-space" if same_space else "two-spaces"), plan))
        resampled = deviations(score, n, seed=seed, progress=report_progress, clusters=clusters)
        for column, measure in enumerate(chosen):
            drawn[measure][same_space] = replace(
                resampled, blocks=resampled.blocks[:, column], halves=resampled.halves[:, column]
            )
    return {measure: _joined(by_space, one_space) for measure, by_space in drawn.items() if by_space}


def _joined(by_space: Mapping[bool, Deviations], one_space: NDArray[np.bool_]) -> Deviations:
    """Put the deviations of comparisons in one space and in two together, NaN where a measure was not taken."""
    joined = []
    for name in ("blocks", "halves"):
        arrays = {key: getattr(deviations, name) for key, deviations in by_space.items()}
        filled = np.full((len(next(iter(arrays.values()))), len(one_space)), np.nan)
        for same_space, values in arrays.items():
            filled[:, one_space == same_space] = values
        joined.append(filled)
    # Where half of the sentences are too few, they are for all comparisons.
    short = any(not np.isfinite(deviations.halves).all() for deviations in by_space.values())
    return replace(next(iter(by_space.values())), blocks=joined[0], halves=joined[1][:0] if short else joined[1])


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
        As :func:`resample`.
    """
    blocks, halves = draws(n, seed, clusters)
    steps = len(blocks) + 2 * len(halves)
    done = 0

    def take(rows: IntArray) -> FloatArray:
        nonlocal done
        values = score(rows)
        done += 1
        if progress is not None:
            progress(done, steps)
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
    return blocks, list(_halvings(n, generator))


def _halvings(n: int, generator: np.random.Generator) -> Iterator[tuple[IntArray, IntArray]]:
    for _ in range(HALVINGS):
        order = generator.permutation(n)
        yield np.sort(order[: n // 2]), np.sort(order[n // 2 : 2 * (n // 2)])


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


def _scores(
    read: Callable[[Place], NDArray[Any]],
    measures: Sequence[str],
    pairs: Sequence[tuple[Place, Place]],
    memory: float,
    n: int,
    clusters: IntArray | None,
    executor: BlockExecutor | None,
    rows: IntArray,
) -> FloatArray:
    """Return the scores of some of the sentences, (measures, pairs); NaN where they are too few for a measure."""
    asked = {
        measure: in_part(parsed, rows, n, clusters)
        for measure in measures
        if (parsed := parse_measure(measure)).minimum_sentences <= len(rows)
    }
    values = np.full((len(measures), len(pairs)), np.nan)
    if asked and pairs:
        sides = {place: partial(_rows, read, place, rows) for place in dict.fromkeys(p for pair in pairs for p in pair)}
        within = None if clusters is None else clusters[rows]
        once = list(dict.fromkeys(asked.values()))
        table = pairwise(sides, once, pairs=pairs, null=None, memory=memory, clusters=within, executor=executor)[
            "value"
        ].values
        for measure, used in asked.items():
            values[measures.index(measure)] = table[:, once.index(used)]
    return values


def in_part(measure: Measure, rows: IntArray, n: int, clusters: IntArray | None) -> Measure:
    """Return the measure that scores these of n sentences as the given one scores all (:meth:`Measure.in_part`)."""
    if clusters is None:
        return measure.in_part(len(rows), n)
    return measure.in_part(np.unique(clusters[rows]).size, int(clusters.max()) + 1)


def _kept(score: Callable[[IntArray], FloatArray], checkpoint: Checkpoint) -> Callable[[IntArray], FloatArray]:
    """Return a function that keeps what it gives, by which call it is and for which sentences."""
    calls = 0

    def scored(rows: IntArray) -> FloatArray:
        nonlocal calls
        name, calls = f"draw-{calls:03}", calls + 1
        stored = checkpoint.load(name)
        if stored is not None and np.array_equal(stored.get("rows", ()), rows) and "values" in stored:
            return np.asarray(stored["values"], dtype=np.float64)
        values = score(rows)
        checkpoint.save(name, {"rows": rows, "values": values})
        return values

    return scored


def _rows(read: Callable[[Place], NDArray[Any]], place: Place, rows: IntArray) -> NDArray[Any]:
    return read(place)[rows]
