"""Many tests at once: the best of several layers, any false rejection, and false discoveries among many pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from babelscope.errors import DataError, UsageError
from babelscope.similarity.arrays import FloatArray
from babelscope.similarity.permutation import Calibration, calibrate


@dataclass(frozen=True)
class Best:
    """The best of several scores, tested as such.

    Attributes
    ----------
    index : int
        Which one.
    value : float
    calibration : Calibration
        Against the best of the same scores in each permutation.
    """

    index: int
    value: float
    calibration: Calibration


def max_over(values: Any, nulls: Any, *, alpha: float = 0.05, best: float = 1.0, higher: bool = True) -> Best:
    """Test the best of several scores, such as the best layer.

    The best of 25 layers is high by having been chosen. Each permutation is applied to all layers at once, and the
    best of its scores is one draw of the null of the best.

    Parameters
    ----------
    values : array_like, shape (m,)
        Scores, for instance of m layers.
    nulls : array_like, shape (m, K)
        Their permuted scores under **the same** K permutations: ``null_draws`` of
        :func:`~babelscope.similarity.pairwise` with ``keep_null=True``.
    alpha, best, higher
        As :func:`~babelscope.similarity.calibrate`.

    Returns
    -------
    Best

    Raises
    ------
    UsageError
        If the shapes do not match.
    DataError
        If a score or a draw is NaN.

    References
    ----------
    Gröger et al. 2026, arXiv 2602.14486, Algorithm 2; Westfall & Young 1993.
    """
    scores, drawn = np.asarray(values, dtype=np.float64), np.asarray(nulls, dtype=np.float64)
    if scores.ndim != 1 or drawn.ndim != 2 or drawn.shape[0] != scores.size or not scores.size:
        raise UsageError(
            f"max_over wants m values and m x K permuted scores, got shapes {scores.shape} and {drawn.shape}"
        )
    if np.isnan(scores).any() or np.isnan(drawn).any():
        raise DataError(
            "max_over: a score or a permuted score is missing (NaN); ask pairwise for null='permutation', "
            "keep_null=True"
        )
    index = int(np.argmax(scores) if higher else np.argmin(scores))
    null = drawn.max(0) if higher else drawn.min(0)
    return Best(
        index, float(scores[index]), calibrate(float(scores[index]), null, alpha=alpha, best=best, higher=higher)
    )


def holm(p: Any) -> FloatArray:
    """Return p-values adjusted for the familywise error rate (Holm 1979), whatever their dependence.

    Parameters
    ----------
    p : array_like
        p-values of any shape; NaN stays NaN and does not count.

    Returns
    -------
    ndarray
        Adjusted p-values, the same shape: rejecting all of at most .05, the probability of any false rejection is at
        most .05.

    Raises
    ------
    DataError
        If a value lies outside [0, 1].
    """
    return _adjusted(p, "holm", lambda ordered: np.maximum.accumulate(ordered * np.arange(ordered.size, 0, -1)))


def false_discovery(p: Any, *, dependence: str = "positive") -> FloatArray:
    """Return p-values adjusted for the false discovery rate.

    Parameters
    ----------
    p : array_like
        p-values of any shape; NaN stays NaN and does not count.
    dependence : {"positive", "any"}
        "positive" (Benjamini & Hochberg 1995) holds for independent and for positively dependent tests. Pairs that
        share a language are dependent, mostly so that one high score comes with others; where that is in doubt, "any"
        (Benjamini & Yekutieli 2001) holds whatever the dependence, at the price of a factor of about log(m).

    Returns
    -------
    ndarray
        q-values, the same shape: calling all q <= .05 discoveries, at most 5 % of them are expected to be false.

    Raises
    ------
    UsageError
        For an unknown kind of dependence.
    DataError
        If a value lies outside [0, 1].

    Notes
    -----
    With K permutations no p is below 1/(K+1): among m tests none can pass unless K + 1 > m / .05 or so. A closed-form
    null has no such limit.
    """
    if dependence not in ("positive", "any"):
        raise UsageError(f"false_discovery(dependence={dependence!r}): write 'positive' or 'any'")

    def step_up(ordered: FloatArray) -> FloatArray:
        m = ordered.size
        factor = float((1.0 / np.arange(1, m + 1)).sum()) if dependence == "any" else 1.0
        scaled = ordered * m * factor / np.arange(1, m + 1)
        return np.asarray(np.minimum.accumulate(scaled[::-1])[::-1])

    return _adjusted(p, "false_discovery", step_up)


def _adjusted(p: Any, name: str, adjust: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Return p-values adjusted by a function of them in rising order; at most 1, and NaN where they are."""
    given = np.asarray(p, dtype=np.float64)
    out = np.full(given.shape, np.nan)
    there = ~np.isnan(given)
    values = given[there]
    if values.size == 0:
        return out
    if values.min() < 0 or values.max() > 1:
        raise DataError(f"{name}: p-values lie between 0 and 1")
    order = np.argsort(values)
    adjusted = np.empty(values.size)
    adjusted[order] = np.minimum(adjust(values[order]), 1.0)
    out[there] = adjusted
    return out
