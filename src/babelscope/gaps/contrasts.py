"""Averages and differences of scores over languages, with intervals for other sentences and other languages.

A *contrast* is a weighted sum of averages: the mean similarity of all pairs in text less that in speech, or the slope
of a curve. Scores that share a language are not independent, nor are scores on the same sentences, so its variance has
two parts. The sentences' part comes from :mod:`babelscope.similarity.deviations`. The languages' part is the jackknife
that leaves out one language at a time with every pair it is in
(:func:`babelscope.similarity.over_languages`), less what the sentences add to that jackknife, which the same draws
tell: otherwise it would be counted twice (Cameron, Gelbach & Miller 2011).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.gaps.comparisons import Comparison
from babelscope.gaps.selecting import matching
from babelscope.similarity import chance_corrected, parse_measure, student
from babelscope.similarity.arrays import FloatArray, IntArray
from babelscope.similarity.deviations import NOTHING, Deviations, intervals

#: Fewest languages from which anything is said of other languages.
FEWEST_LANGUAGES = 3

#: What scores of one place have in common.
_PLACE = ["kind", "point_a", "point_b"]

#: A weight, and the numbers of the scores that it averages.
Term = tuple[float, IntArray]


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of averages of scores.

    `error` is its standard error: NaN if it cannot be had, 0 where no sentence moves the scores, so that it is not
    estimable. Its square is the sum of those of `of_sentences` and `of_languages`; the second is 0 where the languages
    differ by no more than their sentences' noise. `freedom` are the degrees of freedom of Student's t: languages - 1
    where the languages differ, else those of the draws.
    """

    value: float
    error: float
    of_sentences: float
    of_languages: float
    freedom: float
    languages: int

    def interval(self, alpha: float = 0.05) -> tuple[float, float]:
        """Return the interval of level 1 - alpha; NaN if there is no error or it is not estimable."""
        if not self.error > 0:
            return float("nan"), float("nan")
        reach = student.quantile(1 - alpha / 2, self.freedom) * self.error
        return self.value - reach, self.value + reach

    @property
    def p(self) -> float:
        """Two-sided p-value of the value being 0; NaN if there is no error or it is not estimable."""
        if not self.error > 0:
            return float("nan")
        return student.two_sided(self.value / self.error, self.freedom)


