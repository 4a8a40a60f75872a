"""Controls: what remains when a nuisance is taken out of both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from babelscope.errors import DataError, UsageError
from babelscope.similarity.arrays import FloatArray, IntArray, as_rows, to_numpy
from babelscope.similarity.diagnostics import rogue_dimensions
from babelscope.similarity.measure import Measure
from babelscope.similarity.score import Score, score


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
    """A score, and what another reader of the same sentences reaches.

    Attributes
    ----------
    floor : Score
        The same sentences of one language by two readers: what differs there is the speaker, not what is said.
    value : float or None
        The score that is judged.
    share : float or None
        (value - chance) / (floor - chance): 1 is "as similar as two readers of one text". None if no value was given,
        NaN if two readers are no more similar than chance.
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
