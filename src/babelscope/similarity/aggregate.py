"""Averages over pairs of languages, with intervals that know that pairs share languages.

435 pairs of 30 languages are not 435 observations: leave one language out and 29 pairs go with it. The s.d. over
pairs divided by sqrt(435) would be several times too small.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from babelscope.errors import DataError, UsageError
from babelscope.similarity import student
from babelscope.similarity.arrays import FloatArray


@dataclass(frozen=True)
class Average:
    """A mean over languages or pairs of languages.

    Attributes
    ----------
    value : float
        Plain mean over the pairs.
    standard_error : float
        Clustered by language; NaN with fewer than 3 languages.
    low, high : float
        95 % interval (Student's t, languages - 1 degrees of freedom); NaN with fewer than 3 languages.
    languages, pairs : int
    """

    value: float
    standard_error: float
    low: float
    high: float
    languages: int
    pairs: int


def over_languages(
    values: Any, first: Sequence[Hashable], second: Sequence[Hashable] | None = None, *, alpha: float = 0.05
) -> Average:
    """Average scores over languages, or over pairs of them, clustered by language.

    The standard error is the jackknife that leaves out one language at a time, with every pair that it is part of.

    Parameters
    ----------
    values : array_like, shape (m,)
        One score a language (speech and text) or a pair of languages.
    first : sequence, length m
        The language, or the first of the pair.
    second : sequence, length m, optional
        The second of the pair.
    alpha : float
        1 - level of the interval.

    Returns
    -------
    Average

    Raises
    ------
    UsageError
        If lengths differ.
    DataError
        If there is no value, or one is NaN (its language is named).

    Notes
    -----
    For scores of pairs the mean is a U-statistic of the languages; its jackknife variance is consistent and leans to
    the large side with few languages.

    References
    ----------
    Arvesen 1969, "Jackknifing U-statistics", Annals of Mathematical Statistics 40.
    """
    scores = np.asarray(values, dtype=np.float64)
    sides = [list(first)] + ([list(second)] if second is not None else [])
    if scores.ndim != 1 or any(len(side) != scores.size for side in sides):
        raise UsageError("over_languages wants one language, or one pair of languages, a score")
    if not scores.size:
        raise DataError("over_languages: there is no score to average")
    if np.isnan(scores).any():
        bad = int(np.flatnonzero(np.isnan(scores))[0])
        raise DataError(f"over_languages: the score of {'-'.join(str(side[bad]) for side in sides)} is missing (NaN)")
    languages = list(dict.fromkeys(label for side in sides for label in side))
    count = len(languages)
    mean = float(scores.mean())
    nothing = Average(mean, np.nan, np.nan, np.nan, count, scores.size)
    if count < 3:
        return nothing
    number = {label: index for index, label in enumerate(languages)}
    coded = np.array([[number[label] for label in side] for side in sides])
    left: list[float] = []
    for index in range(count):
        rest = (coded != index).all(0)
        if not rest.any():
            return nothing
        left.append(float(scores[rest].mean()))
    without: FloatArray = np.asarray(left)
    error = float(np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum()))
    reach = student.quantile(1 - alpha / 2, count - 1) * error
    return Average(mean, error, mean - reach, mean + reach, count, scores.size)
