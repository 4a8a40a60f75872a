"""Second recordings of sentences, by other readers: encoded next to a store, for the noise ceiling of speech.

Not every sentence has one in every language, so that each language has a store of its own, of speech alone, in a
folder next to the first store. A store of an earlier version has no such folder, and is read as before.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelscope.capture.storage import is_url, storage_of
from babelscope.capture.store import Activations
from babelscope.corpora import Corpus

if TYPE_CHECKING:
    from babelscope.models.base import Model
    from babelscope.progress import Progress

#: Fewest sentences of a language with a second recording: below, there is no ceiling.
FEWEST = 20

#: What is done with second recordings.
CEILINGS: dict[str, str] = {
    "auto": f"encoded where a language has at least {FEWEST}: they say how similar two readers of a sentence are",
    "none": "left alone",
}


def place_of_language(store: Path | str, language: str) -> Path | str:
    """Return where the second recordings of a language are kept, next to the store of the first ones."""
    whole = str(store).rstrip("/")
    place = f"{whole.removesuffix('.zarr')}.readers/{language}.zarr"
    return place if is_url(store) else Path(place)


def second_recordings(corpus: Corpus, max_seconds: float | None = None) -> dict[str, Corpus]:
    """Return the second recordings, of at most so many seconds, of each language that has enough for a ceiling."""
    readings = {language: corpus.second_readings(language, max_seconds) for language in corpus.languages}
    return {language: own for language, own in readings.items() if own is not None and len(own) >= FEWEST}


def encode_second(
    model: Model,
    corpus: Corpus,
    store: Path | str,
    *,
    max_seconds: float | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Activations]:
    """Encode the second recordings of a corpus next to the store of its first ones.

    Parameters
    ----------
    model : Model
        That of the store; a model that hears nothing has none.
    store : Path or str
        Of the first recordings.
    max_seconds : float, optional
        Longer second recordings are left out.
    **options
        As :func:`babelscope.encode`.

    Returns
    -------
    dict of str to Activations
        By language, of those with at least :data:`FEWEST` second recordings.

    Raises
    ------
    UsageError, DataError
        As :func:`babelscope.encode`.
    """
    from babelscope.capture.encoding import encode  # imports torch, which reading needs not

    if "speech" not in model.sides:
        return {}
    hearing = dataclasses.replace(model, sides={"speech": model.sides["speech"]})
    stores: dict[str, Activations] = {}
    for language, own in second_recordings(corpus, max_seconds).items():

        def tell(what: str, done: int, total: int) -> None:
            if progress is not None:
                progress(f"second recordings, {what}", done, total)

        stores[language] = encode(hearing, own, place_of_language(store, language), progress=tell, **options)
    return stores


def open_second(activations: Activations) -> dict[str, Activations]:
    """Return the second recordings next to a store, by language; those that are not complete are left out."""
    stores: dict[str, Activations] = {}
    for language in activations.languages:
        place = place_of_language(activations.path, language)
        if storage_of(place).exists("zarr.json") and (own := Activations(place)).complete:
            stores[language] = own
    return stores
