"""Scores that are one inner product of two sentence x sentence matrices: what CKA and RSA have in common.

Each side is reduced once to an (n, n) matrix of norm 1; a pair is their inner product; under a permutation of the
sentences the rows and columns of one of them move together.
"""

# ruff: noqa: D102  (what overrides do is documented in Measure)
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from babelscope.similarity.arrays import Array, FloatArray, IntArray, double, is_tensor, like, set_diagonal, to_numpy
from babelscope.similarity.jackknife import Clusters, sketched
from babelscope.similarity.measure import Measure, chunks
from babelscope.similarity.nulls import CentredSums, NullLaw, centred_moments, residual_moments, trace_of_cube
from babelscope.similarity.representation import lazy

#: Numbers copied at a time for the product of many matrices with many (tens of megabytes).
STRIP = 4_000_000


#: Sentences up to which pairs of them add a variance that counts next to that of single sentences.
SKETCHED = 600


@dataclass
class Kernel:
    """One side: a matrix over pairs of sentences, and the sums that give its null.

    `lost`, shape (n,), is the diagonal that debiasing took off the centred Gram matrix, but for its row and column
    means, on the scale of `matrix`: centring ``matrix + diag(lost)`` gives the Gram matrix back. It is None where the
    matrix is the Gram matrix or cannot be brought back to one.
    """

    matrix: Array  # (n, n), of which rows sum to 0, with Frobenius norm 1
    room: int = -1  # dimensions that it could fill: n - 1, less the covariates that were regressed out
    lost: Array | None = None
    cube: float | None = None  # tr matrix^3, where that is known without a product of matrices
    clusters: Clusters | None = None  # which sentences belong together

    def __post_init__(self) -> None:
        self.room = self.n - 1 if self.room < 0 else self.room

    @lazy
    def sums(self) -> CentredSums:
        """What the null needs; made when a null is asked for."""
        return CentredSums.of(double(self.matrix), self.cube)

    def gram(self) -> Array:
        """The centred Gram matrix on the scale of `matrix`, in double precision; not kept with the side."""
        gram = self.matrix.double().clone() if is_tensor(self.matrix) else self.matrix.astype(np.float64)
        if self.lost is not None:
            gram = double_centred(set_diagonal(gram, gram.diagonal() + self.lost))
        return gram

    @lazy
    def gram_cube(self) -> float:
        """The trace of the Gram matrix's third power; made when covariates are regressed out."""
        return trace_of_cube(self.gram())

    @lazy
    def by_sentence(self) -> FloatArray:
        """Each sentence's share of the squared norm, shape (n,); made when an interval is asked for."""
        return by_sentence(self.matrix, self.matrix)

    @lazy
    def squares_by_pair(self) -> FloatArray:
        """The sums of the squared entries between each two clusters, shape (C, C)."""
        return products_by_pair(self, self)

    @property
    def n(self) -> int:
        """Sentences."""
        return int(self.matrix.shape[0])


def without_diagonal(matrix: Array, *, copy: bool = True) -> Array:
    """Return a matrix with its diagonal set to 0."""
    if is_tensor(matrix):
        return (matrix.clone() if copy else matrix).fill_diagonal_(0.0)
    out = matrix.copy() if copy else matrix
    np.fill_diagonal(out, 0.0)
    return out


def double_centred(kernel: Array) -> Array:
    """Take row and column means off a symmetric matrix."""
    rows = kernel.mean(0)
    return kernel - rows[None, :] - rows[:, None] + rows.mean()


def inner(a: Array, b: Array) -> float:
    """Return the sum of the products of all entries."""
    return float((a * b).sum()) if is_tensor(a) else float(np.vdot(a, b))


def by_sentence(a: Array, b: Array) -> FloatArray:
    """Return the row sums of the products of all entries, shape (n,)."""
    return to_numpy((a * b).sum(1)) if is_tensor(a) else np.asarray(np.einsum("ij,ij->i", a, b), dtype=np.float64)


def products_by_pair(a: Kernel, b: Kernel) -> FloatArray:
    """Return the sums of the products of entries between each two clusters, shape (C, C)."""
    assert a.clusters is not None
    return a.clusters.by_pair(a.matrix * b.matrix)


@dataclass(frozen=True)
class TraceForm(Measure):
    """Base of the measures of this form."""

    null_kinds = ("exact", "permutation")

    def value(self, x: Kernel, y: Kernel) -> float:
        return inner(x.matrix, y.matrix)

    def values(self, xs: Sequence[Kernel], ys: Sequence[Kernel]) -> FloatArray | None:
        if any(is_tensor(side.matrix) for side in (*xs, *ys)):
            return None
        # A matrix product over entries, in strips: the strips are copies, small compared with the matrices.
        out = np.zeros((len(xs), len(ys)))
        size = xs[0].matrix.size
        strip = max(STRIP // max(len(xs) + len(ys), 1), 1)
        left, right = ([side.matrix.reshape(-1) for side in sides] for sides in (xs, ys))
        for entries in chunks(size, strip):
            a = np.stack([flat[entries] for flat in left])
            b = a if xs is ys else np.stack([flat[entries] for flat in right])
            out += a @ b.T
        return out

    def permuted(self, x: Kernel, y: Kernel, orders: IntArray) -> FloatArray:
        a, b = x.matrix, y.matrix
        if is_tensor(b):
            return np.array([inner(a, b[o][:, o]) for o in (like(order, b) for order in orders)])
        flat = np.ascontiguousarray(a).reshape(-1)
        return np.array([float(flat @ b[order][:, order].reshape(-1)) for order in orders])

    def pair_sketch(self, x: Kernel, y: Kernel) -> FloatArray:
        units = x.n if x.clusters is None else len(x.clusters.sizes)
        if units > SKETCHED:
            return super().pair_sketch(x, y)
        # What pair (i, j) adds to <A, B> / (|A| |B|), to first order: a b - <A, B> (a^2 + b^2) / 2.
        each: Array
        if x.clusters is None:
            a, b = x.matrix, y.matrix
            each = a * b - (inner(a, b) / 2) * (a * a + b * b)
        else:
            each = products_by_pair(x, y)
            each -= (float(each.sum()) / 2) * (x.squares_by_pair + y.squares_by_pair)
        return sketched(without_diagonal(each))

    def law(self, x: Kernel, y: Kernel) -> NullLaw | None:
        return NullLaw(*residual_moments(centred_moments(x.sums, y.sums), x.n, min(x.room, y.room)))


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
