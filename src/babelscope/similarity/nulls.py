"""What unrelated sentences would give, without drawing a permutation.

Permuting the sentences of one side leaves each side as it is and breaks the pairing. Mean and variance over *all* n!
permutations are finite sums for every score that is linear in the pairs of sentences:

* ``tr(A P B P')`` with centred A, B (CKA, RV, RSA, the sum of squared canonical correlations): :func:`centred_moments`;
* ``sum_ij a_ij b_pi(i)pi(j)`` off the diagonal, not symmetric (mutual k-NN): :func:`offdiagonal_moments`;
* ``sum_i w_i,pi(i)`` (retrieval, MEXA, neuron-wise correlation): :func:`assignment_moments`.

The mean canonical correlation is no such sum; the law of large random projections stands in for it: :func:`wachter`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.fft import dct
from scipy.special import betaln, gammaincc, gammainccinv, ndtr, ndtri

from babelscope.similarity.arrays import Array, FloatArray, IntArray, double, set_diagonal, single
from babelscope.similarity.permutation import Calibration, _against


@dataclass(frozen=True)
class NullLaw:
    """The distribution of a score under permutation, from its moments.

    Attributes
    ----------
    mean, sd : float
    skewness : float
        0: normal. Otherwise a Pearson type III law (a shifted gamma) with these three moments.
    support, mass : ndarray or None
        For a count (retrieval): its values and their probabilities; moments are then only reported.
    step : float
        Scores are multiples of it, where they are few enough to matter, as for a share of neighbours; 0 if the score is
        continuous. The probability of a score includes the half steps around it.
    """

    mean: float
    sd: float
    skewness: float = 0.0
    support: FloatArray | None = None
    mass: FloatArray | None = None
    step: float = 0.0

    @property
    def _fixed(self) -> bool:
        # What little a score moves that permutations cannot move is rounding.
        return self.sd <= 1e-7 * max(abs(self.mean), 1e-3)

    def above(self, value: float) -> float:
        """Return the probability of `value` or more."""
        if self.support is not None and self.mass is not None:
            return float(min(self.mass[self.support >= value - 1e-9].sum(), 1.0))
        if self._fixed:
            return 1.0 if value <= self.mean + 1e-6 * max(abs(self.mean), 1e-3) else 0.0
        z = (value - self.step / 2 - self.mean) / self.sd
        g = self.skewness
        if abs(g) < 1e-4:
            return float(ndtr(-z))
        shape = 4.0 / (g * g)
        x = max(shape + np.sign(g) * z * shape**0.5, 0.0)
        tail = float(gammaincc(shape, x))
        return tail if g > 0 else 1.0 - tail

    def quantile(self, q: float) -> float:
        """Return the smallest value with probability at least `q` at or below it."""
        if self.support is not None and self.mass is not None:
            at = min(int(np.searchsorted(np.cumsum(self.mass), q - 1e-12)), self.support.size - 1)
            return float(self.support[at])
        if self._fixed:
            return self.mean
        g = self.skewness
        if abs(g) < 1e-4:
            z = float(ndtri(q))
        else:
            shape = 4.0 / (g * g)
            z = float(np.sign(g) * (gammainccinv(shape, 1 - q if g > 0 else q) - shape) / shape**0.5)
        value = self.mean + self.sd * z
        return float(self.step * np.ceil(value / self.step - 0.5 - 1e-9) if self.step else value)

    def scaled(self, factor: float, shift: float = 0.0) -> NullLaw:
        """Return the law of ``factor * score + shift``."""
        support, mass = self.support, self.mass
        if support is not None and mass is not None:
            support = factor * support + shift
            if factor < 0:
                support, mass = support[::-1], mass[::-1]
        return NullLaw(
            factor * self.mean + shift,
            abs(factor) * self.sd,
            float(np.sign(factor)) * self.skewness,
            support,
            mass,
            abs(factor) * self.step,
        )

    def calibrate(self, value: float, *, alpha: float = 0.05, best: float = 1.0, higher: bool = True) -> Calibration:
        """Calibrate a score: as :func:`~babelscope.similarity.permutation.calibrate`, tau being this law's quantile."""
        law = self if higher else self.scaled(-1.0)
        sign = 1.0 if higher else -1.0
        tau = law.quantile(1 - alpha)
        calibrated, saturated = _against(sign * value, tau, sign * best)
        p = 1.0 if saturated else law.above(sign * value)
        return Calibration(self.mean, self.sd, sign * tau, sign * tau, calibrated, p, saturated)


