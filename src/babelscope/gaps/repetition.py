"""How far the sentences of a store repeat one another, by their texts: asked where their clusters are not known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelscope.capture.store import Activations
from babelscope.corpora.checks.clusters import clusters_of
from babelscope.corpora.checks.wording import duplicates, near_duplicates, read_wordings


def near_duplicates_of(activations: Activations) -> NDArray[np.int64] | None:
    """Return pairs of sentences whose texts are nearly the same in at least one language, shape (pairs, 2).

    By the finder of ``babelscope corpora check``. None where no language has texts.
    """
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    known = False
    for language in activations.languages:
        texts = activations.texts(language)
        if any(texts):
            known = True
            pairs += _near_duplicates(texts, language)
    return np.concatenate(pairs) if known else None


def repetition(activations: Activations) -> dict[str, Any] | None:
    """Return how many sentences have a near duplicate; None where no language has texts.

    ``sentences``: how many have, in at least one language, a text that is the same as another's or nearly so;
    ``narrow``: how many times too narrow intervals would be if such sentences were wholly the same (the root of the
    design effect).
    """
    pairs = near_duplicates_of(activations)
    if pairs is None:
        return None
    clusters = clusters_of(activations.sentences, pairs)
    sizes = np.unique(list(clusters.values()), return_counts=True)[1] if clusters else np.zeros(0)
    n = len(activations.sentences)
    effect = (float((sizes**2).sum()) + n - len(clusters)) / n
    return {"sentences": len(clusters), "narrow": effect**0.5}


def _near_duplicates(texts: Sequence[str], language: str) -> list[NDArray[np.int64]]:
    """Return pairs of texts that are the same but for case and punctuation, or nearly the same."""

    def some(numbers: NDArray[np.int64]) -> list[str]:
        return [texts[number] for number in numbers]

    wordings = read_wordings(lambda first, last: texts[first:last], len(texts), language)
    first = duplicates(wordings)
    again = np.flatnonzero((first != np.arange(len(texts))) & (wordings.letters > 0))
    return [np.stack([first[again], again], axis=1), near_duplicates(wordings, some)[0]]
