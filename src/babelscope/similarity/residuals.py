"""Regressing covariates out of representations: their span, residuals, and the space in which residuals live."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from babelscope.errors import DataError
from babelscope.similarity.arrays import FloatArray, as_rows, same_sentences, to_numpy

#: Share of a side's spread that counts as nothing: what is left of single precision after covariates explain it all.
ROUNDING = 1e-6


class NothingLeft(DataError):  # noqa: N818  (what happened, not a failure of the program)
    """The covariates explain a whole side."""

    def __init__(self, measure: str) -> None:
        super().__init__(
            f"{measure}: the covariates explain a whole side, so that nothing is left to compare; compare without "
            "regressing them out"
        )


def span_of(covariates: Any) -> FloatArray:
    """Return an orthonormal basis of centred covariates, shape (n, c); collinear and constant columns count once.

    Parameters
    ----------
    covariates : array_like, shape (n, c) or (n,)

    Raises
    ------
    DataError
        For NaN or infinity, or so many independent covariates that fewer than three degrees of freedom are left.
    """
    design = to_numpy(as_rows(covariates, "the covariates")[0])
    n = design.shape[0]
    design = design - design.mean(0)
    spread = np.abs(design).max(0)
    design = design[:, spread > 0] / spread[spread > 0]
    if not design.shape[1]:
        return np.empty((n, 0))
    u, s, _ = np.linalg.svd(design, full_matrices=False)
    u = u[:, s > s[0] * max(design.shape) * np.finfo(np.float64).eps]
    if n - 1 - u.shape[1] < 2:
        raise DataError(
            f"{u.shape[1]} independent covariates leave nothing of {n} sentences: take fewer covariates or more "
            "sentences"
        )
    return np.ascontiguousarray(u)


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
    values = to_numpy(as_rows(x, "x")[0])
    given = to_numpy(as_rows(covariates, "the covariates")[0])
    same_sentences(values.shape[0], given.shape[0], "x", "the covariates")
    u = span_of(given)
    centred = values - values.mean(0)
    residual = centred - u @ (u.T @ centred)
    residual -= u @ (u.T @ residual)  # a second pass removes what rounding left
    residual = residual - residual.mean(0)
    residual[:, np.linalg.norm(residual, axis=0) <= 1e-10 * np.linalg.norm(centred, axis=0)] = 0.0
    return np.asarray(residual)


def residual_space(span: FloatArray) -> FloatArray:
    """Return a map of rows to exchangeable rows of the residual degrees of freedom.

    Residuals of both sides lie in one and the same subspace, of n - 1 - c dimensions; permuting them as if they had
    n - 1 makes the null too low, by a share of about c / n. The map B, of n - c centred rows (B B' is the centring
    matrix, B' B the residual maker), turns x into B x: the same singular values as the residuals have, and rows that
    are exchangeable. The rows are no sentences any more, so this is for measures of the whole geometry (CCA,
    Procrustes), not for neighbours. Of all such maps it is the one whose rows are nearest to the residuals of the first
    n - c sentences, so that they can be permuted by cluster as well (Theil 1965; Winkler et al. 2020, "Permutation
    inference for canonical correlation analysis", NeuroImage 220).

    Parameters
    ----------
    span : ndarray, shape (n, c)
        Orthonormal and centred (:func:`span_of`).

    Returns
    -------
    ndarray, shape (n - c, n)
    """
    span = np.ascontiguousarray(span, dtype=np.float64)
    return _residual_space(span.tobytes(), span.shape)


@lru_cache(maxsize=8)
def _residual_space(content: bytes, shape: tuple[int, int]) -> FloatArray:
    n, c = shape
    span = np.frombuffer(content).reshape(shape)
    whole, _ = np.linalg.qr(np.column_stack([np.full(n, n**-0.5), span]), mode="complete")
    basis, centred = whole[:, c + 1 :], _centred_basis(n - 1 - c)
    left, _, right = np.linalg.svd(centred.T @ basis[: n - c])
    return np.asarray(centred @ (left @ right) @ basis.T)


def levelled(residuals: FloatArray, span: FloatArray) -> FloatArray:
    """Return residuals with further columns, so that unrelated sides have no similarities in common.

    Residuals of unrelated sentences have inner products of -h_ij on average, h being the hat matrix of the covariates:
    the same on both sides, so that measures of similarities between sentences find agreement where there is none. With
    the covariates' own directions added, as long as an average direction of the residuals, every two sentences are
    equally similar on average.

    Parameters
    ----------
    residuals : ndarray, shape (n, d)
        Centred (:func:`regress_out`).
    span : ndarray, shape (n, c)
        Orthonormal and centred (:func:`span_of`), what was regressed out.

    Returns
    -------
    ndarray, shape (n, d + 2c)
        Each direction twice with opposite signs, so that a sentence's mean over the features stays.
    """
    n, c = span.shape
    added = span * np.linalg.norm(residuals) / (2 * (n - 1 - c)) ** 0.5
    return np.hstack([residuals, added, -added])


@lru_cache(maxsize=4)
def _centred_basis(m: int) -> FloatArray:
    """Return Helmert's columns: an orthonormal basis of the centred vectors of m + 1 numbers, shape (m + 1, m)."""
    basis = np.zeros((m + 1, m))
    for column in range(m):
        basis[: column + 1, column] = 1.0
        basis[column + 1, column] = -(column + 1.0)
        basis[:, column] /= np.sqrt((column + 1.0) * (column + 2.0))
    return basis
