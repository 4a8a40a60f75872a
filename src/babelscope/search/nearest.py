"""Nearest-neighbour search among many vectors: exact, or among candidates of an approximate index of usearch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelscope.cache import write_atomically
from babelscope.errors import DataError

Vectors = NDArray[np.float32]

#: From so many items on, candidates come from the approximate index.
APPROXIMATE_FROM = 100_000
#: Rows that are compared with the query at once.
_BLOCK = 65_536
#: Candidates from the approximate index: for each requested neighbour, and at least.
_CANDIDATES = (20, 400)


def exact(
    vectors: Vectors,
    query: Vectors,
    k: int,
    *,
    means: Sequence[Vectors] = (),
    group: NDArray[np.int64] | None = None,
    rows: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the k rows of vectors of length 1 whose cosine with the query is largest, best first, and the cosines.

    `means` are subtracted from each row before the cosine, by its `group`; the query is centred already then. With
    `rows` only these are looked at. Of equal ones the earlier is first.
    """
    chosen = np.arange(len(vectors)) if rows is None else rows
    wanted = query.astype(np.float64)
    wanted /= max(float(np.linalg.norm(wanted)), 1e-300)
    cosines = np.empty(len(chosen))
    for start in range(0, len(chosen), _BLOCK):
        numbers = chosen[start : start + _BLOCK]
        block = vectors[numbers].astype(np.float64)
        if means and group is not None:
            block -= np.stack(means).astype(np.float64)[group[numbers]]
        norms = np.linalg.norm(block, axis=1)
        cosines[start : start + _BLOCK] = np.where(norms > 1e-9, (block @ wanted) / np.maximum(norms, 1e-300), -1.0)
    k = min(k, len(chosen))
    best = np.argpartition(-cosines, k - 1)[:k] if k else np.empty(0, dtype=np.int64)
    order = best[np.lexsort((chosen[best], -cosines[best]))]
    return chosen[order], cosines[order]


def build(vectors: Vectors, path: Path) -> None:
    """Write an approximate index (HNSW, cosine) of all rows, in one step."""
    from usearch.index import Index

    made = Index(ndim=vectors.shape[1], metric="cos", dtype="f32")
    for start in range(0, len(vectors), _BLOCK):
        block = np.ascontiguousarray(vectors[start : start + _BLOCK], dtype=np.float32)
        made.add(np.arange(start, start + len(block)), block)
    write_atomically(path, lambda temporary: made.save(str(temporary)))


def opened(path: Path, n: int) -> Any:
    """Open what :func:`build` wrote, without reading it whole; DataError if it is damaged, or of other rows."""
    from usearch.index import Index

    try:
        index = Index.restore(str(path), view=True)
    except Exception as error:  # the library raises bare RuntimeError and others
        raise DataError(f"the approximate index {path} cannot be read ({error}): delete it; it is rebuilt") from error
    if index is None or len(index) != n:
        raise DataError(f"the approximate index {path} is not of these {n} items: delete it; it is rebuilt")
    return index


def candidates(index: Any, query: Vectors, k: int) -> NDArray[np.int64]:
    """Return rows that most probably contain the k nearest: to be ranked by :func:`exact`."""
    most = max(_CANDIDATES[0] * k, _CANDIDATES[1])
    matches = index.search(np.ascontiguousarray(query, dtype=np.float32), min(most, len(index)))
    return np.sort(np.asarray(matches.keys, dtype=np.int64).reshape(-1))
