"""Scores that are one inner product of two sentence x sentence matrices: what CKA and RSA have in common.

Each side is reduced once to an (n, n) matrix of norm 1; a pair is their inner product; under a permutation of the
sentences the rows and columns of one of them move together.
"""

# ruff: noqa: D102  (what overrides do is documented in Measure)
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from babelscope.similarity.arrays import Array, FloatArray, IntArray, is_tensor, like, to_numpy
from babelscope.similarity.lazy import lazy
from babelscope.similarity.measure import Measure, chunks
from babelscope.similarity.nulls import CentredSums, NullLaw, centred_moments

#: Numbers copied at a time for the product of many matrices with many (tens of megabytes).
STRIP = 4_000_000


@dataclass
class Kernel:
    """One side: a matrix over pairs of sentences, and the sums that give its null."""

    matrix: Array  # (n, n), rows sum to 0, Frobenius norm 1

    @lazy
    def sums(self) -> CentredSums:
        """What the null needs; made when a null is asked for."""
        return CentredSums.of(to_numpy(self.matrix))

    @property
    def n(self) -> int:
        """Sentences."""
        return int(self.matrix.shape[0])


def inner(a: Array, b: Array) -> float:
    """Return the sum of the products of all entries."""
    return float((a * b).sum()) if is_tensor(a) else float(np.vdot(a, b))


@dataclass(frozen=True)
class TraceForm(Measure):
    """Base of the measures of this form."""

    @property
    def null_kinds(self) -> tuple[str, ...]:
        return ("exact", "permutation")

    def value(self, x: Kernel, y: Kernel) -> float:
        return inner(x.matrix, y.matrix)

    def values(self, xs: Sequence[Kernel], ys: Sequence[Kernel]) -> FloatArray | None:
        if any(is_tensor(side.matrix) for side in (*xs, *ys)):
            return None
        # A matrix product over entries, in strips: the strips are copies that stay small beside the matrices.
        out = np.zeros((len(xs), len(ys)))
        size = xs[0].matrix.size
        strip = max(STRIP // max(len(xs) + len(ys), 1), 1)
        left, right = ([side.matrix.reshape(-1) for side in sides] for sides in (xs, ys))
        for part in chunks(size, strip):
            a = np.stack([flat[part] for flat in left])
            b = a if xs is ys else np.stack([flat[part] for flat in right])
            out += a @ b.T
        return out

    def permuted(self, x: Kernel, y: Kernel, orders: IntArray) -> FloatArray:
        a, b = x.matrix, y.matrix
        if is_tensor(b):
            return np.array([inner(a, b[o][:, o]) for o in (like(order, b) for order in orders)])
        flat = np.ascontiguousarray(a).reshape(-1)
        return np.array([float(flat @ b[order][:, order].reshape(-1)) for order in orders])

    def law(self, x: Kernel, y: Kernel) -> NullLaw | None:
        mean, variance, skewness = centred_moments(x.sums, y.sums)
        return NullLaw(mean, variance**0.5, skewness)


def centred_kernel(matrix: Array) -> Kernel:
    """Return a side from a symmetric matrix whose rows sum to 0; scaled to norm 1."""
    matrix = matrix / inner(matrix, matrix) ** 0.5
    return Kernel(matrix)


def row_weighted(matrix: FloatArray) -> FloatArray:
    """Return the centred matrix whose trace form is the off-diagonal form of a symmetric one of zero diagonal and sum.

    Write a_ij = u_ij + r_i + r_j off the diagonal, with U centred and zero on its diagonal. Then
    sum_{i != j} a_ij b_pi(i)pi(j) = tr(U P V P') + 2 (n - 2) sum_i r_i s_pi(i), and the centred matrix E(r) with
    entries r_i + r_j off the diagonal and -(n - 2) r_i on it has tr(E(r) P E(s) P') = n (n - 2) sum_i r_i s_pi(i). So
    U + sqrt(2/n) E(r) does it, for every permutation, and the moments of centred matrices serve distances too.
    """
    n = matrix.shape[0]
    r = matrix.sum(0) / (n - 2)
    spread = r[None, :] + r[:, None]
    out = matrix - (1 - (2 / n) ** 0.5) * spread
    np.fill_diagonal(out, -((2 / n) ** 0.5) * (n - 2) * r)
    return np.asarray(out)
