"""How far apart the mean vectors of two languages or modalities lie, in units of the spread around them.

CCA and CKA centre each side, so that they cannot see that all speech may lie in one corner of the space and all text in
another (Liang et al. 2022, "Mind the Gap", arXiv 2203.02053: the distance between the two means). Here that distance is
taken between vectors as they are and divided by the root mean variance within the two cells, so that layers of unlike
scale compare:

    distance^2 = |mu_a - mu_b|^2 / ((tr Sigma_a + tr Sigma_b) / 2)

At 1 the means are as far apart as a sentence typically lies from the mean of its own cell. Means of n sentences differ
even where nothing else does: the plain squared distance is too large by tr Cov(a - b) / n. The mean inner product of
the differences of two *distinct* sentences is without that bias. It may be negative, and the distance is then given as
-sqrt(-x): read it as nothing found. (Liang's own convention, vectors of length 1 and no division, is the measure
``centroid_gap``.)
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.capture.store import Activations
from babelscope.errors import DataError
from babelscope.gaps.result import table_of
from babelscope.similarity import student
from babelscope.similarity.arrays import FloatArray
from babelscope.similarity.jackknife import Clusters
from babelscope.similarity.score import coded

#: Fewest sentences.
LEAST_SENTENCES = 4
#: Sentences whose inner products are taken at once: what bounds the memory with many languages.
_AT_ONCE = 16

#: What is compared with what: gap, modality and language of a, modality and language of b.
_Pair = tuple[str, tuple[str, str], tuple[str, str]]


@dataclass(frozen=True)
class CentroidDistance:
    """The distance between two means.

    Attributes
    ----------
    distance : float
        In units of the root mean variance within; corrected for the number of sentences; negative where the corrected
        square is.
    low, high : float
        Interval over sentences, by the same convention.
    n : int
    """

    distance: float
    low: float
    high: float
    n: int


def centroid_distance(
    x: Any, y: Any, *, alpha: float = 0.05, clusters: Sequence[Hashable] | NDArray[Any] | None = None
) -> CentroidDistance:
    """Measure how far the means of two sides lie apart.

    Parameters
    ----------
    x, y : array_like, shapes (n, d), (n, d)
        One row a sentence, the same sentences in the same order, the same features.
    alpha : float
        1 - level of the interval.
    clusters : sequence, shape (n,), optional
        What each sentence belongs to, such as its document: pairs of different sentences are then of different
        clusters, and the jackknife leaves out a cluster at a time.

    Returns
    -------
    CentroidDistance

    Raises
    ------
    DataError
        If the shapes differ, there are fewer than 4 sentences, a value is not finite, or neither side varies.

    Notes
    -----
    The interval is Student's, with the delete-one jackknife's standard error of the squared distance; its ends are then
    put on the scale of the distance. Sentences are taken in pairs (the same in x and y), so what both sides share does
    not widen it. Where the means do not differ at all it is too wide by up to sqrt(2).
    """
    sides = [np.asarray(side, dtype=np.float64) for side in (x, y)]
    if sides[0].shape != sides[1].shape or sides[0].ndim != 2:
        raise DataError(
            f"centroid_distance wants two arrays of the same sentences x features, not {sides[0].shape} and "
            f"{sides[1].shape}"
        )
    for name, side in zip("xy", sides, strict=True):
        if not np.isfinite(side).all():
            bad = int(np.flatnonzero(~np.isfinite(side).all(axis=1))[0])
            raise DataError(f"{name} is not finite in row {bad} (counted from 0): leave the sentence out of both sides")
    if len(sides[0]) < LEAST_SENTENCES:
        raise DataError(f"{len(sides[0])} sentences are too few: at least {LEAST_SENTENCES} are needed")
    codes = coded(clusters)
    if codes is not None and len(codes) != len(sides[0]):
        raise DataError(f"centroid_distance: {len(sides[0])} sentences, but clusters are given for {len(codes)}")
    estimate = _distances(np.stack(sides), np.array([0]), np.array([1]), alpha, codes)[0]
    if not np.isfinite(estimate).all():
        raise DataError("neither side varies: there is no spread to measure the distance in")
    return CentroidDistance(float(estimate[0]), float(estimate[1]), float(estimate[2]), len(sides[0]))


def centroids_table(activations: Activations, clusters: NDArray[np.int64] | None = None) -> pd.DataFrame:
    """Measure the distances between the means of all languages and modalities at every point where both stand.

    Parameters
    ----------
    activations : Activations
        Complete.
    clusters : ndarray of int, shape (n,), optional
        Which sentences belong together, from 0.

    Returns
    -------
    DataFrame
        Columns ``centroids`` of :data:`babelscope.gaps.result.TABLE_COLUMNS`: ``modality_gap`` and ``cross_gap`` (a is
        speech, b is text) at the points that both modalities have, the language gaps at every point. No rows with fewer
        than four sentences.
    """
    rows: list[dict[str, Any]] = []
    n = len(activations.sentences)
    points = dict.fromkeys(point for modality in activations.modalities for point in activations.points(modality))
    for point in points if n >= LEAST_SENTENCES else ():
        modalities = [modality for modality in activations.modalities if point in activations.points(modality)]
        pairs = _pairs(modalities, activations.languages)
        cells = list(dict.fromkeys(cell for _, *pair in pairs for cell in pair))
        if not pairs:
            continue
        vectors = np.stack([activations.matrix(point, modality, language) for modality, language in cells])
        place = {cell: index for index, cell in enumerate(cells)}
        first = np.array([place[a] for _, a, _ in pairs])
        second = np.array([place[b] for _, _, b in pairs])
        distances = _distances(vectors, first, second, 0.05, clusters)
        rows += [
            {
                "kind": kind,
                "point": point,
                "stage": str(activations.stage(point, a[0])),
                "depth": activations.depth(point, a[0]),
                "language_a": a[1],
                "language_b": b[1],
                "distance": float(distance),
                "low": float(low),
                "high": float(high),
                "n": n,
            }
            for (kind, a, b), (distance, low, high) in zip(pairs, distances, strict=True)
            if np.isfinite(distance)
        ]
    return table_of("centroids", rows)


def _pairs(modalities: Sequence[str], languages: Sequence[str]) -> list[_Pair]:
    pairs: list[_Pair] = []
    if len(modalities) == 2:
        pairs += [("modality_gap", ("speech", language), ("text", language)) for language in languages]
    for modality in modalities:
        pairs += [
            (f"language_gap_{modality}", (modality, one), (modality, other))
            for one, other in combinations(languages, 2)
        ]
    if len(modalities) == 2:
        pairs += [("cross_gap", ("speech", one), ("text", other)) for one, other in permutations(languages, 2)]
    return pairs


def _distances(
    cells: NDArray[np.floating],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    alpha: float,
    clusters: NDArray[np.int64] | None,
) -> FloatArray:
    """Return distance, low, high of each pair of cells; NaN where neither varies.

    `cells` are of shape (cells, sentences, features).
    """
    count, n, _ = cells.shape
    means = cells.mean(axis=1, dtype=np.float64)
    centre = means.mean(0)
    totals = n * (means - centre)
    # Of each sentence: its inner products with itself, and with the sum over all sentences, for each cell and pair.
    of_cells, of_pairs = np.empty((2, n, count)), np.empty((2, n, len(first)))

    def put(products: FloatArray, cell: FloatArray, pair: FloatArray) -> None:
        cell[...] = np.einsum("sii->si", products)
        pair[...] = products[:, first, first] + products[:, second, second]
        pair -= products[:, first, second] + products[:, second, first]

    for start in range(0, n, _AT_ONCE):
        block = slice(start, start + _AT_ONCE)
        vectors = cells[:, block].transpose(1, 0, 2) - centre
        put(vectors @ vectors.transpose(0, 2, 1), of_cells[0, block], of_pairs[0, block])
        put(vectors @ totals.T, of_cells[1, block], of_pairs[1, block])
    # And of each cluster with itself.
    groups = Clusters(np.arange(n) if clusters is None else clusters)
    sizes = groups.sizes
    inside_cells, inside_pairs = of_cells[0], of_pairs[0]
    if clusters is not None:
        inside_cells, inside_pairs = np.empty((len(sizes), count)), np.empty((len(sizes), len(first)))
        for cluster in range(len(sizes)):
            summed = (cells[:, clusters == cluster] - centre).sum(1)
            put((summed @ summed.T)[None], inside_cells[cluster][None], inside_pairs[cluster][None])
        of_cells, of_pairs = groups.sums(of_cells), groups.sums(of_pairs)
    spread = _unlike(of_cells[0], of_cells[1], inside_cells, sizes, variance=True)
    size = (np.abs(centre).max() ** 2 + of_cells[0].max()) * 1e-24  # what rounding leaves of equal vectors
    within = (spread[:, first] + spread[:, second]) / 2
    within[:, within[0] <= size] = np.nan
    squared = (
        _unlike(of_pairs[0], of_pairs[1], inside_pairs, sizes) / within
    )  # row 0: all sentences; row 1 + c: without cluster c
    without, left = squared[1:], len(sizes)
    error = np.sqrt((left - 1) / left * ((without - without.mean(0)) ** 2).sum(0))
    reach = student.quantile(1 - alpha / 2, left - 1) * np.where(error > 0, error, np.nan)
    ends = np.stack([squared[0], squared[0] - reach, squared[0] + reach], axis=1)
    signed: FloatArray = np.sign(ends) * np.sqrt(np.abs(ends))
    return signed


def _unlike(
    own: FloatArray, rows: FloatArray, inside: FloatArray, sizes: NDArray[np.int64], *, variance: bool = False
) -> FloatArray:
    """Return the mean inner product of two sentences of different clusters: of all, then without each cluster.

    The arguments, shape (clusters, columns), are sums over the sentences of each cluster: with themselves, with all
    sentences, with those of the cluster. With `variance` the mean inner product of a sentence with itself less that is
    returned instead: the trace of the covariance.
    """
    none = np.zeros_like(own[:1])
    left = (sizes.sum() - np.concatenate([[0], sizes]))[:, None].astype(np.float64)
    pairs = left**2 - ((sizes**2).sum() - np.concatenate([[0], sizes**2]))[:, None]
    same, within = (sums.sum(0) - np.concatenate([none, sums]) for sums in (own, inside))
    distinct: FloatArray = (rows.sum(0) - np.concatenate([none, 2 * rows - inside]) - within) / pairs
    return same / left - distinct if variance else distinct
