"""Which sentences of a store are compared, and which of them belong together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelscope.capture.store import Activations
from babelscope.corpora.checks.clusters import clusters_of
from babelscope.errors import UsageError, did_you_mean
from babelscope.gaps.repetition import near_duplicates_of
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
