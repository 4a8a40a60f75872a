"""The scales on which intervals are symmetric.

An interval from a standard error is symmetric on the scale on which the standard error does not depend on the score
(:data:`SCALES`), and so asymmetric on the score itself.
"""

from __future__ import annotations

import numpy as np

from babelscope.similarity.arrays import FloatArray

#: The scales of :func:`interval_on_scale`.
SCALES = {
    "score": "the score itself",
    "correlation": "Fisher's z of the score",
    "squared correlation": "Fisher's z of the square root of the score",
    "proportion": "the arcsine of the square root of the score",
}

#: How close to 1 a score is taken to be at most.
_CLOSEST = 1e-12

#: Most units with which a root is distinguished from 0, where their number is not known.
_MOST_UNITS = 1e6


def interval_on_scale(
    values: FloatArray, reach: FloatArray, scale: str, units: float = np.inf, at_zero: FloatArray | float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Return the ends of intervals that are symmetric on a scale of :data:`SCALES`, by the delta method, shapes (K,).

    `reach` is how far a symmetric interval on the scores would reach to each side.

    A score s that behaves as a squared correlation, such as CKA, varies as (1 - s) sqrt(s + c): intervals that ignore
    this miss the true value where the score came out low, since its standard error did too. Fisher's z of the root has
    a constant standard error: z of sqrt((s + c) / (1 + c)) (Fisher 1921). Below a score of 0 the scale is linear. c is
    the larger of 1 / (2 units), units being sentences or clusters of sentences, as in Anscombe's transformation of
    counts (1948), and s a / (1 - a), a being `at_zero`: the share, below 1, of the variance that a score of 0 would
    have as well. A proportion's scale is that of arcsin sqrt((s + c) / (1 + 2 c)), c = 3 / (8 units).
    """
    if scale == "score":
        return values - reach, values + reach
    inside = np.minimum(values, 1 - _CLOSEST)
    if scale == "correlation":
        inside = np.maximum(inside, _CLOSEST - 1)
        middle, step = np.arctanh(inside), reach / (1 - inside**2)
        return np.tanh(middle - step), np.tanh(middle + step)
    if scale == "proportion":
        offset = 3 / (8 * min(units, _MOST_UNITS))
        share = np.clip((values + offset) / (1 + 2 * offset), 0, 1)
        middle, step = np.arcsin(share**0.5), reach / (2 * (1 + 2 * offset) * np.sqrt(share * (1 - share)))
        ends = (np.sin(np.clip(middle + sign * step, 0, np.pi / 2)) ** 2 for sign in (-1, 1))
        low, high = (end * (1 + 2 * offset) - offset for end in ends)
        return low, high
    above = np.maximum(inside, 0)
    offset = np.maximum(above * at_zero / (1 - np.asarray(at_zero)), 1 / (2 * min(units, _MOST_UNITS)))
    # With a score below 0 the standard error is that of a score of 0.
    step = np.where(inside < 0, reach / offset**0.5, reach / ((1 - inside) * np.sqrt(above + offset)))
    middle = _z_of_root(inside, offset)
    return _from_z_of_root(middle - step, offset), _from_z_of_root(middle + step, offset)


def _z_of_root(values: FloatArray, offset: FloatArray) -> FloatArray:
    """Return the integral of 1 / ((1 - s) sqrt(s + offset)) from 0, linear below 0."""
    whole = (1 + offset) ** 0.5
    above = 2 / whole * (np.arctanh(np.sqrt(np.maximum(values, 0) + offset) / whole) - np.arctanh(offset**0.5 / whole))
    return np.asarray(np.where(values < 0, values / offset**0.5, above))


def _from_z_of_root(z: FloatArray, offset: FloatArray) -> FloatArray:
    """Return the scores at which :func:`_z_of_root` has these values."""
    whole = (1 + offset) ** 0.5
    root = whole * np.tanh(np.maximum(z, 0) * whole / 2 + np.arctanh(offset**0.5 / whole))
    return np.asarray(np.where(z < 0, z * offset**0.5, root**2 - offset))