#: Rows from which the third power of a matrix, which only the skewness of a null needs, is taken in single precision.
LARGE = 256


def trace_of_cube(a: Array) -> float:
    """Return tr A^3 of a symmetric matrix; with :data:`LARGE` rows or more to a relative 1e-5."""
    if a.shape[0] < LARGE:
        return float((a @ a).reshape(-1) @ a.reshape(-1))
    scale = float(abs(a).max()) or 1.0
    narrow = single(a / scale)
    return float(double(narrow @ narrow).reshape(-1) @ a.reshape(-1)) * scale**2


@dataclass(frozen=True)
class CentredSums:
    """What the null of a trace form needs of one centred symmetric matrix A, shape (n, n), rows summing to 0.

    All but the trace are taken of A0 = A - tr A / (n - 1) (I - 11'/n), whose trace is 0: the mean of tr(A P B P')
    then falls away by itself, and no large numbers cancel in its higher moments. d is the diagonal of A0.
    """

    n: int
    trace: float
    square: float  # tr A0^2
    cube: float  # tr A0^3
    diagonal: float  # the sum of squared diagonal entries
    diagonal_cube: float
    entries: float  # the sum of all cubed entries
    by_square: float  # d' diag(A0^2)
    by_entry: float  # d' A0 d

    @classmethod
    def of(cls, a: Array, cube: float | None = None) -> CentredSums:
        """Return the sums of a matrix; `cube` is tr A0^3 where it is known, which saves a product of matrices."""
        n = int(a.shape[0])
        d = a.diagonal()
        trace = float(d.sum())
        share = trace / (n - 1)
        a0 = a
        if share:
            d = d + share / n - share
            a0 = set_diagonal(a + share / n, d)
        squares = a0 * a0
        flat, other = a0.reshape(-1), squares.reshape(-1)
        if cube is None:
            cube = trace_of_cube(a0)
        return cls(
            n,
            trace,
            float(other.sum()),
            cube,
            float(d @ d),
            float((d**3).sum()),
            float(other @ flat),
            float(d @ squares.sum(0)),  # the diagonal of A0^2, A0 being symmetric
            float(d @ (a0 @ d)),
        )

    @classmethod
    def of_leverages(cls, leverages: FloatArray, k: int) -> CentredSums:
        """Return the sums of U U' that mean and variance need, from the row sums of squares of U; the rest is NaN."""
        n = leverages.size
        share = k / (n - 1)
        d = leverages - share * (1 - 1 / n)
        square = k * (1 - share) ** 2 + (n - 1 - k) * share**2
        return cls(n, float(k), square, np.nan, float(d @ d), np.nan, np.nan, np.nan, np.nan)

    @classmethod
    def of_projector(cls, u: FloatArray) -> CentredSums:
        """Return the sums of U U' for an orthonormal centred U, shape (n, k)."""
        n, k = u.shape
        share = k / (n - 1)
        a0 = u @ u.T + share / n
        leverages = np.diag(a0) - share / n
        a0[np.diag_indices(n)] -= share
        d = np.diag(a0).copy()
        other = n - 1 - k
        return cls(
            n,
            float(k),
            k * (1 - share) ** 2 + other * share**2,
            k * (1 - share) ** 3 - other * share**3,
            float(d @ d),
            float((d**3).sum()),
            float(np.einsum("ij,ij,ij", a0, a0, a0)),
            # A^2 = A, so that A0^2 = (1 - 2c) A + c^2 (I - 11'/n).
            float(d @ ((1 - 2 * share) * leverages + share**2 * (1 - 1 / n))),
            float(d @ a0 @ d),
        )


