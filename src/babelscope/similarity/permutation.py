"""The permutation null: one set of permutations for everything that is compared, and what follows from it.

A permutation pi pairs sentence i of the first side with sentence pi(i) of the second. The same set serves all pairs,
layers and measures of a run, so that a maximum over layers can be taken draw by draw (Gröger et al. 2026, arXiv
2602.14486, Algorithm 2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from babelscope.errors import UsageError
from babelscope.similarity.arrays import FloatArray, IntArray


def permutations(n: int, count: int, seed: int = 0, clusters: IntArray | None = None) -> IntArray:
    """Draw permutations of n sentences, uniformly and independently; fewer of them are the first of more.

    Clusters, where they are given, are kept together: they change places with clusters of the same size, and sentences
    within their cluster. If the sentences of one side are exchangeable in this way, all these permutations of unrelated
    data are equally likely. The seed of the generator is `seed` together with `n` and the number of clusters. What is
    returned has shape (count, n); UsageError if `count` is below 1.
    """
    if count < 1:
        raise UsageError(f"permutations={count}: at least 1 is needed (200 is usual)")
    if clusters is None:
        return np.argsort(np.random.default_rng([seed, n]).random((count, n)), axis=1).astype(np.int64)
    by_size = members(clusters)
    total = sum(len(rows) for rows in by_size.values())
    keys = np.random.default_rng([seed, n, total]).random((count, n + total))
    out = np.empty((count, n), dtype=np.int64)
    before = n
    for rows in by_size.values():  # (clusters of this size, size)
        places = np.argsort(keys[:, before : before + len(rows)], axis=1)
        before += len(rows)
        out[:, rows] = np.take_along_axis(rows[places], np.argsort(keys[:, rows], axis=2), axis=2)
    return out


def members(clusters: IntArray) -> dict[int, IntArray]:
    """Return the rows of the clusters of each size, shape (clusters, size)."""
    _, codes, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    order, starts = np.argsort(codes, kind="stable"), np.cumsum(sizes) - sizes
    return {
        int(size): np.asarray(order[starts[sizes == size][:, None] + np.arange(size)], dtype=np.int64)
        for size in np.unique(sizes)
    }


def distinct_permutations(sizes: Mapping[int, int]) -> float:
    """Return how many permutations keep clusters together, from how many clusters there are of each size.

    Infinity where they are more than a float holds.
    """
    logarithm = sum(math.lgamma(count + 1) + count * math.lgamma(size + 1) for size, count in sizes.items())
    return math.exp(logarithm) if logarithm < 700 else math.inf


def chance_corrected(value: npt.ArrayLike, null_mean: npt.ArrayLike, best: npt.ArrayLike) -> FloatArray:
    """Return (value - null mean) / (best - null mean): the scale on which scores are compared, averaged and subtracted.

    0 is what unrelated sentences give on average, 1 is perfect agreement, and below chance it is negative: nothing is
    cut. The calibrated score (:func:`calibrate`) differs in two ways that would bend an average or a difference: it is
    floored at 0, and its zero is the null's 95th percentile, which lies further from the mean where fewer directions
    carry the sentences.

    Parameters
    ----------
    value, null_mean : array_like
        Scores and the means of their nulls; NaN where there is no null.
    best : array_like
        The best possible scores: 1 for most measures, 0 for those of which smaller is better.

    Returns
    -------
    ndarray of float
        NaN where there is no null, or where chance reaches the best possible score on average.

    References
    ----------
    Of this form are Cohen's kappa (1960) and the adjusted Rand index (Hubert & Arabie 1985).
    """
    value, null_mean = np.asarray(value, dtype=np.float64), np.asarray(null_mean, dtype=np.float64)
    room = np.asarray(best, dtype=np.float64) - null_mean
    return np.asarray((value - null_mean) / np.where(np.abs(room) > 1e-9, room, np.nan), dtype=np.float64)


@dataclass(frozen=True)
class Calibration:
    """A score compared with its null.

    Attributes
    ----------
    mean, sd : float
        Of the null.
    q95 : float
        The null's quantile at 1 - alpha towards the better side (95 % for alpha = .05; the 5 % quantile where smaller
        is better).
    threshold : float
        tau, what a score must pass.
    calibrated : float
        (s - tau) / (best - tau), floored at 0 by definition; 0 where tau has reached the best possible score
        (`saturated`).
    p : float
        One-sided.
    saturated : bool
        The null reaches the best possible score: the measure shows nothing here.
    """

    mean: float
    sd: float
    q95: float
    threshold: float
    calibrated: float
    p: float
    saturated: bool

    def numbers(self) -> dict[str, float]:
        """Return what a table of pairs gives of it, by the names of the table's columns."""
        return {
            "null_mean": self.mean,
            "null_sd": self.sd,
            "null_q95": self.q95,
            "calibrated": self.calibrated,
            "p": self.p,
            "saturated": float(self.saturated),
        }


