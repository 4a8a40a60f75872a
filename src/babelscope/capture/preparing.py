"""From a cell of a corpus to what a side takes: read, decoded and checked, with the place named in every complaint."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from babelscope.audio import SAMPLE_RATE, load_audio
from babelscope.corpora import Corpus, Recording
from babelscope.errors import DataError
from babelscope.models.base import Modality, Prepared, Side


def text_of(corpus: Corpus, sentence: str, language: str) -> str:
    """Return what is written in a cell.

    Raises
    ------
    DataError
        If there is nothing.
    """
    text = corpus.text(sentence, language)
    if not text or not text.strip():
        raise DataError(f"sentence {sentence!r} has no text in {language!r}: leave it or the language out")
    return text


def recording_of(corpus: Corpus, sentence: str, language: str) -> Recording:
    """Return the primary recording of a cell.

    Raises
    ------
    DataError
        If there is none.
    """
    recordings = corpus.recordings(sentence, language)
    if not recordings:
        raise DataError(f"sentence {sentence!r} has no recording in {language!r}: leave it or the language out")
    return recordings[0]


def prepare(corpus: Corpus, side: Side, modality: Modality, sentence: str, language: str) -> tuple[Prepared, float]:
    """Return what the side takes, and how long it is: tokens of a text, seconds of a recording.

    Parameters
    ----------
    corpus : Corpus
    side : Side
        The language's own.
    modality : {"text", "speech"}
    sentence, language : str

    Raises
    ------
    DataError
        If the text or recording is missing or broken, or the model cannot take it.
    """
    item: str | NDArray[np.float32]
    item = (
        text_of(corpus, sentence, language)
        if modality == "text"
        else load_audio(recording_of(corpus, sentence, language))
    )
    try:
        prepared = side.prepare(item, language)
    except DataError as error:
        raise DataError(f"sentence {sentence!r}, {called(modality)} in {language!r}: {error}") from error
    for point in side.points:
        if point.length(prepared.length) < 1:
            raise DataError(
                f"sentence {sentence!r}, {modality} in {language!r}: {prepared.length} {side.unit} leave no position "
                f"at {point.name}: it is too short for this model"
            )
    return prepared, prepared.length if modality == "text" else len(item) / SAMPLE_RATE


def called(modality: Modality) -> str:
    """Return what a message calls an utterance of the modality."""
    return "text" if modality == "text" else "recording"


def known_columns(corpus: Corpus, language: str, sentences: Sequence[str]) -> dict[str, list[str]]:
    """Return what is known of a language's cells before anything runs: texts, names of recordings, readers."""
    first = [next(iter(corpus.recordings(sentence, language)), None) for sentence in sentences]
    return {
        "text": [corpus.text(sentence, language) or "" for sentence in sentences],
        "recording": [(one.member or one.path.name) if one else "" for one in first],
        "reader": [(one.reader or "") if one else "" for one in first],
    }