def rotation_variance(a: CentredSums, b: CentredSums) -> float:
    """Return the variance that tr(A R B R') would have under random rotations R, not permutations."""
    n = a.n
    return max(2 * a.square * b.square / ((n + 1) * (n - 2)), 0.0)


def centred_moments(a: CentredSums, b: CentredSums) -> tuple[float, float, float]:
    """Return mean, variance and skewness of tr(A P B P') over all permutations P. Exact.

    The first part of the variance is what a random rotation would give; the second is due to sentences with a large
    diagonal (leverage). The skewness is 0 by convention for n below 6; n below 4 is a ValueError.

    References
    ----------
    Kazi-Aoual, Hitier, Sabatier, Lebreton 1995, "Refined approximations to permutation tests for multivariate
    inference", Computational Statistics & Data Analysis 20; here with both traces moved to 0, which leaves fewer
    terms.
    """
    n = a.n
    if n < 4 or b.n != n:
        raise ValueError("both matrices need the same n of at least 4")
    mean = a.trace * b.trace / (n - 1)
    peaks = [n * (n + 1) * m.diagonal - 2 * (n - 1) * m.square for m in (a, b)]
    leverage = peaks[0] * peaks[1] / ((n + 1) * n * (n - 1) * (n - 2) * (n - 3))
    variance = max(rotation_variance(a, b) + leverage, 0.0)
    if n < 6 or variance <= 0:
        return mean, variance, 0.0
    total = (
        n**2 * (n + 1) * (n**2 + 15 * n - 4) * a.diagonal_cube * b.diagonal_cube
        + 4 * (n**4 - 8 * n**3 + 19 * n**2 - 4 * n - 16) * a.entries * b.entries
        + 24 * (n**2 - n - 4) * (a.entries * b.by_entry + a.by_entry * b.entries)
        + 6 * (n**4 - 8 * n**3 + 21 * n**2 - 6 * n - 24) * a.by_entry * b.by_entry
        + 12 * (n**4 - n**3 - 8 * n**2 + 36 * n - 48) * a.by_square * b.by_square
        + 24 * (n**3 - 3 * n**2 - 2 * n + 8) * (a.by_square * b.entries + a.entries * b.by_square)
        + 24 * (n**3 - 2 * n**2 - 3 * n + 12) * (a.by_square * b.by_entry + a.by_entry * b.by_square)
        - 2
        * n
        * (n - 1)
        * (n**2 - n + 4)
        * ((2 * a.entries + 3 * a.by_entry) * b.diagonal_cube + a.diagonal_cube * (2 * b.entries + 3 * b.by_entry))
        - 12 * n * (n - 1) ** 2 * (n + 4) * (a.by_square * b.diagonal_cube + a.diagonal_cube * b.by_square)
        + 16 * n * (n - 1) * (n - 2) * (a.cube * b.diagonal_cube + a.diagonal_cube * b.cube)
        + 8 * (n**3 - 9 * n**2 + 26 * n - 22) * a.cube * b.cube
        - 8 * (3 * n**2 - 15 * n + 16) * (a.cube * b.entries + a.entries * b.cube)
        - 8 * (3 * n**2 - 15 * n + 24) * (a.cube * b.by_entry + a.by_entry * b.cube)
        - 8 * (n - 2) * (3 * n**2 - 15 * n + 24) * (a.cube * b.by_square + a.by_square * b.cube)
    )
    third = total / (n * (n - 1) * (n - 2) * (n - 3) * (n - 4) * (n - 5))
    return mean, variance, third / variance**1.5


def residual_moments(moments: tuple[float, float, float], n: int, room: int) -> tuple[float, float, float]:
    """Return mean, s.d. and skewness of a trace form of residuals, from :func:`centred_moments` of the same.

    The residuals of both sides lie in the same `room` dimensions, which permuting their rows does not keep them in:
    unrelated data meet in `room` dimensions, not n - 1. Mean and variance are scaled by what random rotations have in
    either; that leverage widens the variance is kept from the permutations.
    """
    mean, variance, skewness = moments
    if room < n - 1:
        mean *= (n - 1) / room
        variance *= (n + 1) * (n - 2) / ((room + 2) * (room - 1))
    return mean, variance**0.5, skewness


