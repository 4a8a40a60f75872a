"""Cross-validated CCA: directions found on some sentences, scored on sentences they have not seen.

Fitting and scoring on the same sentences is what makes plain CCA high on unrelated data. Held out, unrelated data
give 0.
"""

# ruff: noqa: D102  (what overrides do is documented in Measure)
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from babelscope.errors import DataError, UsageError
from babelscope.similarity.arrays import Array, FloatArray, IntArray, like, to_numpy
from babelscope.similarity.measure import Measure, count, make, register
from babelscope.similarity.permutation import members
from babelscope.similarity.representation import Representation

GRID = (1, 2, 3, 5, 7, 10, 14, 20, 30, 50, 80, 120, 200)


@dataclass
class Fold:
    """One split of one side: whitened principal coordinates, fitted on the training sentences only."""

    train: FloatArray  # (n_train, k) orthonormal columns
    choose: FloatArray  # (n_choose, k)
    test: FloatArray  # (n_test, k)


@dataclass
class Folds:
    """All splits of one side, and which sentences are in which part."""

    folds: list[Fold]
    parts: list[IntArray]
    n: int
    clusters: IntArray | None = None  # which sentences belong together: a part has all of a cluster or none


@register
@dataclass(frozen=True)
class CVCCA(Measure):
    """CCA scored on held-out sentences."""

    name = "cv_cca"
    title = "Cross-validated CCA"
    references = ("pasad2021layerwise",)
    lead = 3
    source = "held-out CCA with a development part: Pasad, Chou, Livescu 2021, arXiv 2107.04734"
    range = (-1.0, 1.0)
    invariances = frozenset({"rotation", "scale", "shift"})

    max_k: int = 20
    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        count(self.name, "max_k", self.max_k)
        if self.folds < 3:
            raise UsageError(f"cv_cca(folds={self.folds}): at least 3 parts are needed (fit, choose k, score)")

    @property
    def convention_text(self) -> str:
        return (
            f"mean correlation of canonical variates on held-out sentences, {self.folds} folds: fitted on "
            f"{self.folds - 2} parts, "
            f"number of principal directions (at most {self.max_k}) chosen by the summed correlation on one, "
            "scored on the last; "
            "permuted within parts for the null; clusters of sentences, where they are known, are not divided"
        )

    @property
    def minimum_sentences(self) -> int:
        return 6 * self.folds

    def parts(self, n: int, clusters: IntArray | None = None) -> list[IntArray]:
        """Return the parts, the same for every representation of n sentences in these clusters.

        DataError if the clusters are too few or too large for parts of 6 sentences or more.
        """
        generator = np.random.default_rng([self.seed, n, self.folds])
        if clusters is None:
            return [np.sort(rows) for rows in np.array_split(generator.permutation(n), self.folds)]
        # Each cluster in turn goes to the part with the fewest sentences, the largest clusters first.
        sizes = np.bincount(clusters)
        order = generator.permutation(sizes.size)
        order = order[np.argsort(-sizes[order], kind="stable")]
        fold_of, filled = np.empty(sizes.size, dtype=np.int64), np.zeros(self.folds, dtype=np.int64)
        for cluster in order:
            fold_of[cluster] = np.argmin(filled)
            filled[fold_of[cluster]] += sizes[cluster]
        if filled.min() < self.minimum_sentences // self.folds:
            raise DataError(
                f"{self}: {np.count_nonzero(sizes)} clusters of up to {sizes.max()} sentences cannot be divided into "
                f"{self.folds} parts: take another measure, or ignore clusters (clusters='none')"
            )
        return [np.flatnonzero(fold_of[clusters] == fold) for fold in range(self.folds)]

    def prepare(self, x: Representation) -> Folds:
        parts = self.parts(x.n, x.clusters)
        gram = x.gram
        return Folds([self._fold(gram, parts, index) for index in range(self.folds)], parts, x.n, x.clusters)

    def _roles(self, parts: list[IntArray], index: int) -> tuple[list[int], int, int]:
        choose = (index + 1) % self.folds
        return [i for i in range(self.folds) if i not in (index, choose)], choose, index

    def _fold(self, gram: Array, parts: list[IntArray], index: int) -> Fold:
        fit, choose, test = self._roles(parts, index)
        rows = np.concatenate([parts[i] for i in fit])
        at = like(rows, gram)
        inside = to_numpy(gram[at][:, at])
        means = inside.mean(0)
        values, vectors = np.linalg.eigh(inside - means[None, :] - means[:, None] + means.mean())
        values, vectors = values[::-1], vectors[:, ::-1]
        limit = min(self.max_k, max(rows.size // 3, 1))
        # Compared with all sentences: where those that are fitted are all alike, rounding is no direction to divide by.
        least = max(1e-12 * max(float(values[0]), float(to_numpy(gram.diagonal()).max())), 1e-150)
        k = max(1, min(int((values > least).sum()), limit))
        variances = np.maximum(values[:k], least)

        def held_out(unseen: IntArray) -> FloatArray:
            cross = to_numpy(gram[like(unseen, gram)][:, at])
            centred = cross - cross.mean(1)[:, None] - means[None, :] + means.mean()
            return np.asarray(centred @ vectors[:, :k] / variances)

        return Fold(np.ascontiguousarray(vectors[:, :k]), held_out(parts[choose]), held_out(parts[test]))

    def value(self, x: Folds, y: Folds) -> float:
        return float(self._scores(x, y, None)[0][0])

    def ranks(self, x: Folds, y: Folds) -> tuple[float, float]:
        k = float(self._scores(x, y, None)[1][0])
        return k, k

    def permuted(self, x: Folds, y: Folds, orders: IntArray) -> FloatArray:
        return self._scores(x, y, orders)[0]

    def _scores(self, x: Folds, y: Folds, orders: IntArray | None) -> tuple[FloatArray, FloatArray]:
        """Return scores and mean chosen k, one for each permutation."""
        total, chosen = [], []
        within = None if orders is None else [_within(orders, sentences, x.clusters) for sentences in x.parts]
        for index, (a, b) in enumerate(zip(x.folds, y.folds, strict=True)):
            fit, choose, test = self._roles(x.parts, index)
            if within is None:
                train, dev, evaluated = b.train[None], b.choose[None], b.test[None]
            else:
                starts = np.cumsum([0] + [x.parts[i].size for i in fit[:-1]])
                rows = np.concatenate([within[i] + start for i, start in zip(fit, starts, strict=True)], axis=1)
                train, dev, evaluated = b.train[rows], b.choose[within[choose]], b.test[within[test]]
            score, k = _held_out_score(a, train, dev, evaluated)
            total.append(score)
            chosen.append(k)
        return np.mean(total, axis=0), np.mean(chosen, axis=0)


def _within(orders: IntArray, fold_rows: IntArray, clusters: IntArray | None) -> IntArray:
    """Return the permutations of the sentences of a fold that the order of all sentences gives, shape (K, fold).

    With clusters: the order of the clusters of each size, and that of the sentences in each cluster.
    """
    keys = orders[:, fold_rows]
    if clusters is None:
        return np.asarray(np.argsort(np.argsort(keys, axis=1), axis=1))
    out = np.empty_like(keys)
    for rows in members(clusters[fold_rows]).values():
        sentences = keys[:, rows]  # (K, clusters, size)
        places = np.argsort(np.argsort(sentences.min(2), axis=1), axis=1)
        ranks = np.argsort(np.argsort(sentences, axis=2), axis=2)
        out[:, rows] = np.take_along_axis(rows[places], ranks, axis=2)
    return out


def _held_out_score(a: Fold, train: FloatArray, dev: FloatArray, test: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Fit, choose k and score one fold for a stack of arrangements of the second side; shapes (K,), (K,)."""
    most = min(a.train.shape[1], train.shape[2])
    grid = [k for k in GRID if k < most] + [most]
    c = np.einsum("ni,knj->kij", a.train, train, optimize=True)
    sums, means = [], []
    for k in grid:
        left, _, right = np.linalg.svd(c[:, :k, :k])
        right = right.swapaxes(1, 2)
        sums.append(_correlations(a.choose[:, :k] @ left, dev[:, :, :k] @ right).sum(1))
        means.append(_correlations(a.test[:, :k] @ left, test[:, :, :k] @ right).mean(1))
    # The fewest directions whose summed correlation is within the noise of the largest sum: each idle direction adds a
    # correlation of s.d. 1/sqrt(m) around 0, and dilutes the mean that is scored.
    table = np.asarray(sums)
    noise = np.sqrt(np.asarray(grid, dtype=np.float64)[np.argmax(table, axis=0)] / a.choose.shape[0])
    best = np.argmax(table >= table.max(0) - noise, axis=0)
    return np.asarray(means)[best, np.arange(best.size)], np.asarray(grid, dtype=np.float64)[best]


def _correlations(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return Pearson correlations of matching columns, shapes (K, m, k) -> (K, k); 0 where a side is constant."""
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    norms = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return np.asarray((a * b).sum(1) / np.where(norms > 0, norms, 1.0))


def cv_cca(x: Any, y: Any, *, max_k: int = 20, folds: int = 5, seed: int = 0) -> float:
    """CCA fitted on some sentences and scored on others.

    In each fold, principal directions and canonical directions come from all parts but two, their number k from the
    part after (the fewest that come within the noise of the largest sum of held-out correlations), and the score, the
    mean held-out correlation of the k pairs of variates, from the last. The score is the mean over folds.

    Parameters
    ----------
    x, y : array_like or torch.Tensor, shapes (n, dx), (n, dy)
        One row a sentence, the same sentences in the same order.
    max_k : int
        How many principal directions to fit at most; also at most a third of the training sentences.
    folds : int
        Parts; at least 3.
    seed : int
        Which sentence falls in which part.

    Returns
    -------
    float
        In [-1, 1]; 0 on average for unrelated data.

    Raises
    ------
    UsageError, DataError
        For an option out of range; for NaN, a constant side, unequal numbers of sentences or fewer than 6 a part.

    References
    ----------
    Pasad, Chou, Livescu 2021, arXiv 2107.04734 (splits into fit, development and test parts).
    """
    return make(CVCCA, max_k=max_k, folds=folds, seed=seed).between(x, y)
