"""Which sentences of a store are compared, which of them belong together, and how far their texts repeat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelscope.capture.store import Activations
from babelscope.corpora.checks.clusters import clusters_of
from babelscope.corpora.checks.wording import duplicates, near_duplicates, read_wordings
from babelscope.errors import UsageError, did_you_mean
from babelscope.similarity.score import coded

#: What is done with the clusters that a store knows.
CLUSTER_CHOICES: dict[str, str] = {
    "auto": "where the store knows which sentences belong together, nulls and intervals keep them together; sentences "
    "whose cluster is not known are left out, unless they are more than half of all",
    "alone": "as auto, but a sentence whose cluster is not known is compared too, as a cluster by itself",
    "texts": "as auto, but sentences whose texts are nearly the same in some language belong together, too",
    "none": "as if every sentence were independent",
}

#: Share of the sentences without a cluster above which they are no longer left out.
MOST_UNKNOWN = 0.5


def compared(activations: Activations, clusters: str) -> Activations:
    """Return the store with the sentences that are compared, by a choice of :data:`CLUSTER_CHOICES`.

    A sentence that belongs to a document, but is not known to, makes permutations of documents no null. So sentences
    without a cluster are left out where others have one; where most have none, a cluster was rather given to those that
    belong together.
    """
    if clusters not in CLUSTER_CHOICES:
        raise UsageError(f"clusters: {clusters!r} is unknown; {did_you_mean(clusters, CLUSTER_CHOICES)}")
    unknown = activations.without_cluster
    if clusters in ("alone", "none") or not 0 < len(unknown) <= MOST_UNKNOWN * len(activations.sentences):
        return activations
    return activations.only([one for one in activations.sentences if one not in set(unknown)])


def documents_of(activations: Activations, clusters: str = "auto") -> NDArray[np.int64] | None:
    """Return the cluster of each sentence, from 0; None where each is taken for independent."""
    if clusters == "none":
        return None
    pairs = near_duplicates_of(activations) if clusters == "texts" else None
    if pairs is None or not len(pairs):
        return coded(activations.clusters)
    known = activations.clusters
    named = {} if known is None else dict(zip(activations.sentences, map(str, known.tolist()), strict=True))
    estimated = clusters_of(activations.sentences, pairs, named)
    return coded([("", one) if one not in estimated else (estimated[one],) for one in activations.sentences])


def described(
    activations: Activations, compared: Activations, clusters: str, documents: NDArray[np.int64] | None
) -> dict[str, Any] | None:
    """Return what a result says of the clusters of its sentences; None where none are known.

    ``count`` clusters; ``sizes``: how many clusters there are of each size; ``source``: whether the corpus names them,
    or the texts too; ``used``: whether nulls and intervals go by them. Where the clusters of some sentences are not
    known, ``unknown`` is how many, and ``left_out`` how many of them were not compared: `activations` has all
    sentences, `compared` those that are compared.
    """
    known = compared.clusters if documents is None else documents
    if known is None:
        return None
    sizes, counts = np.unique(np.unique(known, return_counts=True)[1], return_counts=True)
    by_size = {str(size): int(count) for size, count in zip(sizes, counts, strict=True)}
    description: dict[str, Any] = {"count": int(counts.sum()), "sizes": by_size, "used": documents is not None}
    description["source"] = "texts" if clusters == "texts" and documents is not None else "corpus"
    if unknown := len(activations.without_cluster):
        description |= {"unknown": unknown, "left_out": len(activations.sentences) - len(compared.sentences)}
    return description


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
