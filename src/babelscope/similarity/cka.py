"""Centred kernel alignment, linear and with a Gaussian kernel, debiased by default."""

# ruff: noqa: D102  (what overrides do is documented in Measure)
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from babelscope.errors import DataError, UsageError
from babelscope.similarity.arrays import Array, FloatArray, label_of, like, set_diagonal, single
from babelscope.similarity.jackknife import Clusters
from babelscope.similarity.measure import make, register
from babelscope.similarity.representation import Representation, lazy
from babelscope.similarity.residuals import NothingLeft
from babelscope.similarity.trace import (
    Kernel,
    TraceForm,
    by_sentence,
    double_centred,
    inner,
    products_by_pair,
    without_diagonal,
)


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


@dataclass
class DebiasedKernel(Kernel):
    """A U-centred side, and what deleting each of its clusters takes away."""

    @lazy
    def outside(self) -> tuple[FloatArray, FloatArray]:
        """Sums over the columns of each cluster: for sentences outside it, shape (n, C), and of all inside it."""
        assert self.clusters is not None
        sums = self.clusters.sums(self.matrix)
        inside = self.clusters.total(self.clusters.own(sums))
        sums[np.arange(self.n), self.clusters.codes] = 0.0
        return sums, inside

    @lazy
    def left(self) -> FloatArray:
        """The squared norm of what is left of this side without each cluster, shape (C,)."""
        return without_clusters(self, self, self.squares_by_pair)


def without_clusters(x: DebiasedKernel, y: DebiasedKernel, products: FloatArray) -> FloatArray:
    """Return the inner products of two U-centred matrices without each cluster, U-centred again, shape (C,).

    Without the rows and columns of m sentences, row i sums to -r_i, r_i its sum over the columns that went. So the
    product of what is left is <A, B> over the entries that stay, less 2 sum_i r_i s_i / (n - m - 2), and plus
    R S / ((n - m - 1) (n - m - 2)), R = sum_i r_i.
    """
    assert x.clusters is not None
    left = x.n - x.clusters.sizes
    (rows_x, inside_x), (rows_y, inside_y) = x.outside, y.outside
    stay = products.sum() - 2 * products.sum(0) + products.diagonal()
    centred = 2 * np.einsum("ic,ic->c", rows_x, rows_y) - inside_x * inside_y / (left - 1)
    return np.asarray(stay - centred / (left - 2))


@dataclass(frozen=True)
class _CKA(TraceForm):
    debiased: bool = True

    @property
    def range(self) -> tuple[float, float]:
        return (-1.0, 1.0) if self.debiased else (0.0, 1.0)

    @property
    def interval_scale(self) -> str:
        return "squared correlation" if self.debiased else "score"

    def narrow(self, x: Kernel) -> Kernel:
        x.matrix = single(x.matrix)
        return x

    def _side(self, kernel: Array, x: Representation) -> Kernel:
        centred = u_centred(kernel) if self.debiased else double_centred(kernel)
        size, whole = inner(centred, centred), inner(kernel, kernel)
        if not size > 1e-24 * whole:
            raise DataError(
                f"{label_of(x.name)}: no two sentences differ more than any other two, so {self.name} is not defined"
            )
        lost = None
        if self.debiased:
            n = x.n
            rows = kernel.sum(0) - kernel.diagonal()
            # U-centring takes r_i + r_j - s off the diagonal, and all of the diagonal.
            means = rows / (n - 2) - rows.sum() / (2 * (n - 1) * (n - 2))
            lost = (kernel.diagonal() - 2 * means) / size**0.5
        of = DebiasedKernel if self.debiased else Kernel
        return of(centred / size**0.5, lost=lost, clusters=None if x.clusters is None else Clusters(x.clusters))

    @property
    def has_influence(self) -> bool:
        return self.debiased

    def influence(self, x: DebiasedKernel, y: DebiasedKernel) -> FloatArray | None:
        """Delete each sentence, or each cluster, in turn, in closed form.

        The rows of U-centred matrices sum to 0, so that without sentence i their inner product over all others is
        A - 2 a_i (n - 2) / (n - 3), up to a factor that cancels; a_i is the sentence's own share of A. A cluster's
        influence is divided evenly over its sentences.
        """
        if not self.debiased:
            return None
        n = x.n
        if x.clusters is not None:
            products = products_by_pair(x, y)
            left, own, other = without_clusters(x, y, products), x.left, y.left
            value, lost = float(products.sum()), x.clusters.sizes
        else:
            factor = 2 * (n - 2) / (n - 3)
            shares = by_sentence(x.matrix, y.matrix)
            own, other = (1 - factor * side.by_sentence for side in (x, y))
            value, lost = float(shares.sum()), np.ones(n, dtype=np.int64)
            left = value - factor * shares
        if not (own.min() > 0 and other.min() > 0):
            return None  # a single sentence or cluster carries half of a side
        each = np.asarray((n - lost) * (value - left / np.sqrt(own * other)))
        return each if x.clusters is None else x.clusters.spread(each)


