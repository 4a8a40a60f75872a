"""Whether the selective features of one language or modality are those of another, against chance."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.neurons.selective import Cell, IntArray, Selectivity
from babelscope.similarity.multiplicity import holm

#: One row a pair of sets of selective features of one point, both not empty. `question` and `sign` say which features:
#: those larger ("up") for the language, or for speech; "down" are those larger for text. `expected` is the mean
#: overlap of random sets of these sizes, `p` the hypergeometric probability of as many, which takes features to be
#: independent of each other: features that move together make it too small. `p_adjusted` is Holm's over all rows.
OVERLAP_COLUMNS: tuple[str, ...] = (
    "question",
    "sign",
    "point",
    "stage",
    "depth",
    "modality_a",
    "language_a",
    "modality_b",
    "language_b",
    "features",
    "size_a",
    "size_b",
    "overlap",
    "expected",
    "jaccard",
    "p",
    "p_adjusted",
)

#: One row a shared point: whether the features selective for a language in text are those selective for the *same*
#: language in speech. `same` and `others` are mean overlaps over the geometric mean of the sizes, of the same and of
#: two different languages; p permutes the languages of one modality, so that features need not be independent, and
#: `p_adjusted` is corrected for all points (the same permutations, largest standardised score).
MATCH_COLUMNS: tuple[str, ...] = ("point", "stage", "depth", "languages", "same", "others", "p", "p_adjusted")

#: Up to so many languages all their permutations are taken.
_EXACT = 7


def overlap_table(found: Selectivity) -> pd.DataFrame:  # public name
    """Compare sets of selective features at each point: columns :data:`OVERLAP_COLUMNS`.

    Pairs of languages within a modality; text and speech of each language; and, of the features that tell speech from
    text, pairs of languages.
    """
    rows = [_overlap(found, *pair) for pair in _pairs(found)]
    table = pd.DataFrame([row for row in rows if row is not None], columns=list(OVERLAP_COLUMNS))
    return table.assign(p_adjusted=holm(table["p"].to_numpy(np.float64)) if len(table) else [])


def _pairs(selectivity: Selectivity) -> Iterator[tuple[Cell, Cell, str]]:
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in selectivity.auc:
        groups.setdefault((cell.question, cell.point, cell.modality), []).append(cell)
    for (question, point, modality), cells in groups.items():
        for a, b in combinations(cells, 2):
            yield a, b, "up"
            if question == "modality":
                yield a, b, "down"
        if question == "language" and modality == "text":
            for a in cells:
                b = Cell("language", point, "speech", a.language)
                if b in selectivity.auc:
                    yield a, b, "up"


def _overlap(selectivity: Selectivity, a: Cell, b: Cell, sign: str) -> dict[str, Any] | None:
    from scipy.stats import hypergeom

    first, second = (selectivity.selective(cell)[0 if sign == "up" else 1] for cell in (a, b))
    if not len(first) or not len(second):
        return None
    features, shared = len(selectivity.auc[a]), len(np.intersect1d(first, second))
    stage, depth = selectivity.depths[a]
    return {
        "question": a.question,
        "sign": sign,
        "point": a.point,
        "stage": stage,
        "depth": depth,
        "modality_a": a.modality,
        "language_a": a.language,
        "modality_b": b.modality,
        "language_b": b.language,
        "features": features,
        "size_a": len(first),
        "size_b": len(second),
        "overlap": shared,
        "expected": len(first) * len(second) / features,
        "jaccard": shared / (len(first) + len(second) - shared),
        "p": float(hypergeom.sf(shared - 1, features, len(first), len(second))),
    }


def match_table(found: Selectivity, *, seed: int = 0, draws: int = 9_999) -> pd.DataFrame:  # public name
    """Test whether text and speech of a language have the same selective features: columns :data:`MATCH_COLUMNS`.

    Points at which fewer than four languages have selective features in both modalities have no row: too few
    permutations for a p of .05.
    """
    squares: dict[str, NDArray[np.float64]] = {}
    for point in dict.fromkeys(cell.point for cell in found.auc if cell.question == "language"):
        square = _square(found, point)
        if len(square) >= 4:
            squares[point] = square
    rows: list[dict[str, Any]] = []
    drawn: list[NDArray[np.float64]] = []
    for point, square in squares.items():
        count = len(square)
        orders = _orders(count, draws, seed)
        sums = square[np.arange(count), orders].sum(1)
        spread = float(sums.std()) or 1.0
        scores = (sums - sums.mean()) / spread
        drawn.append(scores)
        same = float(np.diag(square).mean())
        stage, depth = found.depths[next(cell for cell in found.auc if cell.point == point)]
        rows.append(
            {
                "point": point,
                "stage": stage,
                "depth": depth,
                "languages": count,
                "same": same,
                "others": float((square.sum() - np.trace(square)) / (count * (count - 1))),
                "p": float((scores >= scores[0] - 1e-9).mean()),
            }
        )
    table = pd.DataFrame(rows, columns=list(MATCH_COLUMNS))
    if not rows:
        return table
    # Points with fewer languages have other permutations: they are then corrected by their number alone.
    if len({len(scores) for scores in drawn}) == 1 and table["languages"].nunique() == 1:
        largest = np.max(drawn, axis=0)
        adjusted = [float((largest >= scores[0] - 1e-9).mean()) for scores in drawn]
    else:
        adjusted = [min(1.0, row["p"] * len(rows)) for row in rows]
    return table.assign(p_adjusted=adjusted)


def _square(selectivity: Selectivity, point: str) -> NDArray[np.float64]:
    """Return the overlaps of text sets (rows) with speech sets (columns) of languages that have both."""
    sets: list[tuple[IntArray, IntArray]] = []
    for cell in selectivity.auc:
        other = Cell("language", point, "speech", cell.language)
        if cell.question == "language" and cell.point == point and cell.modality == "text" and other in selectivity.auc:
            text_set, speech_set = selectivity.selective(cell)[0], selectivity.selective(other)[0]
            if len(text_set) and len(speech_set):
                sets.append((text_set, speech_set))
    square = [[len(np.intersect1d(a, b)) / (len(a) * len(b)) ** 0.5 for _, b in sets] for a, _ in sets]
    return np.array(square).reshape(len(sets), len(sets))


def _orders(count: int, draws: int, seed: int) -> IntArray:
    """Return orders of so many languages, the identity first."""
    if count <= _EXACT:
        return np.array(list(permutations(range(count))), dtype=np.int64)
    orders = np.random.default_rng([seed, count]).random((draws, count)).argsort(axis=1)
    return np.concatenate([np.arange(count)[None], orders]).astype(np.int64)
