"""What is compared in place of the model: lengths, strings, sounds, and the model's input.

Each baseline gives a matrix for the text or the speech of a language, and is then scored as the model is: by the same
measures, over the same pairs of languages, with the same nulls and intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from babelscope.capture.store import Activations
from babelscope.gaps.baselines import phones
from babelscope.gaps.baselines.ngrams import ngram_vectors
from babelscope.gaps.comparisons import Comparison, Place
from babelscope.gaps.lengths import standardised_log
from babelscope.stages import Stage

LENGTHS, STRINGS, SOUNDS, INPUT = "lengths", "strings", "sounds", "input"

#: Every baseline that is computed without another model: what it is called in a sentence, and what it is.
BASELINES: dict[str, tuple[str, str]] = {
    LENGTHS: ("length alone", "log seconds of the recording (speech) or log tokens of the text"),
    STRINGS: (
        "strings alone",
        "2- and 3-grams of the letters of the transcripts, in Latin letters (anyascii), weighted by tf-idf; for speech "
        "those of its transcripts",
    ),
    SOUNDS: (
        "sounds alone",
        "2- and 3-grams of the phones of the transcripts (espeak-ng), in Latin letters, weighted by tf-idf",
    ),
    INPUT: (
        "the model's input alone",
        "the first point of the model's front end: mean of the frames (speech), bag of embeddings (text)",
    ),
}

#: Kinds of comparison that a baseline says nothing about: a text has the strings of its own recording.
_NOT_FOR: dict[str, frozenset[str]] = {
    STRINGS: frozenset({"modality_similarity"}),
    SOUNDS: frozenset({"modality_similarity", "language_similarity_text", "cross_similarity"}),
}


@dataclass(frozen=True)
class Baseline:
    """One baseline, of :data:`BASELINES`, on the sentences of a store.

    `read` gives the matrix of a place, shape (n, d); `comparisons` are what it says something about; `note` says what
    is missing, and how to get it.
    """

    name: str
    read: Callable[[Place], NDArray[Any]]
    comparisons: list[Comparison]
    note: str = ""

    @property
    def one_column(self) -> bool:
        """Whether each sentence is a single number."""
        return self.name == LENGTHS

    def described(self) -> dict[str, str]:
        """Return what a result's ``meta`` says of it."""
        title, text = BASELINES[self.name]
        return {"name": self.name, "title": title, "text": text, "note": self.note}


class _Dense:
    """Gives sparse vectors as dense rows, by language."""

    def __init__(self, vectors: Mapping[str, csr_array]) -> None:
        self.vectors = dict(vectors)

    def __call__(self, place: Place) -> NDArray[Any]:
        return np.asarray(self.vectors[place.language].toarray())


class _Columns:
    """Gives columns, by modality and language."""

    def __init__(self, columns: Mapping[tuple[str, str], NDArray[np.float64]]) -> None:
        self.columns = dict(columns)

    def __call__(self, place: Place) -> NDArray[Any]:
        return self.columns[place.modality, place.language]


def baselines_of(
    activations: Activations, comparisons: Sequence[Comparison], read: Callable[[Place], NDArray[Any]]
) -> list[Baseline]:
    """Return the baselines of a study's comparisons, in the order of :data:`BASELINES`.

    A baseline has the same kinds and languages; one that cannot be had has no comparisons, and a note. `read` gives the
    activations of a place.
    """
    return [
        _of_lengths(activations, comparisons),
        _of_strings(activations, comparisons),
        _of_sounds(activations, comparisons),
        _of_input(activations, comparisons, read),
    ]


def string_vectors(activations: Activations) -> dict[str, csr_array]:
    """Return the n-grams of the transcripts of every language whose texts all have some."""
    texts = {language: activations.texts(language) for language in activations.languages}
    return _usable(ngram_vectors({language: each for language, each in texts.items() if any(each)}))


def sound_vectors(activations: Activations) -> tuple[dict[str, csr_array], str]:
    """Return the n-grams of the phones of every language that espeak-ng speaks, and what is missing."""
    if not phones.installed():
        return {}, f"espeak-ng is not installed: {phones.REMEDY}"
    spoken = {language: phones.phones_of(activations.texts(language), language) for language in activations.languages}
    vectors = _usable(ngram_vectors({language: said for language, said in spoken.items() if said is not None}))
    missing = [language for language in activations.languages if language not in vectors]
    return vectors, f"espeak-ng says nothing for {', '.join(missing)}" if missing else ""


def _usable(vectors: Mapping[str, csr_array]) -> dict[str, csr_array]:
    """Leave out languages with a text that has no n-gram, or whose texts are all the same."""
    return {
        language: rows
        for language, rows in vectors.items()
        if np.diff(rows.indptr).all() and (rows.max(axis=0) - rows.min(axis=0)).count_nonzero()
    }


def _of_lengths(activations: Activations, comparisons: Sequence[Comparison]) -> Baseline:
    columns = {
        (str(modality), language): column
        for modality in activations.modalities
        for language in activations.languages
        if (column := standardised_log(activations.lengths(modality, language))) is not None
    }
    bare = _at(comparisons, LENGTHS, {"text": LENGTHS, "speech": LENGTHS}, set(columns))
    return Baseline(LENGTHS, _Columns(columns), bare, "" if bare else "no lengths are known")


def _of_strings(activations: Activations, comparisons: Sequence[Comparison]) -> Baseline:
    vectors = string_vectors(activations)
    missing = [language for language in activations.languages if language not in vectors]
    note = f"no usable texts in {', '.join(missing)}" if missing else ""
    return Baseline(STRINGS, _Dense(vectors), _by_language(comparisons, STRINGS, vectors), note)


def _of_sounds(activations: Activations, comparisons: Sequence[Comparison]) -> Baseline:
    if not any(one.kind == "language_similarity_speech" for one in comparisons):
        return Baseline(SOUNDS, _Dense({}), [])
    vectors, note = sound_vectors(activations)
    return Baseline(SOUNDS, _Dense(vectors), _by_language(comparisons, SOUNDS, vectors), note)


def _of_input(
    activations: Activations, comparisons: Sequence[Comparison], read: Callable[[Place], NDArray[Any]]
) -> Baseline:
    first: dict[str, str] = {
        modality: point
        for modality in activations.modalities
        for point in activations.points(modality)[:1]
        if activations.stage(point, modality) == Stage.FRONT_END
    }
    there: set[tuple[str, str]] = {(modality, language) for modality in first for language in activations.languages}
    missing = [modality for modality in activations.modalities if modality not in first]
    note = f"the points of the {' and the '.join(missing)} side do not begin in the front end" if missing else ""
    return Baseline(INPUT, read, _at(comparisons, INPUT, first, there), note)


def _by_language(comparisons: Sequence[Comparison], name: str, vectors: Mapping[str, csr_array]) -> list[Comparison]:
    there = {(modality, language) for modality in ("text", "speech") for language in vectors}
    return _at(comparisons, name, {"text": name, "speech": name}, there)


def _at(
    comparisons: Sequence[Comparison], name: str, points: Mapping[str, str], there: set[tuple[str, str]]
) -> list[Comparison]:
    """Return the comparisons with both sides at the baseline's points, each once, as far as they are there."""
    return list(
        dict.fromkeys(
            Comparison(
                one.kind,
                one.a._replace(point=points[one.a.modality]),
                one.b._replace(point=points[one.b.modality]),
            )
            for one in comparisons
            if {(one.a.modality, one.a.language), (one.b.modality, one.b.language)} <= there
            and one.kind not in _NOT_FOR.get(name, frozenset())
        )
    )