@dataclass(frozen=True)
class OffDiagonalSums:
    """What the null of an off-diagonal form needs of one matrix (zero diagonal, maybe not symmetric), shape (n, n)."""

    n: int
    total: float
    square: float
    reverse: float
    by_row: float
    by_column: float
    by_both: float

    @classmethod
    def of(cls, a: FloatArray) -> OffDiagonalSums:
        """Return the sums of a matrix with zero diagonal."""
        rows, columns = a.sum(1), a.sum(0)
        square, reverse = float(np.vdot(a, a)), float(np.vdot(a, a.T))
        return cls(
            a.shape[0],
            float(rows.sum()),
            square,
            reverse,
            float(rows @ rows) - square,
            float(columns @ columns) - square,
            float(rows @ columns) - reverse,
        )


def offdiagonal_moments(a: OffDiagonalSums, b: OffDiagonalSums) -> tuple[float, float]:
    """Return mean and variance of sum_{i != j} a_ij b_pi(i)pi(j) over all permutations pi. Exact.

    Mantel 1967, Cancer Research 27; Hubert & Schultz 1976 for matrices that are not symmetric.
    """
    n = a.n
    if n < 4 or b.n != n:
        raise ValueError("both matrices need the same n of at least 4")
    mean = a.total * b.total / (n * (n - 1))

    def apart(m: OffDiagonalSums) -> float:
        return m.total**2 - m.square - m.reverse - m.by_row - m.by_column - 2 * m.by_both

    second = (
        (a.square * b.square + a.reverse * b.reverse) / (n * (n - 1))
        + (a.by_row * b.by_row + a.by_column * b.by_column + 2 * a.by_both * b.by_both) / (n * (n - 1) * (n - 2))
        + apart(a) * apart(b) / (n * (n - 1) * (n - 2) * (n - 3))
    )
    return mean, max(second - mean**2, 0.0)


