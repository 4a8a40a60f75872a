"""Controls: what remains when a nuisance is taken out of both sides."""

from __future__ import annotations

from typing import Any

import numpy as np

from babelscope.errors import DataError
from babelscope.similarity.arrays import FloatArray, as_rows, same_sentences, to_numpy


def regress_out(x: Any, covariates: Any) -> FloatArray:
    """Take the linear effect of covariates out of every feature.

    Least squares with an intercept, column by column; what is returned is the residual, which is centred and uncorrelated with every
    covariate.

    Parameters
    ----------
    x : array_like, shape (n, d)
        One row a sentence.
    covariates : array_like, shape (n, c) or (n,)
        Numbers of the same sentences (log duration, log token count, indicators of the reader). Columns may be collinear or
        constant.

    Returns
    -------
    ndarray, shape (n, d)
        Exactly 0 in columns that the covariates explain to rounding (1e-10 of their spread).

    Raises
    ------
    DataError
        For NaN or infinity in either, unequal numbers of sentences, or so many independent covariates that nothing is left.
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
                f"{u.shape[1]} independent covariates leave nothing of {n} sentences: take fewer covariates or more sentences"
            )
        residual = centred - u @ (u.T @ centred)
        residual -= u @ (u.T @ residual)  # a second pass removes what rounding left
    else:
        residual = centred
    residual = residual - residual.mean(0)
    residual[:, np.linalg.norm(residual, axis=0) <= 1e-10 * np.linalg.norm(centred, axis=0)] = 0.0
    return np.asarray(residual)
