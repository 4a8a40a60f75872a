"""Sentences as dots: the two principal axes of a point's pooled vectors, for looking at.

What a picture of two axes shows is worth the share of variance that they hold, which is given with it. Distances in it
are no evidence; the scores are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, eigsh

from babelscope.capture.store import Activations
from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.gaps.result import table_of
from babelscope.similarity.arrays import FloatArray

#: What a projection takes at most, so that a report stays small: sentences, languages, and points of one side's own.
MOST_SENTENCES, MOST_LANGUAGES, MOST_POINTS = 200, 12, 5
#: Up to this size all eigenvectors are computed; beyond, the first two alone.
_SMALL = 256


def principal_axes(x: Any) -> tuple[FloatArray, FloatArray]:
    """Project vectors on their first two principal axes.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Centred here. At least 2 rows.

    Returns
    -------
    scores : ndarray, shape (n, 2)
        In the units of `x`. Each axis points to where the feature with the largest weight grows. A second axis that the
        data do not have is 0.
    shares : ndarray, shape (2,)
        Share of the variance along each axis.

    Raises
    ------
    DataError
        If it is no finite matrix of at least 2 rows, or does not vary.
    """
    rows = np.asarray(x, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < 2 or rows.shape[1] < 1 or not np.isfinite(rows).all():
        raise DataError(f"principal_axes wants a finite matrix of at least 2 rows, not one of shape {rows.shape}")
    mean = rows.mean(0)
    centred = rows - mean
    whole = float((centred**2).sum())
    if whole <= 1e-24 * rows.size * float(np.abs(mean).max()) ** 2 or whole == 0:
        raise DataError("principal_axes: all rows are the same, so that there is no axis")
    values, axes = _leading(centred)
    scores, shares = np.zeros((len(rows), 2)), np.zeros(2)
    for index in range(len(values)):
        if values[index] > 1e-12 * whole:
            axis = axes[:, index] * np.sign(axes[np.argmax(np.abs(axes[:, index])), index])
            scores[:, index], shares[index] = centred @ axis, values[index] / whole
    return scores, shares


def _leading(centred: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the two largest eigenvalues of X'X, largest first, and their unit vectors in columns."""
    n, d = centred.shape
    if min(n, d) <= _SMALL:
        wide = d > n
        values, vectors = eigh(centred @ centred.T if wide else centred.T @ centred)
        order = np.argsort(values)[::-1][:2]
        values, vectors = values[order], vectors[:, order]
        if wide:
            vectors = centred.T @ vectors
            lengths = np.linalg.norm(vectors, axis=0)
            vectors = vectors / np.where(lengths > 0, lengths, 1.0)
        return values, vectors
    product = LinearOperator((d, d), matvec=lambda v: centred.T @ (centred @ v.ravel()), dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(d)
    values, vectors = eigsh(product, k=2, v0=start)
    order = np.argsort(values)[::-1]
    return values[order], vectors[:, order]


def chosen_sentences(n: int, most: int = MOST_SENTENCES, seed: int = 0) -> NDArray[np.int64]:
    """Return the rows that are shown: all, or `most` drawn from `seed`, in their order."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng([seed, n]).choice(n, size=most, replace=False)).astype(np.int64)


def spread(names: Sequence[str], most: int) -> list[str]:
    """Return all names, or `most` of them at even steps from the first to the last."""
    if len(names) <= most:
        return list(names)
    return [names[round(step)] for step in np.linspace(0, len(names) - 1, most)]


def projection_table(
    activations: Activations,
    *,
    points: Sequence[str] | None = None,
    most_sentences: int = MOST_SENTENCES,
    most_languages: int = MOST_LANGUAGES,
    seed: int = 0,
) -> pd.DataFrame:
    """Project sentences on the two principal axes of each point.

    At a point that both modalities have, speech and text are projected together. With more sentences than
    `most_sentences` a random sample is taken, the same at every point, language and modality; with more languages than
    `most_languages`, those at even steps through the study's list. Axes, shares and signs are of what is shown. A point
    that shows the same rows as the one before it is mirrored, axis by axis, to agree with that one (their coordinates
    correlate positively), so that a picture does not flip from layer to layer.

    Parameters
    ----------
    activations : Activations
        Complete.
    points : sequence of str, optional
        Which points; unless given, all that both modalities have, and of the others five of each modality at even steps
        from its first to its last.
    most_sentences, most_languages : int
    seed : int
        Of the sample of sentences.

    Returns
    -------
    DataFrame
        Columns ``projection`` of :data:`babelscope.gaps.result.TABLE_COLUMNS`; `share_x` and `share_y` are shares of
        the variance of what is shown. Points that do not vary are left out.

    Raises
    ------
    UsageError
        If a point is unknown, or a number is below 1 (sentences: 2).
    """
    if most_sentences < 2 or most_languages < 1:
        raise UsageError(
            f"a projection of {most_sentences} sentences in {most_languages} languages shows nothing: take at least 2 "
            "sentences and 1 language"
        )
    rows = chosen_sentences(len(activations.sentences), most_sentences, seed)
    languages = spread(activations.languages, most_languages)
    sentences = [activations.sentences[row] for row in rows]
    frames = []
    before: dict[tuple[str, ...], FloatArray] = {}
    for point, modalities in _chosen(activations, points).items():
        cells = [(modality, language) for modality in modalities for language in languages]
        vectors = [activations.matrix(point, modality, language)[rows] for modality, language in cells]
        try:
            scores, shares = principal_axes(np.concatenate(vectors))
        except DataError:
            continue
        if modalities in before:
            scores = scores * np.where((scores * before[modalities]).sum(0) < 0, -1.0, 1.0)
        before[modalities] = scores
        frames.append(
            pd.DataFrame(
                {
                    "point": point,
                    "modality": [modality for modality, _ in cells for _ in sentences],
                    "language": [language for _, language in cells for _ in sentences],
                    "sentence": sentences * len(cells),
                    "x": scores[:, 0],
                    "y": scores[:, 1],
                    "share_x": shares[0],
                    "share_y": shares[1],
                }
            )
        )
    return pd.concat(frames, ignore_index=True) if frames else table_of("projection")


def _chosen(activations: Activations, points: Sequence[str] | None) -> dict[str, tuple[str, ...]]:
    """Return the modalities of each chosen point, in the order of depth within each modality."""
    modalities_of: dict[str, tuple[str, ...]] = {}
    for modality in activations.modalities:
        for point in activations.points(modality):
            modalities_of[point] = (*modalities_of.get(point, ()), modality)
    if points is not None:
        for point in points:
            if point not in modalities_of:
                raise UsageError(
                    f"points: {activations.name} has no point {point!r}; {did_you_mean(point, modalities_of)}"
                )
        return {point: modalities for point, modalities in modalities_of.items() if point in points}
    kept = {
        point
        for modality in activations.modalities
        for point in spread([name for name, of in modalities_of.items() if of == (modality,)], MOST_POINTS)
    }
    crossed = len(activations.modalities) == 2
    return {
        point: modalities
        for point, modalities in modalities_of.items()
        if point in kept or (crossed and len(modalities) == 2)
    }