@dataclass(frozen=True)
class Cells:
    """A sparse (n, n) matrix of weights: what pairing sentence i with sentence j would score, where that is not 0.

    No cell is there twice.
    """

    n: int
    rows: IntArray
    columns: IntArray
    weights: FloatArray

    @classmethod
    def summed(cls, n: int, rows: IntArray, columns: IntArray, weights: FloatArray) -> Cells:
        """Return the matrix from entries of which several may be of one cell."""
        cells, at = np.unique(rows.astype(np.int64) * n + columns, return_inverse=True)
        return cls(n, cells // n, cells % n, np.bincount(at, weights, minlength=cells.size).astype(np.float64))

    @classmethod
    def of(cls, table: FloatArray) -> Cells:
        """Return a dense matrix as a sparse one."""
        rows, columns = np.nonzero(table)
        return cls(table.shape[0], rows, columns, np.asarray(table[rows, columns], dtype=np.float64))

    def paired(self, order: IntArray | None = None) -> FloatArray:
        """Return the weight of each sentence's own pairing, (n,), or of i with ``order[i]``."""
        own = self.rows if order is None else order[self.rows]
        right = self.columns == own
        return np.bincount(self.rows[right], self.weights[right], minlength=self.n).astype(np.float64)

    def moments(self) -> tuple[float, float, float]:
        """Return mean, variance and skewness of the sum of w_i,pi(i) over all permutations pi. Exact (Hoeffding 1951).

        With a_ij = row mean + column mean - mean, the sums of (w - a)^2 and (w - a)^3 over all cells are those of -a,
        which fall apart into sums over rows and columns, and what the cells with weight change.
        """
        n, w = self.n, self.weights
        r = np.bincount(self.rows, w, minlength=n) / n
        c = np.bincount(self.columns, w, minlength=n) / n
        mean = float(w.sum()) / n**2
        u, v = r - mean, c  # a_ij = u_i + v_j
        a = u[self.rows] + v[self.columns]
        square = n * float(u @ u + v @ v) + 2 * float(u.sum() * v.sum())
        cube = n * float((u**3).sum() + (v**3).sum()) + 3 * float((u**2).sum() * v.sum() + u.sum() * (v**2).sum())
        second = square + float((w * (w - 2 * a)).sum())
        third = -cube + float(((w - a) ** 3 + a**3).sum())
        variance = max(second, 0.0) / max(n - 1, 1)
        cumulant = n * third / ((n - 1) * (n - 2)) if n > 2 else 0.0
        return n * mean, variance, cumulant / variance**1.5 if variance > 0 else 0.0


def assignment_moments(weights: FloatArray) -> tuple[float, float, float]:
    """Return mean, variance and skewness of sum_i w_i,pi(i) over all permutations pi of an (n, n) matrix. Exact."""
    n = weights.shape[0]
    centred = weights - weights.mean(0) - weights.mean(1)[:, None] + weights.mean()
    variance = float(np.vdot(centred, centred)) / max(n - 1, 1)
    third = n * float((centred * centred * centred).sum()) / ((n - 1) * (n - 2)) if n > 2 else 0.0
    return float(weights.sum()) / n, variance, third / variance**1.5 if variance > 0 else 0.0


def assignment_counts(weights: FloatArray, n: int | None = None, grain: int = 60) -> tuple[FloatArray, FloatArray]:
    """Return the law of sum_i w_i,pi(i) where few cells carry weight (hits): a compound Poisson law.

    A cell (i, j) is drawn with probability 1/n, and draws of few cells are nearly independent: with m_w cells of weight
    w the sum is close to the sum over w of w * Poisson(m_w / n), to order 1/n (Chen-Stein).

    `weights` are those of all cells, shape (n, n), or of the m that carry weight, with `n` given. They are rounded to
    multiples of 1/grain: 60 holds halves, thirds, quarters, fifths and sixths (ties share a hit) exactly. Values and
    their probabilities are returned.
    """
    n = weights.shape[0] if n is None else n
    steps = np.rint(weights[weights > 0] * grain).astype(np.int64)
    sizes, cells = np.unique(steps[steps > 0], return_counts=True)
    if sizes.size == 0:
        return np.zeros(1), np.ones(1)
    unit = int(np.gcd.reduce(sizes))
    sizes = sizes // unit
    rates = cells / n
    mean, variance = float(rates @ sizes), float(rates @ sizes**2)
    length = int(mean + 12 * variance**0.5 + 24 * sizes.max()) + 1
    phase = np.exp(-2j * np.pi * np.arange(length)[:, None] * sizes / length)
    mass = np.fft.ifft(np.exp((phase - 1) @ rates)).real
    mass = np.maximum(mass, 0.0)
    support = np.arange(length) * unit / grain
    return support, mass / mass.sum()


#: Random pairs of subspaces from which the law of few canonical correlations is taken.
SUBSPACES = 20_000


@lru_cache(maxsize=4096)
def few_correlations(kx: int, ky: int, n: int) -> tuple[float, float, float]:
    """Return mean, s.d. and skewness of the sum of canonical correlations of two random subspaces, by simulation.

    As :func:`wachter`, for few directions, where its limit is not good enough. The squared correlations of random
    subspaces of kx and ky dimensions in n - 1 are the eigenvalues of A (A + B)^-1 with independent Wishart matrices A
    of ky and B of n - 1 - ky degrees of freedom (kx <= ky; Muirhead 1982, theorems 3.2.14 and 11.3.2), which are drawn
    by Bartlett's decomposition. The draws are the same every time; :data:`SUBSPACES` of them leave the mean an error of
    less than 1 % of the s.d.
    """
    room = n - 1
    forced = max(kx + ky - room, 0)
    if forced:
        kx, ky = room - ky, room - kx
    kx, ky = min(kx, ky), max(kx, ky)
    if kx <= 0:
        return float(forced), 0.0, 0.0
    rng = np.random.default_rng([kx, ky, n])

    def wishart(freedom: int) -> FloatArray:
        root = np.tril(rng.standard_normal((SUBSPACES, kx, kx)), -1)
        root[:, range(kx), range(kx)] = np.sqrt(rng.chisquare(freedom - np.arange(kx), (SUBSPACES, kx)))
        return np.asarray(root @ root.swapaxes(1, 2))

    a, b = wishart(ky), wishart(room - ky)
    inverse = np.linalg.inv(np.linalg.cholesky(a + b))
    squares = np.linalg.eigvalsh(inverse @ a @ inverse.swapaxes(1, 2))
    total = np.sqrt(np.clip(squares, 0.0, 1.0)).sum(1)
    mean, sd = float(total.mean()), float(total.std())
    return forced + mean, sd, float(((total - mean) ** 3).mean()) / sd**3


@lru_cache(maxsize=1)
def _legendre() -> tuple[FloatArray, FloatArray]:
    nodes, weights = np.polynomial.legendre.leggauss(256)
    return nodes, weights


@lru_cache(maxsize=65536)
def wachter(kx: int, ky: int, n: int) -> tuple[float, float]:
    """Return mean and s.d. of the *sum* of canonical correlations between two random subspaces.

    The subspaces have kx and ky dimensions in the n - 1 that centring n sentences leaves. The squared correlations
    follow the real Jacobi ensemble; its limit (Wachter 1980) gives the mean to order n, the edge correction of the real
    ensemble the next order, and its Gaussian fluctuations the s.d. Where kx + ky > n - 1, kx + ky - (n - 1)
    correlations are 1 by force and the rest are those of the complements.

    References
    ----------
    Wachter 1980, Annals of Statistics 8; Dumitriu & Paquette 2012, "Global fluctuations for linear statistics of
    beta-Jacobi ensembles" (beta = 1: correction (delta_a + delta_b)/4 - arcsine/2, variance sum k c_k^2 / 2).
    """
    room = n - 1
    if min(kx, ky) == 1:
        # One direction against k: rho^2 has a beta law, no limit is needed.
        k = max(kx, ky)
        if k >= room:
            return 1.0, 0.0
        mean = float(np.exp(betaln((k + 1) / 2, (room - k) / 2) - betaln(k / 2, (room - k) / 2)))
        return mean, float(np.sqrt(max(k / room - mean**2, 0.0)))
    forced = max(kx + ky - room, 0)
    if forced:
        kx, ky = room - ky, room - kx
    k = min(kx, ky)
    if k <= 0:
        return float(forced), 0.0
    c1, c2 = kx / room, ky / room
    low = (np.sqrt(c1 * (1 - c2)) - np.sqrt(c2 * (1 - c1))) ** 2
    high = (np.sqrt(c1 * (1 - c2)) + np.sqrt(c2 * (1 - c1))) ** 2
    high = min(high, 1.0)
    middle, half = (low + high) / 2, (high - low) / 2
    nodes, weights = _legendre()
    theta = (nodes + 1) * np.pi / 2
    x = np.clip(middle + half * np.cos(theta), 1e-300, 1.0)
    density = (
        half**2 * np.sin(theta) ** 2 / (2 * np.pi * (k / room) * x * np.maximum(1 - x, 1e-300)) * weights * np.pi / 2
    )
    root = np.sqrt(x)
    mean = k * float(density @ root) / float(density.sum())
    arcsine = float(root @ weights) / 2
    mean += (np.sqrt(low) + np.sqrt(high)) / 4 - arcsine / 2
    count = 2048
    grid = (np.arange(count) + 0.5) * np.pi / count
    coefficients = dct(np.sqrt(np.maximum(middle + half * np.cos(grid), 0.0)), type=2) / count
    harmonics = np.arange(count)
    variance = 0.5 * float(harmonics @ coefficients**2)
    return forced + mean, float(np.sqrt(variance))
