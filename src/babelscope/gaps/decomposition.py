"""Where meaning lives: how much of a point's variance is the sentence's, the language's, the modality's, or of none.

A *component of covariance* is what two utterances have in common because they share a label, beyond what they have in
common without it. With x' y the inner product, averaged over all pairs of utterances that share exactly the labels
named (and differ in the others),

    f    = mean x' y of pairs that share nothing
    sentence          = mean over pairs that share the sentence alone, less f
    language          = mean over pairs that share the language alone, less f
    sentence:language = mean over pairs that share both and not the modality, less f and the two above

and so on: each interaction is what is left when f and everything below it are taken off. All three labels shared is the
utterance itself; what is left there, the interaction of all three together with noise, is the *rest*. The seven add up
to half the mean squared distance between two utterances that share nothing, which is the total that shares are of.

Sentences are a random sample, so pairs of two different ones are means over pairs of distinct rows, and each component
is unbiased whatever the distribution. It is so for the languages and modalities at hand, and also for the population of
languages, if they were drawn from one: the estimates are those of the variance components in the balanced design with
every factor random, (MS_sentence - MS_sentence:language - MS_sentence:modality + MS_rest) / (languages x modalities)
for instance. Text and speech that have nothing in common give a sentence share of 0. The sums of squares themselves
would give it half: with two modalities the mean of two unrelated vectors still varies with the sentence. They are in
:attr:`Decomposition.sums_of_squares`, exact and adding up to 1, for whoever wants them.

An unbiased estimate of nothing is negative half the time. It stays so.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from babelscope.capture.store import Activations
from babelscope.errors import DataError
from babelscope.gaps.result import table_of
from babelscope.similarity.arrays import FloatArray
from babelscope.similarity.score import coded

#: The seven components of sentence x language x modality, and the three of one modality alone.
COMPONENTS = ("sentence", "language", "modality", "sentence:language", "sentence:modality", "language:modality", "rest")
COMPONENTS_OF_ONE = ("sentence", "language", "rest")

#: Fewest sentences, and fewest languages behind an interval that speaks for languages too.
LEAST_SENTENCES, LEAST_LANGUAGES = 4, 3

#: Gives the vectors of one language (by index) in one modality (by index): shape (sentences, features).
Read = Callable[[int, int], NDArray[Any]]


@dataclass(frozen=True)
class Decomposition:
    """The variance of one point, in components.

    Attributes
    ----------
    components : dict of str to float
        Unbiased components of covariance, summed over the features, in squared units of the activations.
    shares : dict of str to float
        The components over their sum; they add up to 1, and one may be negative.
    low, high : dict of str to float
        95 % interval of each share; NaN without one.
    sums_of_squares : dict of str to float
        The exact orthogonal decomposition of the sum of squares about the grand mean, as shares that add up to 1. Not
        corrected for anything.
    total : float
        Sum of the components: half the mean squared distance between utterances that share no label.
    n, languages, modalities : int
    convention : str
    """

    components: dict[str, float]
    shares: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]
    sums_of_squares: dict[str, float]
    total: float
    n: int
    languages: int
    modalities: int
    convention: str


def decompose(
    x: Any, *, interval: bool = True, alpha: float = 0.05, clusters: Sequence[Hashable] | NDArray[Any] | None = None
) -> Decomposition:
    """Decompose the variance of crossed activations.

    Parameters
    ----------
    x : array_like, shape (sentences, languages, modalities, features) or (sentences, languages, features)
        One vector an utterance, complete. Without an axis of modalities (or with one of length 1) the components are
        sentence, language and rest, and the rest holds the interaction of the two.
    interval : bool
        Whether to give intervals; see Notes.
    alpha : float
        1 - level of the interval.
    clusters : sequence, shape (sentences,), optional
        What each sentence belongs to, such as its document: pairs of different sentences are then of different
        clusters, and the jackknife leaves out a cluster at a time.

    Returns
    -------
    Decomposition

    Raises
    ------
    DataError
        If the array has another shape, holds NaN or infinity (the cell is named), has fewer than 4 sentences or 2
        languages, or does not vary.

    Notes
    -----
    Intervals speak for other sentences and other languages of the kind at hand; the modalities are what they are.
    Delete-one jackknife variances over sentences and over languages are added, less that of single (sentence, language)
    cells, which is in both; a negative excess of the languages counts as 0. The quantile is Student's, with the degrees
    of freedom of Satterthwaite. With fewer than 3 languages the interval speaks for other sentences alone. No sentence
    is ever taken twice.

    References
    ----------
    Searle, Casella, McCulloch 1992, "Variance Components", chapter 4 (balanced data). Efron & Stein 1981, "The
    jackknife estimate of variance". Cameron, Gelbach, Miller 2011, "Robust inference with multiway clustering".
    """
    values = np.asarray(x)
    if values.ndim == 3:
        values = values[:, :, None, :]
    if values.ndim != 4 or values.dtype.kind not in "fiub":
        raise DataError(
            f"decompose wants real numbers of shape (sentences, languages, modalities, features), not {values.dtype} "
            f"of shape {np.shape(x)}"
        )
    if not np.isfinite(values).all():
        bad = [int(index) for index in np.argwhere(~np.isfinite(values).all(axis=-1))[0]]
        raise DataError(
            f"sentence {bad[0]}, language {bad[1]}, modality {bad[2]} (counted from 0) is not finite: leave it out"
        )
    codes = coded(clusters)
    if codes is not None and len(codes) != len(values):
        raise DataError(f"decompose: {len(values)} sentences, but clusters are given for {len(codes)}")
    return _decompose(
        lambda language, modality: values[:, language, modality], values.shape[:3], interval, alpha, codes
    )


def decomposition_table(activations: Activations, clusters: NDArray[np.int64] | None = None) -> pd.DataFrame:
    """Decompose every point: speech and text crossed where both have the point, and each of them alone everywhere.

    Parameters
    ----------
    activations : Activations
        Complete.
    clusters : ndarray of int, shape (n,), optional
        Which sentences belong together, from 0.

    Returns
    -------
    DataFrame
        Columns ``decomposition`` of :data:`babelscope.gaps.result.TABLE_COLUMNS`; no rows with fewer than two languages
        or four sentences. Points that do not vary are left out.
    """
    languages, n = activations.languages, len(activations.sentences)
    rows: list[dict[str, Any]] = []
    if len(languages) < 2 or n < LEAST_SENTENCES:
        return table_of("decomposition")
    designs: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = [
        (modality, (modality,), activations.points(modality)) for modality in activations.modalities
    ]
    if len(activations.modalities) == 2:
        designs.insert(0, ("all", tuple(activations.modalities), activations.shared_points))
    for design, modalities, points in designs:
        for point in points:

            def read(language: int, modality: int, point: str = point, of: tuple[str, ...] = modalities) -> Any:
                return activations.matrix(point, of[modality], languages[language])

            try:
                decomposition = _decompose(read, (n, len(languages), len(modalities)), True, 0.05, clusters)
            except _ConstantError:
                continue
            low, high = decomposition.low, decomposition.high
            stage, depth = str(activations.stage(point, modalities[0])), activations.depth(point, modalities[0])
            where = {"part": design, "point": point, "stage": stage, "depth": depth, "n": n}
            where["convention"] = decomposition.convention
            rows += [
                {**where, "component": component, "share": share, "low": low[component], "high": high[component]}
                for component, share in decomposition.shares.items()
            ]
    return table_of("decomposition", rows)


class _ConstantError(DataError):
    """Every utterance has the same vector."""


def _decompose(
    read: Read, shape: tuple[int, int, int], interval: bool, alpha: float, clusters: NDArray[np.int64] | None
) -> Decomposition:
    n, languages, modalities = shape
    if n < LEAST_SENTENCES or languages < 2 or modalities < 1:
        raise DataError(
            f"{n} sentences in {languages} languages cannot be decomposed: at least {LEAST_SENTENCES} sentences, two "
            "languages and one modality are needed"
        )
    units = np.arange(n) if clusters is None else clusters
    sizes = np.bincount(units)
    if len(sizes) < 2:
        raise DataError("all sentences are of one cluster: there are no two that are independent")
    clustered = interval and languages >= LEAST_LANGUAGES
    own, rows, within, offset = _inner_products(read, shape, clustered, units)
    if not own[0, 0].sum() > 1e-24 * n * languages * modalities * offset:  # what rounding leaves of equal vectors
        raise _ConstantError("every utterance has the same vector: there is no variance to decompose")
    # [..., 0] is every sentence; [..., 1 + c] is all but cluster c. The axis before does the same with languages.
    none = np.zeros_like(own[..., :1])
    same, inside = (kept.sum(-1, keepdims=True) - np.concatenate([none, kept], axis=-1) for kept in (own, within))
    pairs = rows.sum(-1, keepdims=True) - np.concatenate([none, 2 * rows - within], axis=-1)
    sentences_left = n - np.concatenate([[0], sizes]).astype(float)
    inside_left = (sizes**2).sum() - np.concatenate([[0], sizes**2]).astype(float)
    languages_left = np.where(np.arange(own.shape[1]) == 0, languages, languages - 1).astype(float)[:, None]
    components = _components(
        same, pairs - inside, sentences_left, sentences_left**2 - inside_left, languages_left, modalities
    )
    total = components.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):  # all variance in one sentence: no interval
        shares = components / total
    reach = _reach(shares, alpha) if interval else np.full(len(shares), np.nan)
    names = COMPONENTS if modalities > 1 else COMPONENTS_OF_ONE
    value = shares[:, 0, 0]

    def named(values: FloatArray) -> dict[str, float]:
        return {name: float(one) for name, one in zip(names, values, strict=True)}

    return Decomposition(
        named(components[:, 0, 0]),
        named(value),
        named(value - reach),
        named(value + reach),
        named(_sums_of_squares(same[:, 0, 0], pairs[:, 0, 0], n, languages, modalities)),
        float(total[0, 0]),
        n,
        languages,
        modalities,
        _convention(interval, clustered, alpha, "sentences" if clusters is None else "clusters of sentences"),
    )


def _convention(interval: bool, clustered: bool, alpha: float, units: str) -> str:
    text = "unbiased components of covariance over their sum; not clamped"
    if not interval:
        return text
    over = f"{units} and languages" if clustered else units
    return f"{text}; {1 - alpha:.0%} interval: jackknife over {over}"


def _inner_products(
    read: Read, shape: tuple[int, int, int], leave_out: bool, units: NDArray[np.int64]
) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """Sum the inner products of utterances by cluster: each sentence with itself, with all, and with its cluster.

    Four kinds of sums stand in the first axis: over pairs of one language and one modality; of one language (modalities
    all with all); of one modality (languages all with all); all with all. The second axis is every language, then (if
    `leave_out`) all languages but one at a time. The third is the cluster. Everything is taken about the grand mean,
    whose squared length comes last.
    """
    n, languages, modalities = shape
    every = [(language, modality) for language in range(languages) for modality in range(modalities)]
    sums: dict[int, FloatArray] = {}
    means: dict[tuple[int, int], FloatArray] = {}
    for language, modality in every:
        vectors = np.asarray(read(language, modality), dtype=np.float64)
        means[language, modality] = vectors.mean(0)
        sums[modality] = sums[modality] + vectors if modality in sums else vectors.copy()
    centre = np.mean([means[cell] for cell in every], axis=0)
    for modality in range(modalities):
        sums[modality] -= languages * centre
    whole = np.sum([sums[modality] for modality in range(modalities)], axis=0)
    totals = {modality: sums[modality].sum(0) for modality in range(modalities)}
    variants = 1 + languages * leave_out
    order = np.argsort(units, kind="stable")
    starts = np.flatnonzero(np.diff(units[order], prepend=-1))
    sums_by_cluster = np.zeros((3, 4, variants, len(starts)))

    def products(vectors: FloatArray, total: FloatArray) -> FloatArray:
        """By cluster: of each sentence with itself, with the sum over all sentences, and with its cluster's sum."""
        sorted_rows = vectors[order]
        by_sentence = np.stack([np.einsum("ij,ij->i", sorted_rows, sorted_rows), sorted_rows @ total])
        both = np.add.reduceat(by_sentence, starts, axis=1)
        if len(starts) == n:
            return np.vstack([both, both[:1]])
        clusters = np.add.reduceat(sorted_rows, starts, axis=0)
        return np.vstack([both, np.einsum("ij,ij->i", clusters, clusters)[None]])

    for modality in range(modalities):
        sums_by_cluster[:, 2, 0] += products(sums[modality], totals[modality])
    sums_by_cluster[:, 3, 0] += products(whole, whole.sum(0))
    for language in range(languages):
        variant = 1 + language
        of_language = np.zeros((3, len(starts)))
        together = np.zeros_like(whole)
        for modality in range(modalities):
            vectors = np.asarray(read(language, modality), dtype=np.float64) - centre
            together += vectors
            total = vectors.sum(0)
            of_language += products(vectors, total)
            if leave_out:
                sums_by_cluster[:, 2, variant] += products(sums[modality] - vectors, totals[modality] - total)
        if leave_out:
            others = whole - together
            sums_by_cluster[:, 3, variant] += products(others, others.sum(0))
        for kind, values in ((0, of_language), (1, products(together, together.sum(0)))):
            sums_by_cluster[:, kind] += values[:, None]
            if leave_out:
                sums_by_cluster[:, kind, variant] -= values
    own, rows, within = sums_by_cluster
    return own, rows, within, float(centre @ centre)