class Scored:
    """Scores of one measure without controls, and how they move with the sentences.

    `rows` are rows of the table of scores, of one measure; `values` are what is averaged, the column ``value`` by
    default.
    """

    def __init__(self, rows: pd.DataFrame, deviations: Deviations, values: FloatArray | None = None) -> None:
        self.rows = rows.reset_index(drop=True)
        self.deviations = deviations
        self.values = self.rows["value"].to_numpy(dtype=np.float64) if values is None else values

    @cached_property
    def measure(self) -> str:
        """The measure, as written."""
        return str(self.rows["measure"].iloc[0])

    @cached_property
    def corrected(self) -> Scored:
        """The same scores, chance-corrected (:func:`babelscope.similarity.chance_corrected`).

        The null's mean counts as known.
        """
        best, null = parse_measure(self.measure).best, self.rows["null_mean"]
        unit = np.asarray(chance_corrected(null + 1, null, best))  # what one more of the score is worth
        return Scored(self.rows, self.deviations.scaled(unit), chance_corrected(self.rows["value"], null, best))

    @cached_property
    def disattenuated(self) -> Scored:
        """The chance-corrected scores over their ceilings (:func:`babelscope.gaps.readers.with_ceilings`).

        NaN where a ceiling is not known. Its deviations are those of the ratio, to first order.
        """
        corrected, ceilings = self.corrected, self.rows["ceiling"].to_numpy(dtype=np.float64)
        ceilings = np.where(self.rows["kind"] == "language_similarity_text", 1.0, ceilings)
        values = corrected.values / ceilings
        draws = corrected.deviations.scaled(1 / ceilings)
        readers = self.rows["kind"].to_numpy() == "reader_similarity"
        place = {key: row for row, key in enumerate(self._places("a")) if readers[row]}
        blocks, halves = draws.blocks.copy(), draws.halves.copy()
        for side in "ab":  # what moves a ceiling moves its square root by half of its share
            spoken = (self.rows[f"modality_{side}"] == "speech").to_numpy() & ~readers
            rows = [row for row in np.flatnonzero(spoken) if self._places(side)[row] in place]
            own = [place[self._places(side)[row]] for row in rows]
            factors = values[rows] / (2 * corrected.values[own])
            blocks[:, rows] -= corrected.deviations.blocks[:, own] * factors
            halves[:, rows] -= corrected.deviations.halves[:, own] * factors
        return Scored(self.rows, replace(draws, blocks=blocks, halves=halves), values)

    def _places(self, side: str) -> list[tuple[str, str]]:
        return list(zip(self.rows[f"point_{side}"], self.rows[f"language_{side}"], strict=True))

    @cached_property
    def _of_readers(self) -> FloatArray:
        """The variance that other readers add to single scores: the mean over the languages or pairs of a place."""
        if self.deviations.readers is None:
            return np.zeros(len(self.rows))
        each = pd.Series((self.deviations.readers**2).sum(0))
        return np.asarray(each.groupby([self.rows[key] for key in _PLACE]).transform("mean"), dtype=np.float64)

    @cached_property
    def errors(self) -> FloatArray:
        """Standard errors of the single scores, shape (K,): for other sentences, and readers where two are known."""
        return np.sqrt(self.deviations.variances[0] + self._of_readers)

    @cached_property
    def freedoms(self) -> FloatArray:
        """Degrees of freedom of :attr:`errors`, shape (K,)."""
        count = 0 if self.deviations.readers is None else len(self.deviations.readers)
        return satterthwaite(self.deviations.variances[0], self.deviations.freedoms, self._of_readers, count)

    def intervals(self, alpha: float = 0.05) -> tuple[FloatArray, FloatArray]:
        """Return the ends of the single scores' intervals (:func:`babelscope.similarity.deviations.intervals`)."""
        measure = parse_measure(self.measure)
        return intervals(measure, self.values, self.deviations, alpha, errors=self.errors, freedoms=self.freedoms)

    def interval_of_average(self, rows: IntArray, *, other_languages: bool = True) -> tuple[float, float]:
        """Return the 95 % interval of the plain mean of some scores, on the scale that single scores have.

        It is NaN where there is no error, or none that can be estimated; `other_languages` as :meth:`contrast`.
        """
        contrast = self.contrast([(1.0, rows)], other_languages=other_languages)
        if not contrast.error > NOTHING:
            return float("nan"), float("nan")
        draws = self.deviations.at(rows).averaged()
        error = (float(draws.variances[0][0]) + max(contrast.error**2 - contrast.of_sentences**2, 0.0)) ** 0.5
        low, high = intervals(
            parse_measure(self.measure),
            np.array([contrast.value]),
            draws,
            errors=np.array([error]),
            freedoms=np.array([contrast.freedom]),
        )
        return float(low[0]), float(high[0])

    @property
    def scale(self) -> str:
        """The scale on which intervals of the scores are symmetric."""
        return parse_measure(self.measure).interval_scale

    def reader_rows(self, used: IntArray) -> FloatArray:
        """Return rows over the scores `used` whose products are the covariance that other readers bring them.

        Readers of all languages are taken to differ as much: each language has the mean covariance along the points of
        speech and text. Scores of two languages have what exchanging each language's reader does to all its pairs.
        """
        readers = self.deviations.readers
        if readers is None:
            return np.zeros((0, len(used)))
        kinds = self.rows["kind"].to_numpy(dtype=object)
        own = kinds[used] == "modality_similarity"
        rows = [np.where(own, 0.0, readers[:, used])]
        everywhere = np.flatnonzero(kinds == "modality_similarity")
        codes = pd.factorize(pd.MultiIndex.from_frame(self.rows.loc[everywhere, _PLACE]))[0]
        by_place = np.zeros((len(readers), codes.max() + 1 if len(codes) else 0))
        np.add.at(by_place.T, codes, readers[:, everywhere].T)  # a language's reader moves its own score alone
        place = dict(zip(everywhere.tolist(), codes.tolist(), strict=True))
        at = np.array([place.get(row, 0) for row in used.tolist()])
        languages = self._languages[0][used]
        count = len(set(self._languages[0][everywhere]))
        for language in dict.fromkeys(languages[own].tolist()):
            here = own & (languages == language)
            rows.append(np.where(here, by_place[:, at], 0.0) / count**0.5)
        return np.concatenate(rows)

    @cached_property
    def _languages(self) -> tuple[NDArray[Any], NDArray[Any]]:
        return self.rows["language_a"].to_numpy(dtype=object), self.rows["language_b"].to_numpy(dtype=object)

    def where(self, **equal: Any) -> IntArray:
        """Return the numbers of the rows in which every named column equals the given text, or is in the given list."""
        return np.flatnonzero(matching(self.rows, **equal)).astype(np.int64)

    def contrast(
        self, terms: Sequence[Term], *, other_languages: bool = True, strata: Mapping[str, str] | None = None
    ) -> Contrast:
        """Return a weighted sum of averages, with its error: of each term its weight times the mean over its rows.

        The interval holds for other sentences, and with `other_languages` for other languages too: there is no error
        (NaN) then where they are too few (:data:`FEWEST_LANGUAGES`, in each class). With `strata`, the class of each
        language, the jackknife over languages runs within each class.
        """
        used = np.unique(np.concatenate([rows for _, rows in terms]))
        first, second = (side[used] for side in self._languages)
        languages = list(dict.fromkeys([*first, *second]))
        places = [(weight, np.searchsorted(used, rows).astype(np.int64)) for weight, rows in terms]
        values, draws = self.values[used], self.deviations.at(used)
        whole = _weights(places, len(used), np.ones(len(used), dtype=bool))
        value = float(whole @ values)
        nothing = Contrast(value, np.nan, np.nan, np.nan, np.nan, len(languages))
        if draws.freedom < 1 or not np.isfinite(draws.blocks).all():
            return nothing
        sentences = _corrected(_square(draws.blocks @ whole), _square(draws.halves @ whole))
        sentences *= sentences > NOTHING**2
        if not other_languages:
            readers = self.reader_rows(used)
            added = _square(readers @ whole)
            count = 0 if self.deviations.readers is None else len(self.deviations.readers)
            freedom = float(satterthwaite(sentences, draws.freedom, added, count))
            return Contrast(value, (sentences + added) ** 0.5, sentences**0.5, 0.0, freedom, len(languages))
        groups: dict[str, list[str]] = {}
        for language in languages:
            groups.setdefault(strata[language] if strata else "", []).append(language)
        if min(map(len, groups.values())) < FEWEST_LANGUAGES:
            return nothing
        jackknife, added_once, added_twice = 0.0, 0.0, 0.0
        for members in groups.values():
            without = [_weights(places, len(used), (first != one) & (second != one)) for one in members]
            if any(not np.isfinite(weights).all() for weights in without):
                return nothing
            # Rows: the scaled deviation of the contrast without each language from their mean.
            spread = np.stack(without)
            spread = (spread - spread.mean(0)) * ((len(members) - 1) / len(members)) ** 0.5
            jackknife += _square(spread @ values)
            added_once += _square(spread @ draws.blocks.T)
            added_twice += _square(spread @ draws.halves.T)
        jackknife *= jackknife > NOTHING**2
        between = max(jackknife - _corrected(added_once, added_twice), 0.0)
        least = min(map(len, groups.values()))
        freedom = float(least - 1 if between > 0 else draws.freedom)
        return Contrast(value, (sentences + between) ** 0.5, sentences**0.5, between**0.5, freedom, len(languages))


