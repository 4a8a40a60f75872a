"""Positions of recordings aligned to tokens of the same sentences' texts, against two nulls, one language at a time.

Similarity is the cosine after the mean of all positions of the language, modality and point is taken off: direction
alone. Magnitude is reported separately, as the ratio of the norms along the path, nothing being taken off.

Two nulls, each of which says another thing:

- *Other sentences of like length*: within groups of sentences with about as many tokens, texts are permuted. If a
  recording and its text have no more to do with each other than with others of the group, every permutation is as
  likely: the test is exact.
- *The same words, shuffled*: the words of each text in a random order, their vectors as they were. It asks whether the
  order of the positions follows that of the words.

The same draws serve all pairs of layers, and ``p_max`` is that of the largest standardised score over the pairs
(Westfall & Young 1993).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from babelscope.errors import DataError
from babelscope.similarity import student
from babelscope.similarity.jackknife import deviations_by_cluster
from babelscope.tokens.warping import FloatArray, IntArray, Stack, dtw, paths, soft_dtw
from babelscope.tokens.words import shuffled

Item = TypeVar("Item")

#: How paths are scored.
ALIGNMENTS: dict[str, Callable[[Stack], FloatArray]] = {"dtw": dtw, "soft_dtw": soft_dtw}

#: Sentences of a group of like length: each text is compared with those of the others.
GROUP = 8

#: Fewest sentences of a language: below, permutations are too few.
FEWEST = 5

#: Share of positions aligned to another sentence's tokens that count as matching by chance.
ALPHA = 0.05

#: Positions x tokens x pairs that are warped at once: what bounds memory.
AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Sentence:
    """What is known of a sentence besides its positions.

    Attributes
    ----------
    name : str
    words : ndarray of int, shape (tokens,)
        The word of each of its own tokens, from 0 (:func:`babelscope.tokens.words.words_of`); empty if not known.
    cluster : int
    """

    name: str
    words: IntArray
    cluster: int


@dataclass(frozen=True)
class Score:
    """How well one pair of layers is aligned under one measure.

    Attributes
    ----------
    similarity : float
        Mean over the sentences of the path's similarity.
    other, shuffled : float
        The same for other sentences' texts of like length, and for the text's words in a random order (NaN where words
        are not known).
    low, high : float
        95 % interval of ``similarity - other`` over sentences, or their clusters.
    p, p_order : float
        One-sided, by permutation.
    z, null_z : float, ndarray of shape (K,)
        Standardised by the null of other sentences, and its draws; ``order_z`` and ``null_order_z`` by the other null.
    """

    similarity: float
    other: float
    low: float
    high: float
    p: float
    z: float
    null_z: FloatArray
    shuffled: float
    p_order: float
    order_z: float
    null_order_z: FloatArray


@dataclass(frozen=True)
class Details:
    """What the paths of one pair of layers say.

    Attributes
    ----------
    ratio, ratio_low, ratio_high : float
        Mean log2 of a speech position's norm over that of its token, with its 95 % interval over sentences.
    positions_per_token : float
        Mean number of positions on a token, over all tokens.
    no_match : float
        Share of speech positions whose similarity to their token is not above what :data:`ALPHA` of the positions reach
        that are aligned to other sentences' tokens: 1 - ALPHA where nothing matches.
    tokens : sequence of ndarray of int, shape (positions,)
        For each sentence the token of each speech position: of those on the path the most similar.
    """

    ratio: float
    ratio_low: float
    ratio_high: float
    positions_per_token: float
    no_match: float
    tokens: Sequence[IntArray]


class Draws:
    """Groups of like length and the draws of both nulls, the same for all pairs of layers of a language.

    Parameters
    ----------
    sentences : sequence of Sentence
    lengths : sequence of int
        Tokens of each text.
    permutations, shuffles : int
        Draws of either null.
    seed : int

    Raises
    ------
    DataError
        If there are too few sentences.
    """

    def __init__(
        self, sentences: Sequence[Sentence], lengths: Sequence[int], permutations: int, shuffles: int, seed: int = 0
    ) -> None:
        if len(sentences) < FEWEST:
            raise DataError(
                f"{len(sentences)} sentences can be aligned, and {FEWEST} are the fewest for a null: choose a larger n"
            )
        self.sentences = tuple(sentences)
        generator = np.random.default_rng(seed)
        order = np.argsort(np.asarray(lengths), kind="stable")
        self.groups = np.array_split(order, max(1, round(len(order) / GROUP)))
        #: Row by row the text of each sentence in one permutation, shape (K, n).
        self.texts = np.tile(np.arange(len(sentences)), (permutations, 1))
        for group in self.groups:
            for row in range(permutations):
                self.texts[row, group] = generator.permutation(group)
        known = all(len(one.words) for one in sentences) and shuffles > 0
        #: For each sentence its orders of tokens, shape (draws, tokens); empty where words are not known.
        self.orders = [
            np.array([shuffled(one.words, generator) for _ in range(shuffles)]) if known else np.empty((0, 0), np.int64)
            for one in sentences
        ]
        self.has_words = known
        numbers: dict[int, int] = {}
        self.clusters = np.array([numbers.setdefault(one.cluster, len(numbers)) for one in sentences], dtype=np.int64)

    def partners(self) -> list[tuple[int, int]]:
        """Return the pairs of a recording and a text that are aligned: all within each group."""
        return [(int(one), int(other)) for group in self.groups for one in group for other in group]


class Layers:
    """One layer's positions of speech against one layer's tokens of text.

    Parameters
    ----------
    speech, text : sequence of ndarray, shape (positions, width)
        One a sentence: their own positions.
    draws : Draws

    Raises
    ------
    DataError
        If the widths differ: there is no cosine.
    """

    def __init__(
        self, speech: Sequence[NDArray[np.float32]], text: Sequence[NDArray[np.float32]], draws: Draws
    ) -> None:
        if speech[0].shape[1] != text[0].shape[1]:
            raise DataError(f"{speech[0].shape[1]} features of speech and {text[0].shape[1]} of text have no cosine")
        self.draws = draws
        self.norms = [np.linalg.norm(one.astype(np.float64), axis=1) for one in speech]
        self.text_norms = [np.linalg.norm(one.astype(np.float64), axis=1) for one in text]
        self._speech, self._text = _directions(speech), _directions(text)

    def similarity(self, pair: tuple[int, int]) -> NDArray[np.float32]:
        """Return the cosine of every position of a recording with every token of a text."""
        return self._speech[pair[0]] @ self._text[pair[1]].T

    def similarities(self, pairs: Sequence[tuple[int, int]]) -> list[NDArray[np.float32]]:
        """Return the cosines of several pairs of recordings and texts."""
        return [self.similarity(pair) for pair in pairs]

    @property
    def largest(self) -> int:
        """Positions of the longest recording times tokens of the longest text."""
        return max(map(len, self._speech)) * max(map(len, self._text))

    def score(self, measure: str) -> Score:
        """Score the alignment by one of :data:`ALIGNMENTS`."""
        draws, n = self.draws, len(self._speech)
        pairs = draws.partners()
        table = np.full((n, n), np.nan)
        warped = _warped(ALIGNMENTS[measure], pairs, self.similarity, self.largest)
        for (one, other), value in zip(pairs, warped, strict=True):
            table[one, other] = value
        own = np.diag(table).copy()
        sizes = np.isfinite(table).sum(axis=1)
        others = (np.nansum(table, axis=1) - own) / np.maximum(sizes - 1, 1)
        null = np.array([table[np.arange(n), texts].mean() for texts in draws.texts])
        low, high = interval(own - others, draws.clusters)
        p, z, null_z = _tested(own.mean(), null)
        order = np.full(0, np.nan)
        if draws.has_words:
            order = self._shuffled(measure)
        p_order, order_z, null_order_z = _tested(own.mean(), order)
        return Score(
            float(own.mean()),
            float(others.mean()),
            low,
            high,
            p,
            z,
            null_z,
            float(order.mean()) if len(order) else float("nan"),
            p_order,
            order_z,
            null_order_z,
        )

    def _shuffled(self, measure: str) -> FloatArray:
        """Return the mean over sentences for each draw of words in another order, shape (draws,)."""
        orders = [(number, order) for number, own in enumerate(self.draws.orders) for order in own]
        own = self.similarities([(number, number) for number in range(len(self._speech))])
        warped = _warped(ALIGNMENTS[measure], orders, lambda one: own[one[0]][:, one[1]], self.largest)
        return np.asarray(warped.reshape(len(own), -1).mean(axis=0))

    def details(self) -> Details:
        """Return what the cheapest paths say of positions, tokens and norms."""
        pairs = self.draws.partners()
        aligned: list[IntArray] = []
        reached: list[FloatArray] = []
        ratios: list[float] = []
        of_others: list[FloatArray] = []
        counts: list[FloatArray] = []
        by_name: dict[int, tuple[IntArray, FloatArray, float, FloatArray]] = {}
        for start in range(0, len(pairs), 64):
            some = pairs[start : start + 64]
            similar = self.similarities(some)
            for (one, other), table, cells in zip(some, similar, paths(Stack.of(list(similar))), strict=True):
                along = table[cells[:, 0], cells[:, 1]].astype(np.float64)
                order = np.lexsort((-along, cells[:, 0]))
                first = order[np.unique(cells[order, 0], return_index=True)[1]]
                if one != other:
                    of_others.append(along[first])
                    continue
                norms, text_norms = self.norms[one][cells[:, 0]], self.text_norms[one][cells[:, 1]]
                sound = (norms > 0) & (text_norms > 0)
                ratio = float(np.log2(norms[sound] / text_norms[sound]).mean()) if sound.any() else float("nan")
                by_name[one] = (
                    cells[first, 1],
                    along[first],
                    ratio,
                    np.bincount(cells[:, 1], minlength=table.shape[1]).astype(np.float64),
                )
        for number in range(len(self._speech)):
            tokens, values, ratio, count = by_name[number]
            aligned.append(tokens)
            reached.append(values)
            ratios.append(ratio)
            counts.append(count)
        threshold = float(np.quantile(np.concatenate(of_others), 1 - ALPHA))
        low, high = interval(np.array(ratios), self.draws.clusters)
        return Details(
            float(np.mean(ratios)),
            low,
            high,
            float(np.concatenate(counts).mean()),
            float((np.concatenate(reached) <= threshold).mean()),
            aligned,
        )


def _directions(values: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Return positions of length 1 after the mean over all of them is taken off; one that is the mean stays 0."""
    stacked = np.concatenate([vectors.astype(np.float64) for vectors in values])
    mean = stacked.mean(axis=0)
    unit_vectors = []
    for vectors in values:
        centred = vectors.astype(np.float64) - mean
        norms = np.linalg.norm(centred, axis=1, keepdims=True)
        directions = np.divide(centred, norms, out=np.zeros_like(centred), where=norms > 0)
        unit_vectors.append(directions.astype(np.float32))
    return unit_vectors