@register
@dataclass(frozen=True)
class LinearCKA(_CKA):
    """Linear CKA."""

    name = "linear_cka"
    title = "Linear CKA"
    references = ("kornblith2019similarity",)
    lead = 1
    geometric = True
    source = (
        "Kornblith et al. 2019, arXiv 1905.00414; debiased: Szekely & Rizzo 2014, Song et al. 2012, Nguyen et al. 2021"
    )
    invariances = frozenset({"rotation", "scale", "shift"})

    @property
    def convention_text(self) -> str:
        kind = (
            "unbiased HSIC (U-centred Gram matrices, may be negative)"
            if self.debiased
            else "biased HSIC, which rises with d/n"
        )
        return f"<K, L> / (|K| |L|) of linear kernels, {kind}; both sides centred"

    def prepare(self, x: Representation) -> Kernel:
        return self._side(x.kernel, x)

    def regressed(self, x: Kernel, covariates: FloatArray) -> Kernel:
        """Return the residuals' Gram matrix, by a correction of low rank to the whole one.

        Debiased in the space that the covariates leave, of m = n - 1 - c dimensions: A - (tr A / m) times its
        projector, so that <A, B> is tr AB - tr A tr B / m, which no order of the sentences and no choice of a basis
        changes, and which is 0 on average for unrelated data.
        """
        gram = x.gram()
        q = like(covariates, gram)
        once = gram @ q
        inside = q.T @ once
        left = once - q @ inside / 2
        residual = gram - left @ q.T - q @ left.T
        room = x.n - 1 - int(q.shape[1])
        cube = None
        if self.debiased:
            trace, square = float(residual.diagonal().sum()), inner(residual, residual)
            # tr ((I - QQ') K)^3, from products of low rank.
            cube = x.gram_cube + float(
                (-3 * once.T @ (gram @ once) + 3 * inside @ (once.T @ once) - inside @ inside @ inside).trace()
            )
            share = trace / room
            # The projector that is taken off is the centring matrix less the covariates' own.
            residual = residual + share / x.n + share * (q @ q.T)
            set_diagonal(residual, residual.diagonal() - share)
            cube += -3 * share * square + 3 * share**2 * trace - share**3 * room
        size = inner(residual, residual)
        if not size > 1e-12:
            raise NothingLeft(self.name)
        return Kernel(residual / size**0.5, room=room, cube=None if cube is None else cube / size**1.5)

    def mapped(self, x: Kernel, rows: FloatArray) -> Kernel:
        """Return the Gram matrix of other rows; debiased in the space that covariates leave, it stays so."""
        b = like(rows, x.matrix)
        return Kernel(b @ x.matrix @ b.T)


@register
@dataclass(frozen=True)
class RBFCKA(_CKA):
    """CKA with a Gaussian kernel."""

    name = "rbf_cka"
    title = "RBF CKA"
    references = ("kornblith2019similarity",)
    lead = 2
    geometric = True
    source = "Kornblith et al. 2019, arXiv 1905.00414, section 3 (sigma a fraction of the median distance)"
    invariances = frozenset({"rotation", "scale", "shift"})

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
