"""Controls: what remains when a nuisance is taken out of both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from babelscope.errors import DataError, UsageError
from babelscope.similarity.arrays import FloatArray, IntArray, as_rows, same_sentences, to_numpy
from babelscope.similarity.diagnostics import rogue_dimensions
from babelscope.similarity.measure import Measure
from babelscope.similarity.score import Score, score


def regress_out(x: Any, covariates: Any) -> FloatArray:
    """Take the linear effect of covariates out of every feature.

    Least squares with an intercept, column by column; what is returned is the residual, which is centred and
    uncorrelated with every covariate.

    Parameters
    ----------
    x : array_like, shape (n, d)
        One row a sentence.
    covariates : array_like, shape (n, c) or (n,)
        Numbers of the same sentences (log duration, log token count, indicators of the reader). Columns may be
        collinear or constant.

    Returns
    -------
    ndarray, shape (n, d)
        Exactly 0 in columns that the covariates explain to rounding (1e-10 of their spread).

    Raises
    ------
    DataError
        For NaN or infinity in either, unequal numbers of sentences, or so many independent covariates that nothing is
        left.
    """
    rows, _ = as_rows(x, "x")
    given, _ = as_rows(covariates, "the covariates")
    values, design = to_numpy(rows), to_numpy(given)
    same_sentences(values.shape[0], design.shape[0], "x", "the covariates")
    n = values.shape[0]
    centred = values - values.mean(0)
    design = design - design.mean(0)
    spread = np.abs(design).max(0)
    design = design[:, spread > 0] / spread[spread > 0]
    if design.shape[1]:
        u, s, _ = np.linalg.svd(design, full_matrices=False)
        u = u[:, s > s[0] * max(design.shape) * np.finfo(np.float64).eps] if s.size else u
        if u.shape[1] >= n - 1:
            raise DataError(
                f"{u.shape[1]} independent covariates leave nothing of {n} sentences: take fewer covariates or more "
                "sentences"
            )
        residual = centred - u @ (u.T @ centred)
        residual -= u @ (u.T @ residual)  # a second pass removes what rounding left
    else:
        residual = centred
    residual = residual - residual.mean(0)
    residual[:, np.linalg.norm(residual, axis=0) <= 1e-10 * np.linalg.norm(centred, axis=0)] = 0.0
    return np.asarray(residual)


def drop_rogue(x: Any, *, threshold: float = 10.0) -> tuple[FloatArray, IntArray]:
    """Leave out the features that dwarf the others.

    Parameters
    ----------
    x : array_like, shape (n, d)
        One row a sentence.
    threshold : float
        As :func:`~babelscope.similarity.rogue_dimensions`.

    Returns
    -------
    rest : ndarray, shape (n, d - r)
    dropped : ndarray of int
        The columns left out.

    Raises
    ------
    DataError
        For NaN, or if nothing that varies would remain.
    """
    rows = to_numpy(as_rows(x, "x")[0])
    dropped = rogue_dimensions(rows, threshold=threshold)
    rest = np.delete(rows, dropped, axis=1)
    if rest.shape[1] == 0 or not (rest.max(0) > rest.min(0)).any():
        raise DataError(f"all features that vary are rogue at threshold={threshold:g}: take a larger one")
    return rest, dropped


def standardise(x: Any) -> FloatArray:
    """Bring every feature to mean 0 and standard deviation 1, so that no dimension outweighs another.

    Parameters
    ----------
    x : array_like, shape (n, d)
        One row a sentence.

    Returns
    -------
    ndarray, shape (n, d)
        Constant features become exactly 0.

    Raises
    ------
    DataError
        For NaN.
    """
    rows = to_numpy(as_rows(x, "x")[0])
    varying = rows.max(0) > rows.min(0)
    scale = np.abs(rows).max(0)
    rows = rows / np.where(scale > 0, scale, 1.0)
    rows = rows - rows.mean(0)
    spread = rows.std(0)
    return np.asarray(np.where(varying, rows / np.where(varying & (spread > 0), spread, 1.0), 0.0))


@dataclass(frozen=True)
class Floor:
    """A score beside what another reader of the same sentences reaches.

    Attributes
    ----------
    floor : Score
        The same sentences of one language by two readers: what differs there is the speaker, not what is said.
    value : float or None
        The score that is judged.
    share : float or None
        (value - chance) / (floor - chance): 1 is "as alike as two readers of one text". None if no value was given,
        NaN if two readers are no more alike than chance.
    """

    floor: Score
    value: float | None = None
    share: float | None = None


def speaker_floor(
    first: Any, second: Any, measure: str | Measure = "svcca", *, compared: Score | float | None = None, **options: Any
) -> Floor:
    """Say how alike two readers of the same sentences are, and set another score against it.

    Speech in two languages is nearly always read by two people. Without this bound, the language is charged for the
    speaker.

    Parameters
    ----------
    first, second : array_like, shapes (n, d), (n, d)
        The same sentences of one language by two readers, at one point of the model.
    measure : str or Measure
        As :func:`~babelscope.similarity.score`.
    compared : Score or float, optional
        The speech-speech score of two languages, by the same measure, with as many sentences.
    **options
        As :func:`~babelscope.similarity.score`.

    Returns
    -------
    Floor

    Raises
    ------
    UsageError
        If `compared` is a score of another measure, or from another number of sentences (chance would differ).
    DataError
        As :func:`~babelscope.similarity.score`.
    """
    floor = score(first, second, measure, **options)
    if compared is None:
        return Floor(floor)
    if isinstance(compared, Score):
        if compared.measure != floor.measure:
            raise UsageError(
                f"the floor is of {floor.measure}, the score of {compared.measure}: compare like with like"
            )
        if compared.n != floor.n:
            raise UsageError(
                f"the floor has {floor.n} sentences, the score {compared.n}: take the same sentences, since chance "
                "depends on their number"
            )
    value = float(compared)
    chance = 0.0 if np.isnan(floor.null_mean) else floor.null_mean
    room = floor.value - chance
    better = room if floor.higher_is_better else -room
    return Floor(floor, value, (value - chance) / room if better > 0 else float("nan"))