def _components(
    same: FloatArray, apart: FloatArray, n: FloatArray, pairs: FloatArray, languages: FloatArray, modalities: int
) -> FloatArray:
    """Turn sums over pairs into means over pairs that share exactly some labels, and these into components.

    `same` are sums over n sentences, `apart` over so many pairs of independent sentences.
    """

    def means(sums: FloatArray, count: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Pairs that share neither language nor modality, the language, the modality, both."""
        other_l, other_m = languages * (languages - 1), modalities * (modalities - 1.0)
        return (
            (sums[3] - sums[1] - sums[2] + sums[0]) / (count * other_l * max(other_m, 1.0)),
            (sums[1] - sums[0]) / (count * languages * max(other_m, 1.0)),
            (sums[2] - sums[0]) / (count * other_l * modalities),
            sums[0] / (count * languages * modalities),
        )

    s_neither, s_language, s_modality, s_both = means(same, n)
    neither, language, modality, both = means(apart, pairs)
    if modalities == 1:
        return np.stack([s_modality - modality, both - modality, s_both - s_modality - both + modality])
    return np.stack(
        [
            s_neither - neither,
            language - neither,
            modality - neither,
            s_language - s_neither - language + neither,
            s_modality - s_neither - modality + neither,
            both - language - modality + neither,
            s_both - s_language - s_modality - both + s_neither + language + modality - neither,
        ]
    )


def _sums_of_squares(same: FloatArray, pairs: FloatArray, n: int, languages: int, modalities: int) -> FloatArray:
    """Return the shares of the sum of squares about the grand mean, by the same sums of inner products."""
    itself, by_language, by_modality, by_sentence = same / np.array(
        [1, modalities, languages, languages * modalities], dtype=float
    )
    cells, offset_l, offset_m, mean = pairs / (
        n * np.array([1, modalities, languages, languages * modalities], dtype=float)
    )
    whole = itself - mean
    if modalities == 1:
        parts = [by_sentence - mean, offset_l - mean]
    else:
        parts = [
            by_sentence - mean,
            offset_l - mean,
            offset_m - mean,
            by_language - by_sentence - offset_l + mean,
            by_modality - by_sentence - offset_m + mean,
            cells - offset_l - offset_m + mean,
        ]
    shares: FloatArray = np.array([*parts, whole - sum(parts)]) / whole
    return shares


def _reach(shares: FloatArray, alpha: float) -> FloatArray:
    """Return half the width of each interval, from shares (component, languages left out, sentences left out)."""
    every, by_sentence, by_language = shares[:, 0, 0], shares[:, 0, 1:], shares[:, 1:, 0]
    n = by_sentence.shape[1]
    of_sentences = (n - 1) / n * ((by_sentence - by_sentence.mean(1, keepdims=True)) ** 2).sum(1)
    variance, freedom = of_sentences, np.full(len(shares), n - 1.0)
    count = by_language.shape[1]
    if count:
        of_languages = (count - 1) / count * ((by_language - by_language.mean(1, keepdims=True)) ** 2).sum(1)
        cells = every[:, None, None] - by_sentence[:, None, :] - by_language[:, :, None] + shares[:, 1:, 1:]
        of_cells = (n - 1) * (count - 1) / (n * count) * (cells**2).sum((1, 2))
        excess = np.maximum(of_languages - of_cells, 0.0)
        variance = of_sentences + excess
        with np.errstate(invalid="ignore", divide="ignore"):
            freedom = variance**2 / (of_sentences**2 / (n - 1) + excess**2 / (count - 1))
    freedom = np.where(np.isfinite(freedom), freedom, n - 1.0)
    reach: FloatArray = stdtrit(freedom, 1 - alpha / 2) * np.sqrt(variance)
    return np.where(reach > 0, reach, np.nan)
