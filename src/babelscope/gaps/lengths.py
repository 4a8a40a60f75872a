"""Utterance length as a rival explanation: what it is, and how it is taken out of two representations.

A long sentence is long in every language and modality, so that sentences can be matched above chance by their length
alone. Here lengths become covariates (log seconds of a recording, log tokens of a text, each with mean 0 and s.d. 1),
and are projected out.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from babelscope.capture.store import Activations
from babelscope.errors import DataError


def standardised_log(lengths: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return log lengths with mean 0 and s.d. 1 as one column, (n, 1); None if unknown or all the same."""
    if not np.isfinite(lengths).all():
        return None
    logged = np.log(lengths)
    spread = logged.std()
    return ((logged - logged.mean()) / spread)[:, None] if spread > 1e-9 else None


def log_lengths(activations: Activations, languages: Iterable[str]) -> NDArray[np.float64]:
    """Return the standardised log tokens and log seconds of every language, shape (n, c); c may be 0."""
    columns = [
        column
        for language in dict.fromkeys(languages)
        for modality in ("text", "speech")
        if (column := standardised_log(activations.lengths(modality, language))) is not None
    ]
    return np.hstack(columns) if columns else np.empty((len(activations.sentences), 0))


def project_out(x: NDArray[np.floating], covariates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the part of `x` that the covariates do not explain, in the space of the residual degrees of freedom.

    Plain residuals of both sides lie in one and the same subspace, of n - 1 - c dimensions; permuting them as if they
    had n - 1 makes the null too low, by a share of about c / n. Here an orthonormal basis B of that subspace, of n - c
    centred rows (B B' the centring matrix, B' B the residual maker), turns x into B x: the same singular values as the
    residuals have, and rows that are exchangeable. The rows are no sentences any more, so this is for measures of the
    whole geometry (CCA, CKA), not for neighbours.

    Parameters
    ----------
    x : ndarray, shape (n, d)
    covariates : ndarray, shape (n, c)
        Of full rank together with the intercept, or less: dependent ones count once.

    Returns
    -------
    ndarray, shape (n - rank, d)
        With column means 0.

    Raises
    ------
    DataError
        If fewer than three degrees of freedom are left.
    """
    n = len(x)
    design = np.column_stack([np.ones(n), covariates])
    left, singular, _ = np.linalg.svd(design, full_matrices=True)
    rank = int((singular > singular[0] * max(design.shape) * np.finfo(np.float64).eps).sum())
    if n - rank < 3:
        raise DataError(
            f"{n} sentences leave {n - rank} degrees of freedom beside {rank - 1} covariates: take more sentences"
        )
    residual = left[:, rank:]
    reduced: NDArray[np.float64] = _centred_basis(n - rank) @ (residual.T @ np.asarray(x, dtype=np.float64))
    return reduced


def _centred_basis(m: int) -> NDArray[np.float64]:
    """Helmert's columns: an orthonormal basis of the centred vectors of m + 1 numbers, shape (m + 1, m)."""
    basis = np.zeros((m + 1, m))
    for column in range(m):
        basis[: column + 1, column] = 1.0
        basis[column + 1, column] = -(column + 1.0)
        basis[:, column] /= np.sqrt((column + 1.0) * (column + 2.0))
    return basis
