"""Centred kernel alignment, linear and with a Gaussian kernel, debiased by default."""

# ruff: noqa: D102  (what overrides do is documented in Measure)
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from babelscope.errors import DataError, UsageError
from babelscope.similarity.arrays import Array, is_tensor, label_of
from babelscope.similarity.measure import make, register
from babelscope.similarity.representation import Representation
from babelscope.similarity.trace import Kernel, TraceForm, centred_kernel, inner


def double_centred(kernel: Array) -> Array:
    """Take row and column means off a symmetric matrix."""
    rows = kernel.mean(0)
    return kernel - rows[None, :] - rows[:, None] + rows.mean()


def u_centred(kernel: Array) -> Array:
    """Return the U-centred matrix: zero diagonal, rows that sum to 0, unbiased inner products (Szekely & Rizzo 2014).

    The inner product of two of these over n (n - 3) is the unbiased HSIC of Song et al. 2012.
    """
    n = kernel.shape[0]
    out = without_diagonal(kernel)
    rows = out.sum(0) / (n - 2)
    rows = rows - rows.sum() / (2 * (n - 1))
    out -= rows[None, :]
    out -= rows[:, None]
    return without_diagonal(out, copy=False)


def without_diagonal(matrix: Array, *, copy: bool = True) -> Array:
    """Return a matrix with its diagonal set to 0."""
    if is_tensor(matrix):
        return (matrix.clone() if copy else matrix).fill_diagonal_(0.0)
    out = matrix.copy() if copy else matrix
    np.fill_diagonal(out, 0.0)
    return out


@dataclass(frozen=True)
class _CKA(TraceForm):
    debiased: bool = True

    @property
    def range(self) -> tuple[float, float]:
        return (-1.0, 1.0) if self.debiased else (0.0, 1.0)

    def narrow(self, x: Kernel) -> Kernel:
        x.matrix = x.matrix.float() if is_tensor(x.matrix) else x.matrix.astype(np.float32, copy=False)
        return x

    def _side(self, kernel: Array, x: Representation) -> Kernel:
        centred = u_centred(kernel) if self.debiased else double_centred(kernel)
        size, whole = inner(centred, centred), inner(kernel, kernel)
        if not size > 1e-24 * whole:
            raise DataError(
                f"{label_of(x.name)}: no two sentences differ more than any other two, so {self.name} is not defined"
            )
        return centred_kernel(centred)


@register
@dataclass(frozen=True)
class LinearCKA(_CKA):
    """Linear CKA."""

    name = "linear_cka"
    source = (
        "Kornblith et al. 2019, arXiv 1905.00414; debiased: Szekely & Rizzo 2014, Song et al. 2012, Nguyen et al. 2021"
    )

    @property
    def convention_text(self) -> str:
        kind = (
            "unbiased HSIC (U-centred Gram matrices, may be negative)"
            if self.debiased
            else "biased HSIC, which rises with d/n"
        )
        return f"<K, L> / (|K| |L|) of linear kernels, {kind}; both sides centred"

    @property
    def invariances(self) -> frozenset[str]:
        return frozenset({"rotation", "scale", "shift"})

    def prepare(self, x: Representation) -> Kernel:
        return self._side(x.kernel, x)


@register
@dataclass(frozen=True)
class RBFCKA(_CKA):
    """CKA with a Gaussian kernel."""

    name = "rbf_cka"
    source = "Kornblith et al. 2019, arXiv 1905.00414, section 3 (sigma a fraction of the median distance)"

    fraction: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.fraction < np.inf:
            raise UsageError(f"rbf_cka(fraction={self.fraction!r}): a number above 0 is wanted")

    @property
    def convention_text(self) -> str:
        kind = "unbiased HSIC (U-centred, may be negative)" if self.debiased else "biased HSIC, which rises with d/n"
        return (
            f"CKA of exp(-distance^2 / (2 sigma^2)), sigma {self.fraction:g} x the median distance between two "
            f"sentences; {kind}"
        )

    @property
    def invariances(self) -> frozenset[str]:
        return frozenset({"rotation", "scale", "shift"})

    def prepare(self, x: Representation) -> Kernel:
        squares = x.square_distances
        median = float(np.median(squares[np.triu_indices(x.n, 1)]))
        if median <= 0:
            raise DataError(
                f"{label_of(x.name)}: more than half of the pairs of sentences have the same vector, rbf_cka has no "
                "width"
            )
        return self._side(np.exp(-squares / (2 * self.fraction**2 * median)), x)


def linear_cka(x: Any, y: Any, *, debiased: bool = True) -> float:
    """Linear centred kernel alignment.

    Parameters
    ----------
    x, y : array_like or torch.Tensor, shapes (n, dx), (n, dy)
        One row a sentence, the same sentences in the same order.
    debiased : bool
        Unbiased HSIC in numerator and denominator, so that unrelated data give 0 on average whatever n and d. The
        biased form rises with d/n (two unrelated 1024-dimensional clouds of 250 sentences: .8).

    Returns
    -------
    float
        At most 1; the debiased form may be negative.

    Raises
    ------
    DataError
        If a side is constant, holds NaN, or has another number of sentences than the other, or fewer than 5.

    References
    ----------
    Kornblith, Norouzi, Lee, Hinton 2019, arXiv 1905.00414; Szekely & Rizzo 2014 (U-centring); Murphy et al. 2024
    (bias).
    """
    return make(LinearCKA, debiased=debiased).between(x, y)


def rbf_cka(x: Any, y: Any, *, fraction: float = 1.0, debiased: bool = True) -> float:
    """Centred kernel alignment with a Gaussian kernel.

    Parameters
    ----------
    x, y : array_like or torch.Tensor, shapes (n, dx), (n, dy)
        One row a sentence, the same sentences in the same order.
    fraction : float
        Width of the kernel, in median distances between two sentences of the side.
    debiased : bool
        Unbiased HSIC.

    Returns
    -------
    float
        At most 1; the debiased form may be negative.

    Raises
    ------
    UsageError, DataError
        As :func:`linear_cka`.

    References
    ----------
    Kornblith, Norouzi, Lee, Hinton 2019, arXiv 1905.00414.
    """
    return make(RBFCKA, fraction=fraction, debiased=debiased).between(x, y)
