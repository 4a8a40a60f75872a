"""Which sentences belong together: what a cluster is for resampling, where a corpus does not say."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from babelscope.cache import write_atomically


def clusters_of(
    sentences: Sequence[str], pairs: Sequence[Sequence[int]], known: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the cluster of each sentence that belongs together with another.

    Parameters
    ----------
    sentences : sequence of str
    pairs : sequence of two int
        Numbers of sentences that belong together.
    known : mapping, optional
        Clusters that the corpus has; sentences of one remain together.

    Returns
    -------
    dict
        Sentence to cluster. A cluster is called as the corpus calls it, or like its first sentence.
    """
    parents = list(range(len(sentences)))

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    first: dict[str, int] = {}
    of_known = []
    for number, sentence in enumerate(sentences):
        if known and sentence in known:
            of_known.append((first.setdefault(known[sentence], number), number))
    for one_end, other_end in [*of_known, *pairs]:
        low, high = sorted((root(one_end), root(other_end)))
        parents[high] = low
    sizes: dict[int, int] = {}
    for number in range(len(sentences)):
        sizes[root(number)] = sizes.get(root(number), 0) + 1
    known = known or {}
    return {
        sentence: known.get(sentences[root(number)], sentences[root(number)])
        for number, sentence in enumerate(sentences)
        if sizes[root(number)] > 1 or sentence in known
    }


def write_clusters(path: Path, sentences: Sequence[str], clusters: Mapping[str, str]) -> None:
    """Write a CSV file with a row a sentence: ``sentence,cluster``; a sentence of no cluster is its own."""

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as handle:
            rows = csv.writer(handle)
            rows.writerow(["sentence", "cluster"])
            rows.writerows([sentence, clusters.get(sentence, sentence)] for sentence in sentences)

    write_atomically(path, write)
