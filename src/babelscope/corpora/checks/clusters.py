"""Which sentences belong together: clusters for resampling, where a corpus gives none."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from babelscope.cache import write_atomically


def clusters_of(
    sentences: Sequence[str], pairs: NDArray[np.int64], known: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the cluster of each sentence that belongs together with another.

    Parameters
    ----------
    pairs : ndarray, int, shape (pairs, 2)
        Numbers of sentences that belong together.
    known : mapping, optional
        Clusters that the corpus has; sentences of one remain together.

    Returns
    -------
    dict
        Sentence to cluster. A cluster is called as the corpus calls it, or like its first sentence.
    """
    known = known or {}
    first: dict[str, int] = {}
    of_known = [
        (first.setdefault(known[name], number), number) for number, name in enumerate(sentences) if name in known
    ]
    edges = np.concatenate([np.array(of_known, dtype=np.int64).reshape(-1, 2), pairs])
    graph = coo_array((np.ones(len(edges), dtype=bool), (edges[:, 0], edges[:, 1])), shape=(len(sentences),) * 2)
    _, labels = connected_components(graph, directed=False)
    sizes = np.bincount(labels, minlength=1)
    leader = np.unique(labels, return_index=True)[1]
    return {
        name: known.get(sentences[leader[label]], sentences[leader[label]])
        for name, label in zip(sentences, labels.tolist(), strict=True)
        if sizes[label] > 1 or name in known
    }


def write_clusters(path: Path, sentences: Sequence[str], clusters: Mapping[str, str], *, named: bool = False) -> None:
    """Write a CSV file with a row a sentence: ``sentence,cluster``.

    A sentence of no cluster is its own; it has none where the corpus itself names clusters (`named`), for it may belong
    to one of these without its text saying so.
    """

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as handle:
            rows = csv.writer(handle)
            rows.writerow(["sentence", "cluster"])
            rows.writerows([sentence, clusters.get(sentence, "" if named else sentence)] for sentence in sentences)

    write_atomically(path, write)