def satterthwaite(first: Any, freedom: float | FloatArray, second: Any, other: float) -> FloatArray:
    """Return the degrees of freedom of the sum of two variances, from those of each (Satterthwaite 1946)."""
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        both = (first + second) ** 2 / (first**2 / np.maximum(freedom, 1e-9) + second**2 / max(other, 1e-9))
    return np.where(second > 0, both, freedom)


def _weights(places: Sequence[Term], size: int, kept: NDArray[np.bool_]) -> FloatArray:
    """Return the weight of each score in the sum; NaN if a term has no score left."""
    out = np.zeros(size)
    for weight, rows in places:
        there = rows[kept[rows]]
        if not len(there):
            return np.full(size, np.nan)
        np.add.at(out, there, weight / len(there))
    return out


def _square(values: FloatArray) -> float:
    return float((values**2).sum())


def _corrected(blocks: float, halves: float) -> float:
    """Take off the jackknife's variance what it counts too often of pairs of sentences: at most about half of it."""
    return blocks - min(halves, blocks / 2)


def scored_by_measure(
    scores: pd.DataFrame, comparisons: Sequence[Comparison], deviations: Mapping[str, Deviations]
) -> dict[str, Scored]:
    """Return the uncontrolled scores of each measure with their deviations, row by row."""
    position: dict[Any, int] = {
        (comparison.kind, comparison.a, comparison.b): index for index, comparison in enumerate(comparisons)
    }
    plain = scores[scores["control"] == "none"]
    by_measure = {}
    for measure, rows in plain.groupby("measure", sort=False):
        columns = ["kind", *(f"{name}_{side}" for side in "ab" for name in ("modality", "point", "language"))]
        at = np.array(
            [position[row[0], row[1:4], row[4:7]] for row in rows[columns].itertuples(index=False, name=None)]
        )
        by_measure[str(measure)] = Scored(rows, deviations[str(measure)].at(at))
    return by_measure


def with_intervals(scores: pd.DataFrame, scored: Mapping[str, Scored]) -> pd.DataFrame:
    """Return the scores with ``low`` and ``high`` of the uncontrolled ones: 95 %, for other sentences.

    Those of speech are for other readers too where a language has second recordings.

    An interval that would have no width is missing (:meth:`Scored.intervals`).
    """
    out = scores.copy()
    plain = scores[scores["control"] == "none"]
    for measure, rows in plain.groupby("measure", sort=False):
        one = scored[str(measure)]
        if one.deviations.freedom >= 1:
            out.loc[rows.index, "low"], out.loc[rows.index, "high"] = one.intervals()
    return out