#: Permutations that are always drawn, and how many that reach the score decide its p-value.
FIRST, ENOUGH = 200, 20


def sequential_p(reached: npt.NDArray[np.bool_]) -> float:
    """Return a p-value from permutations that were drawn until the decision was clear.

    `reached` says whether each permuted score, in the order in which they were drawn, reaches the observed one. If
    :data:`ENOUGH` of the first :data:`FIRST` do, those are all; p is (1 + reached) / (drawn + 1). Else draws go on
    until :data:`ENOUGH` have reached it, at draw L say, and p is ``ENOUGH / L``; or until they run out, and p is (1 +
    reached) / (drawn + 1). Either way the probability of p <= a is at most a for unrelated data.

    References
    ----------
    Besag & Clifford 1991, "Sequential Monte Carlo p-values", Biometrika 78.
    """
    count = int(reached.sum())
    if reached.size > FIRST and count >= ENOUGH:
        return ENOUGH / (int(np.flatnonzero(reached)[ENOUGH - 1]) + 1)
    return (1 + count) / (reached.size + 1)


def calibrate(
    value: float,
    nulls: FloatArray,
    *,
    alpha: float = 0.05,
    best: float = 1.0,
    higher: bool = True,
    sequential: bool = False,
) -> Calibration:
    """Calibrate a score against permuted scores.

    tau is the ceil((1 - alpha)(K + 1))-th order statistic of the K null scores and the observed one together; p is
    (1 + #{null >= observed}) / (K + 1); the calibrated score is max((s - tau) / (best - tau), 0). **It is floored at
    0 by definition**: 0 says "not above chance", not "exactly at chance". Where smaller is better all three are
    mirrored.

    Parameters
    ----------
    value : float
        The observed score.
    nulls : ndarray, shape (K,)
        The score under K permutations of the second side's sentences.
    alpha : float
        Level of the threshold.
    best : float
        The best possible score.
    higher : bool
        Whether larger is better.
    sequential : bool
        Whether they were drawn until the p-value was decided (:func:`sequential_p`).

    Returns
    -------
    Calibration

    References
    ----------
    Gröger, Wen, Brbić 2026, "Revisiting the Platonic Representation Hypothesis: An Aristotelian View", arXiv
    2602.14486, Algorithm 1; the same numbers as its package calibrated-similarity.
    """
    sign = 1.0 if higher else -1.0
    s, null, top = sign * value, sign * np.asarray(nulls, dtype=np.float64), sign * best
    count = null.size
    pooled = np.sort(np.append(null, s))
    rank = min(max(math.ceil((1 - alpha) * (count + 1) - 1e-9), 1), count + 1)
    tau = float(pooled[rank - 1])
    # A permuted score that equals the observed one but for the order of summation counts as reaching it.
    reached = null >= s - 1e-12 * max(1.0, abs(s))
    p = sequential_p(reached) if sequential else (1 + int(reached.sum())) / (count + 1)
    calibrated, saturated = _against(s, tau, top)
    sd = float(null.std(ddof=1)) if count > 1 else 0.0
    q95 = float(np.sort(null)[min(max(math.ceil((1 - alpha) * count - 1e-9), 1), count) - 1])
    return Calibration(float(nulls.mean()), sd, sign * q95, sign * tau, calibrated, 1.0 if saturated else p, saturated)


#: Standard deviations from the null's mean at which a score is out of the reach of further permutations; and by how
#: much the standard deviation of a few hundred permuted scores may be too small.
OUT_OF_REACH, ALLOWANCE = 10.0, 1.15


def out_of_reach(value: float, nulls: FloatArray, *, higher: bool = True) -> float | None:
    """Return the p-value of a score so far beyond its permuted scores that no further ones are worth drawing.

    It is the tail of an exponential law with the null's mean and standard deviation, which is heavier than that of a
    normal law or of a gamma law with less skew. None for a score that permutations may reach.
    """
    beyond = value - nulls.mean() if higher else nulls.mean() - value
    spread = float(nulls.std(ddof=1))
    if not beyond > OUT_OF_REACH * spread > 0:
        return None
    return math.exp(-1 - float(beyond) / (ALLOWANCE * spread))


def _against(s: float, tau: float, top: float) -> tuple[float, bool]:
    """Return the calibrated score and whether the threshold has reached the top."""
    room = top - tau
    if room <= 1e-9 * max(1.0, abs(top)):
        return 0.0, True
    return max((s - tau) / room, 0.0), False
