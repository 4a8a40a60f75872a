"""Student's t, without the second that importing all of scipy.stats takes."""

from __future__ import annotations

import numpy as np
from scipy.special import stdtr, stdtrit

from babelscope.similarity.arrays import FloatArray


def quantile(q: float, freedom: float) -> float:
    """Return the value that Student's t exceeds with probability 1 - q."""
    return float(stdtrit(freedom, q))


def quantiles(q: float, freedoms: FloatArray) -> FloatArray:
    """Return :func:`quantile` for each of many degrees of freedom."""
    each, where = np.unique(freedoms, return_inverse=True)
    return np.asarray(stdtrit(each, q))[where]


def two_sided(t: float, freedom: float) -> float:
    """Return the probability that Student's t is as far from 0, on either side."""
    return float(2 * stdtr(freedom, -abs(t)))
