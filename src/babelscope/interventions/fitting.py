"""What is done to a sentence's speech, fitted on other sentences: shifts and subspaces by language and fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from babelscope.interventions.edits import Edit, FloatArray, Shift, Swap, random_basis, rotated_at_random

#: Vectors, at most, whose Gaussian combinations are the random directions; differences, at most, of which the leading
#: directions are taken.
_SAMPLE = 1_000


def folds_of(clusters: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """Return each sentence's fold: whole clusters, in folds of nearly as many sentences.

    Parameters
    ----------
    clusters : ndarray of int, shape (n,)
        From 0.
    folds, seed : int
    """
    generator = np.random.default_rng([seed, folds])
    sizes = np.bincount(clusters)
    of_cluster, filled = np.zeros(len(sizes), dtype=np.int64), np.zeros(folds)
    order = generator.permutation(len(sizes))
    for cluster in order[np.argsort(-sizes[order], kind="stable")]:
        of_cluster[cluster] = int(filled.argmin())
        filled[of_cluster[cluster]] += sizes[cluster]
    return np.asarray(of_cluster[clusters])


@dataclass(frozen=True)
class Fitted:
    """One kind of patch at one point.

    Attributes
    ----------
    edits : dict of (language, fold) to Edit
    size : float
        Root mean square of what is added to a training vector, over the spread of speech within its languages.
    """

    edits: dict[tuple[str, int], Edit]
    size: float


def fit(
    kind: str,
    speech: Mapping[str, FloatArray],
    text: Mapping[str, FloatArray],
    folds: NDArray[np.int64],
    directions: int,
    draws: int,
    seed: int,
) -> list[Fitted]:
    """Fit a patch on pooled vectors, and as many random ones of the same size.

    Parameters
    ----------
    kind : {"centroid", "subspace", "language"}
    speech, text : mapping of language to ndarray, shape (n, width)
        Pooled over positions by their mean: moving every position by a vector moves these by the same.
    folds : ndarray of int, shape (n,)
        What moves a sentence is fitted on the sentences of all other folds.
    directions : int
        Of the subspace.
    draws : int
    seed : int

    Returns
    -------
    list of Fitted
        The patch itself, then the random ones. Random shifts keep the angles among the languages' shifts.

    Notes
    -----
    The directions between the modalities are the leading right singular vectors of the differences between text and
    speech of each sentence and language, not centred: the first is close to the difference of the centroids.
    """
    generator = np.random.default_rng([seed, len(kind), draws])
    sample = _sample([*speech.values(), *text.values()], generator)
    spread = float(np.sqrt(np.mean([((x - x.mean(0)) ** 2).sum(1).mean() for x in speech.values()])))
    keys = [(language, fold) for language in speech for fold in range(int(folds.max()) + 1)]
    if kind == "subspace":
        return _subspaces(speech, text, folds, keys, directions, draws, sample, spread, generator)
    shifts = np.stack([_shift(kind, speech, text, language, folds != fold) for language, fold in keys])
    drawn = [shifts, *(rotated_at_random(shifts, sample, generator) for _ in range(draws))]
    return [
        Fitted(
            {key: Shift(np.ascontiguousarray(row)) for key, row in zip(keys, rows, strict=True)},
            float(np.sqrt((rows**2).sum(1).mean())) / max(spread, 1e-300),
        )
        for rows in drawn
    ]


def _shift(
    kind: str, speech: Mapping[str, FloatArray], text: Mapping[str, FloatArray], language: str, kept: NDArray[np.bool_]
) -> FloatArray:
    own = speech[language][kept].mean(0)
    if kind == "centroid":
        return np.asarray(text[language][kept].mean(0) - own)
    return np.asarray(np.mean([x[kept].mean(0) for x in speech.values()], axis=0) - own)


def _subspaces(
    speech: Mapping[str, FloatArray],
    text: Mapping[str, FloatArray],
    folds: NDArray[np.int64],
    keys: list[tuple[str, int]],
    directions: int,
    draws: int,
    sample: FloatArray,
    spread: float,
    generator: np.random.Generator,
) -> list[Fitted]:
    bases: dict[int, FloatArray] = {}
    for fold in sorted({fold for _, fold in keys}):
        kept = folds != fold
        differences = np.concatenate([text[language][kept] - speech[language][kept] for language in speech])
        bases[fold] = np.linalg.svd(_at_most(differences, generator), full_matrices=False)[2][:directions]
    own = {(language, fold): Swap(bases[fold], text[language][folds != fold].mean(0)) for language, fold in keys}
    changes = [(swap.target - speech[language][folds == fold]) @ swap.basis.T for (language, fold), swap in own.items()]
    size = float(np.sqrt(np.concatenate([(change**2).sum(1) for change in changes]).mean())) / max(spread, 1e-300)
    fitted = [Fitted(dict(own), size)]
    for _ in range(draws):
        basis = random_basis(sample, directions, generator)
        fitted.append(Fitted({key: Swap(basis, swap.target, size_of=swap) for key, swap in own.items()}, size))
    return fitted


def _sample(cells: list[FloatArray], generator: np.random.Generator) -> FloatArray:
    """Return vectors of all cells, each less its cell's mean."""
    rows = np.concatenate([cell - cell.mean(0) for cell in cells])
    return _at_most(rows, generator)


def _at_most(rows: FloatArray, generator: np.random.Generator) -> FloatArray:
    return rows if len(rows) <= _SAMPLE else rows[generator.choice(len(rows), _SAMPLE, replace=False)]