def _warped(
    measure: Callable[[Stack], FloatArray],
    items: Sequence[Item],
    similarity: Callable[[Item], NDArray[np.float32]],
    largest: int,
) -> FloatArray:
    """Score the similarity of each item, in portions whose tables fit :data:`AT_ONCE`."""
    size = max(1, AT_ONCE // largest)
    starts = range(0, len(items), size)
    return np.concatenate([measure(Stack.of([similarity(one) for one in items[at : at + size]])) for at in starts])


def _tested(observed: float, null: FloatArray) -> tuple[float, float, FloatArray]:
    """Return p, the standardised score, and the standardised draws; NaN without draws."""
    if not len(null):
        return float("nan"), float("nan"), null
    spread = float(null.std())
    p = (1 + int((null >= observed - 1e-12).sum())) / (len(null) + 1)
    if spread <= 1e-9:
        return p, 0.0, np.zeros_like(null)
    return p, (observed - float(null.mean())) / spread, (null - null.mean()) / spread


def p_max(scores: Sequence[float], nulls: Sequence[FloatArray]) -> list[float]:
    """Return each standardised score's p-value against the largest of all in each draw.

    Parameters
    ----------
    scores : sequence of float
        One a pair of layers.
    nulls : sequence of ndarray, shape (K,)
        Their draws, the k-th of each from the same permutation.
    """
    if not nulls or not len(nulls[0]):
        return [float("nan") for _ in scores]
    largest = np.max(np.stack(nulls), axis=0)
    return [(1 + int((largest >= score - 1e-12).sum())) / (len(largest) + 1) for score in scores]


def interval(values: FloatArray, clusters: IntArray, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of a mean over sentences, by a jackknife that leaves out a cluster at a time.

    NaN where there are fewer than three clusters.
    """
    count = int(clusters.max()) + 1
    if count < 3 or not np.isfinite(values).all():
        return float("nan"), float("nan")
    error = float(np.sqrt((deviations_by_cluster(values, clusters) ** 2).sum()))
    half = student.quantile((1 + level) / 2, count - 1) * error
    return float(values.mean() - half), float(values.mean() + half)


def in_word(
    tokens: Sequence[IntArray],
    sentences: Sequence[Sentence],
    times: Sequence[FloatArray],
    spans: Sequence[Mapping[int, tuple[float, float]]],
) -> tuple[float, float, int]:
    """Compare alignments with the times of the words.

    Parameters
    ----------
    tokens : sequence of ndarray of int, shape (positions,)
        The token of each position (:attr:`Details.tokens`).
    sentences : sequence of Sentence
    times : sequence of ndarray, shape (positions,)
        The middle of each position, in seconds.
    spans : sequence of mapping of int to (float, float)
        Begin and end of each word in seconds, by its number; empty where they are not known.

    Returns
    -------
    share : float
        Of the positions within some word, those aligned to a token of that word.
    linear : float
        The same if positions were aligned in proportion, whatever they hold.
    count : int
        Positions within some word.
    """
    right = linear = count = 0
    for aligned, sentence, middles, words in zip(tokens, sentences, times, spans, strict=True):
        size = len(sentence.words)
        for position, middle in enumerate(middles):
            spoken = next((word for word, (begin, end) in words.items() if begin <= middle < end), None)
            if spoken is None or not size:
                continue
            count += 1
            right += int(sentence.words[aligned[position]] == spoken)
            linear += int(sentence.words[min(int((position + 0.5) / len(middles) * size), size - 1)] == spoken)
    if not count:
        return float("nan"), float("nan"), 0
    return right / count, linear / count, count
