"""What readers do to speech: how similar two recordings of a sentence are, and how scores move with the reader.

The similarity of two readers of the same sentences, in one language, is the noise ceiling of speech. Debiased linear
CKA is an inner product of kernels over their norms. Noise that is each reader's own leaves the inner product as it is
on average and adds to the norms, so that it divides out, as in Spearman's correction for attenuation (1904): a
comparison of two sides can reach the square root of the product of their ceilings. That of text is 1 by definition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from babelscope.capture.second_readings import FEWEST
from babelscope.capture.store import Activations
from babelscope.gaps.comparisons import Comparison, Place, by_space
from babelscope.similarity import Measure
from babelscope.similarity.arrays import FloatArray, IntArray
from babelscope.similarity.blocks import NONE, BlockExecutor, Settings
from babelscope.similarity.deviations import Deviations
from babelscope.similarity.pair_table import PairTable

#: The modality of a second recording's place.
SECOND = "second speech"

#: Measures, as written, in which a reader's own noise divides out.
DIVIDES_OUT: tuple[str, ...] = ("linear_cka",)


@dataclass(frozen=True)
class Readings:
    """The second recordings of one language: a store of speech alone.

    `rows` and `own`, shapes (m,), are the sentences that both stores have, by their rows in the first store and in this
    one.
    """

    language: str
    store: Activations
    rows: IntArray
    own: IntArray


def readings_of(activations: Activations, stores: Mapping[str, Activations]) -> list[Readings]:
    """Return the second recordings of the sentences of a store, for each language that has enough of them."""
    place = {sentence: row for row, sentence in enumerate(activations.sentences)}
    readings = []
    for language in activations.languages:
        store = stores.get(language)
        if store is None or "speech" not in activations.modalities:
            continue
        pairs = [(place[sentence], own) for own, sentence in enumerate(store.sentences) if sentence in place]
        if len(pairs) >= FEWEST:
            rows, own = np.array(sorted(pairs), dtype=np.int64).T
            readings.append(Readings(language, store, rows, own))
    return readings


def reader_comparisons(activations: Activations, readings: Sequence[Readings]) -> list[Comparison]:
    """List the comparisons of first and second recordings: each language at each point of speech."""
    return [
        Comparison("reader_similarity", Place("speech", point, one.language), Place(SECOND, point, one.language))
        for one in readings
        for point in activations.points("speech")
        if point in one.store.points("speech")
    ]


class Chosen:
    """Reads some sentences of a place; in another process too, if `read` does."""

    def __init__(self, read: Any, place: Place, rows: IntArray) -> None:
        self.read, self.place, self.rows = read, place, rows

    def __call__(self) -> Any:
        """Return the chosen rows."""
        return self.read(self.place)[self.rows]


def sides_of(first: Any, second: Any, one: Readings, places: Sequence[Place]) -> dict[Place, Chosen]:
    """Return what reads the places of a comparison on the sentences that have a second recording.

    `first` and `second` read a place of the first store, and of the language's own.
    """
    return {
        place: Chosen(second, place._replace(modality="speech"), one.own)
        if place.modality == SECOND
        else Chosen(first, place, one.rows)
        for place in places
    }


@dataclass(frozen=True)
class ReaderEffects:
    """How scores change if a language is heard from its second recordings, shapes (L, K).

    `effects` are of each language with second recordings on each of K scores: the score with the second recordings less
    that with the first, on the sentences that have both; 0 where the language's speech does not take part. `noise` is
    what other sentences do to that difference: its jackknife variance.
    """

    effects: FloatArray
    noise: FloatArray


def reader_effects(
    first: Any,
    seconds: Sequence[tuple[Readings, Any]],
    comparisons: Sequence[Comparison],
    measures: Sequence[Measure],
    units: IntArray | None,
    settings: Mapping[str, Any],
    executor: BlockExecutor | None = None,
) -> dict[str, ReaderEffects]:
    """Score every comparison of speech once more with the second recordings of each language in turn.

    `first` reads a place of the store, and each of `seconds` comes with what reads a place of its own. Measures with a
    jackknife in closed form are taken; `units` are the sentences that it leaves out together. `settings` are further
    fields of :class:`babelscope.similarity.blocks.Settings`. The effects are returned by measure.
    """
    taken = [measure for measure in measures if measure.has_influence]
    shape = (len(seconds), len(comparisons))
    effects = {str(measure): ReaderEffects(np.zeros(shape), np.zeros(shape)) for measure in taken}
    if units is None:
        return effects
    for row, (one, second) in enumerate(seconds):
        touched = [
            at
            for at, each in enumerate(comparisons)
            if any(side.modality == "speech" and side.language == one.language for side in (each.a, each.b))
        ]

        def exchanged(place: Place, language: str = one.language) -> Place:
            there = place.modality == "speech" and place.language == language
            return place._replace(modality=SECOND) if there else place

        for _, chosen, allowed in by_space(taken, [comparisons[at] for at in touched]):
            rows = [touched[at] for at in allowed]
            pairs = [(comparisons[at].a, comparisons[at].b) for at in rows]
            pairs += [(exchanged(a), exchanged(b)) for a, b in pairs]
            sides = sides_of(first, second, one, list(dict.fromkeys(place for pair in pairs for place in pair)))
            table = scored_table(sides, pairs, chosen, ("none",) * len(chosen), one.rows, units, settings, executor)
            assert table.deviations is not None
            count = len(rows)
            for at, measure in enumerate(chosen):
                values = table.numbers["value"][:, at, 0]
                deviations = table.deviations[:, at]
                into = effects[str(measure)]
                into.effects[row, rows] = values[count:] - values[:count]
                # The rows behind the jackknife's are sketches of pairs of sentences.
                each = (deviations[count:] - deviations[:count])[:, : _units(units, one.rows).max() + 1]
                into.noise[row, rows] = (each**2).sum(1)
    return effects


def with_readers(
    deviations: Deviations, effects: ReaderEffects | None, comparisons: Sequence[Comparison], languages: int
) -> Deviations:
    """Return deviations with rows for other readers, whose sums of squares are the variance that readers add.

    The sentence of the additive model is score = mean + sentence + reader + sentence x reader. The jackknife over
    sentences has the first and the last part; half the square of what exchanging a language's reader does has the
    reader's and the last. So of each kind of comparison the share that the last explains is taken off.

    The deviations are of some `comparisons`, from the first on, or of all. Of the languages, those without second
    recordings are taken to have readers that differ as much.
    """
    missing = len(comparisons) - deviations.blocks.shape[1]
    if missing:  # drawn intervals are not drawn for readers
        blocks, halves = (
            np.hstack([draws, np.full((len(draws), missing), np.nan)])
            for draws in (deviations.blocks, deviations.halves)
        )
        deviations = replace(deviations, blocks=blocks, halves=halves)
    if effects is None:
        return deviations
    kinds = np.array([comparison.kind for comparison in comparisons[: effects.effects.shape[1]]])
    rows = np.zeros((len(effects.effects), len(comparisons)))
    for kind in dict.fromkeys(kinds):
        at = np.flatnonzero(kinds == kind)
        total = float(np.nansum(effects.effects[:, at] ** 2))
        share = max(0.0, 1 - float(np.nansum(effects.noise[:, at])) / total) if total > 0 else 0.0
        rows[:, at] = np.nan_to_num(effects.effects[:, at]) * (share / 2 * languages / len(rows)) ** 0.5
    return replace(deviations, readers=rows)


def _units(units: IntArray, rows: IntArray) -> IntArray:
    return np.asarray(np.unique(units[rows], return_inverse=True)[1], dtype=np.int64)


def scored_table(
    sides: Mapping[Place, Any],
    pairs: Sequence[tuple[Place, Place]],
    measures: Sequence[Measure],
    nulls: Sequence[str],
    rows: IntArray,
    units: IntArray | None,
    settings: Mapping[str, Any],
    executor: BlockExecutor | None = None,
) -> PairTable:
    """Return the scores of pairs on some of the sentences, with their deviations where there are units."""
    documents = settings.get("documents")
    if documents is not None:
        documents = _units(documents, rows)
        documents = None if documents.max() + 1 == len(rows) else documents
    chosen = Settings(
        tuple(measures),
        tuple(nulls),
        controls=(NONE,),
        clusters=None if units is None else _units(units, rows),
        sequential=True,
        **{**settings, "documents": documents},
    )
    table = PairTable(dict(sides), list(pairs), chosen, executor=executor)
    table.compute()
    return table


def spread_over(deviations: FloatArray, units: IntArray, rows: IntArray, count: int) -> FloatArray:
    """Return the deviations of scores on some sentences as rows of those on all: 0 for the units that are not there.

    `deviations`, shape (own units + sketches, K), are of the sentences `rows`; there are `count` units in all.
    """
    own = np.unique(units[rows])
    whole = np.zeros((count + len(deviations) - len(own), deviations.shape[1]))
    whole[own], whole[count:] = deviations[: len(own)], deviations[len(own) :]
    return whole


def with_ceilings(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the scores with their column ``ceiling``: what voices leave of perfect agreement.

    That is the square root of the product of both sides' ceilings: for speech the chance-corrected similarity of two
    readers of a sentence at that point, for text 1. NaN for two texts, where there is no second recording, under a
    control, and for measures in which a reader's noise does not divide out (:data:`DIVIDES_OUT`).
    """
    plain = scores["control"] == "none"
    readers = scores[(scores["kind"] == "reader_similarity") & plain]
    readers = readers[readers["measure"].isin(DIVIDES_OUT)]
    places = zip(readers["measure"], readers["point_a"], readers["language_a"], strict=True)
    ceiling = dict(zip(places, readers["chance_corrected"].to_numpy(dtype=np.float64).tolist(), strict=True))
    ceilings = np.full(len(scores), np.nan)
    if ceiling:
        known = plain & scores["measure"].isin(DIVIDES_OUT) & (scores["kind"] != "reader_similarity")
        spoken = known & ((scores["modality_a"] == "speech") | (scores["modality_b"] == "speech"))
        rows = scores[spoken]
        product = np.ones(len(rows))
        for side in "ab":
            keys = zip(rows["measure"], rows[f"point_{side}"], rows[f"language_{side}"], strict=True)
            of_speech = np.array([ceiling.get(key, np.nan) for key in keys])
            product *= np.where(rows[f"modality_{side}"] == "speech", of_speech, 1.0)
        with np.errstate(invalid="ignore"):
            ceilings[spoken.to_numpy()] = np.sqrt(np.where(product > 0, product, np.nan))
    return scores.assign(ceiling=ceilings)
