"""Canonical correlations: CCA, SVCCA, PWCCA.

With orthonormal bases U, V of the centred sides, the canonical correlations are the singular values of U'V. A basis
is made once a representation; a pair costs one product and the eigenvalues of a k x k matrix.
"""

# ruff: noqa: D102  (what overrides do is documented in Measure)
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from babelscope.errors import UsageError
from babelscope.similarity.arrays import (
    Array,
    FloatArray,
    IntArray,
    double,
    is_tensor,
    like,
    linalg,
    single,
    to_numpy,
)
from babelscope.similarity.lapack import eigenvalues
from babelscope.similarity.measure import Measure, chunks, count, make, one_of, register, share
from babelscope.similarity.nulls import (
    CentredSums,
    NullLaw,
    centred_moments,
    few_correlations,
    residual_moments,
    rotation_variance,
    wachter,
)
from babelscope.similarity.representation import Representation, lazy
from babelscope.similarity.residuals import NothingLeft, residual_rows

#: Numbers kept at a time while permuting (float64), so that the working set stays near the cache.
BLOCK = 1_000_000


#: Rows of all matrices in a stack up to which NumPy keeps other threads waiting, and of one matrix below which that is
#: too short a time to matter.
HELD, SMALL = 500, 48

#: The closed form of the *mean* correlation is the limit for many directions from this many correlations that are free
#: to move; for fewer the law of random subspaces is simulated once for all pairs with as many directions. Both are used
#: while leverage widens the null by no more than the factor, and are within 1 % of permutations then
#: (tests/similarity/test_nulls.py); beyond, permutations are drawn.
FEWEST_FREE = 8
MOST_WIDENING = 1.2


@dataclass
class Basis:
    """An orthonormal basis of one side, and what its null needs."""

    u: Array  # (n, k)
    k: int
    damping: FloatArray | None = None  # (k,), google's epsilon
    loadings: Array | None = None  # (k, d): u' x, for projection weights
    covariates: Array | None = None  # that were regressed out, (n, c) orthonormal

    @lazy
    def sums(self) -> CentredSums:
        """What the null of the squared sum needs; made when it is asked for."""
        return CentredSums.of_projector(to_numpy(self.u))

    @lazy
    def spread(self) -> CentredSums:
        """What the null of the plain sum needs, which costs far less."""
        return CentredSums.of_leverages(to_numpy((self.u * self.u).sum(1)), self.k)

    @property
    def n(self) -> int:
        """Sentences."""
        return int(self.u.shape[0])

    @property
    def room(self) -> int:
        """Sentences, less the covariates that were regressed out: what the null of a mean correlation goes by."""
        return self.n - (0 if self.covariates is None else int(self.covariates.shape[1]))

    def exchangeable(self) -> Basis:
        """Return the basis in rows that unrelated data leave exchangeable: all of them, less one a covariate."""
        if self.covariates is None:
            return self
        return self.mapped(residual_rows(to_numpy(self.covariates)).map)

    def mapped(self, rows: FloatArray) -> Basis:
        """Return the basis in other rows, shape (m, n), of which it keeps all lengths."""
        return Basis(like(rows @ to_numpy(self.u), self.u), self.k)


#: The mean correlation that SVCCA keeps few enough directions for, if it is not told how many to keep; and the share of
#: the variance beyond which a direction is left out even so.
CHANCE, ENOUGH = 0.4, 0.99


@lru_cache(maxsize=256)
def directions_carried(n: int, chance: float = CHANCE) -> int:
    """Return how many directions of two sides n sentences carry before unrelated sides look similar.

    The most, k, for which the mean canonical correlation of two random subspaces of k dimensions, among the n - 1 that
    centred sentences span, is at most `chance` (:func:`~babelscope.similarity.nulls.wachter`); at least 1. With .4 that
    is about a fifth of the sentences: 4 of 20, 12 of 60, 74 of 350.
    """
    k = 1
    while 2 * (k + 1) <= n - 1 and wachter(k + 1, k + 1, n)[0] / (k + 1) <= chance:
        k += 1
    return k


def kept_by_variance(s: FloatArray, variance: float, *, squared: bool = True) -> int:
    """Return how many leading directions reach a share of the variance (of the plain values if not `squared`)."""
    if variance >= 1:
        return int(s.size)
    energy = np.cumsum(s**2 if squared else s)
    return int(min(np.searchsorted(energy, variance * energy[-1] * (1 - 1e-12)) + 1, s.size))


def leading(
    x: Representation, variance: float | None, k: int | None, *, squared: bool = True
) -> tuple[Array, FloatArray]:
    """Return the leading directions of a side, (n, k) orthonormal, and their singular values.

    The Gram matrix serves where the directions kept stand far above its rounding; else the singular value
    decomposition.
    """

    def kept(s: FloatArray) -> int:
        return kept_by_variance(s, variance, squared=squared) if variance is not None else min(k or s.size, s.size)

    if variance is not None or k is not None:
        s = x.singular_values
        if kept(s) < s.size and s[kept(s) - 1] >= 1e-4 * s[0]:
            return x.directions(kept(s)), s[: kept(s)]
    u, s, _ = x.svd
    return u[:, : kept(s)], s[: kept(s)]


def basis_of(u: Array, s: FloatArray, *, epsilon: float = 0.0, loadings: Array | None = None) -> Basis:
    """Return a basis with the sums of its projector."""
    k = int(u.shape[1])
    damping = np.sqrt(s**2 / (s**2 + epsilon * s[0] ** 2)) if epsilon else None
    u = u.contiguous() if is_tensor(u) else np.ascontiguousarray(u)
    return Basis(u, k, damping, loadings)


def product(x: Basis, y: Basis) -> Array:
    """Return U'V (with google's damping, if any), shape (kx, ky)."""
    return _damped(double(x.u.T @ y.u), x, y)


def _damped(c: Array, x: Basis, y: Basis) -> Array:
    if x.damping is not None and y.damping is not None:
        c = c * like(x.damping, c)[:, None] * like(y.damping, c)[None, :]
    return c


def _single_will_do(x: Basis, y: Basis) -> bool:
    """Tell whether single precision shows every permuted sum of squares as double precision would.

    Its rounding is a few 1e-7 of the sum. Where the null's s.d. (exact) is 10,000 times that, no draw changes its
    place; where permutations move the sum little or not at all, and equal draws must stay equal, it will not do.
    """
    mean, variance, _ = centred_moments(x.spread, y.spread)
    return x.n >= 100 and variance**0.5 > 1e4 * 1e-7 * mean


def correlations(c: Array) -> FloatArray:
    """Return the singular values of U'V by falling size, shape (..., min(kx, ky)).

    By the eigenvalues of the smaller square; what rounding pushes out of [0, 1] (1e-12 at most) is brought back.
    """
    transposed = c.swapaxes(-1, -2)
    square = c @ transposed if c.shape[-2] <= c.shape[-1] else transposed @ c
    values = to_numpy(linalg(square).eigvalsh(square)) if is_tensor(c) else _eigenvalues(square)
    return np.asarray(np.sqrt(np.clip(values, 0.0, 1.0))[..., ::-1], dtype=np.float64)


def _eigenvalues(square: FloatArray) -> FloatArray:
    """Return the eigenvalues of one matrix or of a stack; NumPy lets go of the interpreter for stacks large enough."""
    k = square.shape[-1]
    if k < SMALL or square.size // k > HELD:
        return np.asarray(np.linalg.eigvalsh(square))
    return np.stack([eigenvalues(matrix) for matrix in square]) if square.ndim == 3 else eigenvalues(square)


def permuted_products(x: Basis, y: Basis, orders: IntArray) -> Iterator[Array]:
    """Yield U' P V for blocks of permutations, each of shape (block, kx, ky)."""
    if _single_will_do(x, y):
        x, y = replace(x, u=single(x.u)), replace(y, u=single(y.u))
    for block in chunks(len(orders), BLOCK // max(x.k * y.k, x.n, 1)):
        out = like(np.empty((len(orders[block]), x.k, y.k)), x.u)
        for at, order in enumerate(orders[block]):
            out[at] = _damped(x.u.T @ y.u[like(order, y.u)], x, y)
        yield out


@dataclass(frozen=True)
class _Canonical(Measure):
    """What the measures of canonical correlations share."""

    drawn_by_default = False
    geometric = True

    def narrow(self, x: Basis) -> Basis:
        x.u = single(x.u)
        return x

    def ranks(self, x: Basis, y: Basis) -> tuple[float, float]:
        return float(x.k), float(y.k)

    def notes(self, x: Basis, y: Basis) -> tuple[str, ...]:
        """Say how many correlations are 1 whatever the data."""
        n, fewest = x.room, min(x.k, y.k)
        forced = min(x.k + y.k - (n - 1), fewest)
        if forced <= 0:
            return ()
        every = " (all of them: the value says nothing)" if forced == fewest else ""
        return (
            f"saturated: {x.k} + {y.k} directions in the {n - 1} that {n} sentences span force {forced} of {fewest} "
            f"correlations to 1{every}; take more sentences or keep fewer directions",
        )


@dataclass(frozen=True)
class _MeanCorrelation(_Canonical):
    """What CCA and SVCCA share: a mean over canonical correlations."""

    null_kinds = ("exact", "permutation")
    squared = False
    convention = "paper"

    def value(self, x: Basis, y: Basis) -> float:
        return float(self._sums(product(x, y)[None])[0]) / self._divisor(x, y)

    def values(self, xs: Sequence[Basis], ys: Sequence[Basis]) -> FloatArray | None:
        """Return all scores of tensors in batches; arrays are shared among threads, pair by pair."""
        if not is_tensor(xs[0].u):
            return None
        right = _stacked(ys)
        out = np.empty((len(xs), len(ys)))
        for row, x in enumerate(xs):
            sums = self._sums(_stacked([x]).swapaxes(1, 2) @ right)
            out[row] = sums / [self._divisor(x, y) for y in ys]
        return out

    @property
    def _what(self) -> str:
        return "squared canonical correlations" if self.squared else "canonical correlations"

    def _sums(self, c: Array) -> FloatArray:
        return to_numpy((c * c).sum((1, 2))) if self.squared else np.asarray(correlations(c).sum(-1))

    def _divisor(self, x: Basis, y: Basis) -> float:
        return float(np.sqrt(x.k * y.k)) if self.convention == "netrep" else float(min(x.k, y.k))

    def permuted(self, x: Basis, y: Basis, orders: IntArray) -> FloatArray:
        if x.room < x.n:
            x, y = x.exchangeable(), y.exchangeable()
            orders = orders[:, : x.n].argsort(1).argsort(1)  # permutations of as many rows as are left
        if self.squared:
            left, right = (single(side.u) if _single_will_do(x, y) else side.u for side in (x, y))
            products = ((left.T @ right[like(order, right)]).reshape(-1) for order in orders)
            return np.asarray([float(c @ c) for c in products]) / self._divisor(x, y)
        return np.concatenate([self._sums(c) for c in permuted_products(x, y, orders)]) / self._divisor(x, y)

    def law(self, x: Basis, y: Basis) -> NullLaw | None:
        if self.squared:
            moments = residual_moments(centred_moments(x.sums, y.sums), x.n, min(x.room, y.room) - 1)
            return NullLaw(*moments).scaled(1 / self._divisor(x, y))
        _, variance, _ = centred_moments(x.spread, y.spread)
        n = min(x.room, y.room)
        free = min(x.k, y.k, n - 1 - x.k, n - 1 - y.k)
        # Sentences of high leverage widen the permutation null beyond that of a random rotation: by how much is known
        # exactly for the sum of squares, and the sum of correlations follows it.
        plain = rotation_variance(x.spread, y.spread)
        widening = (variance / plain) ** 0.5 if plain > 0 else 1.0
        if free > 0 and widening > MOST_WIDENING:
            return None
        total, sd, skewness = few_correlations(x.k, y.k, n) if 0 < free < FEWEST_FREE else (*wachter(x.k, y.k, n), 0.0)
        return NullLaw(total, sd * widening, skewness).scaled(1 / self._divisor(x, y))

    def regressed(self, x: Basis, covariates: FloatArray) -> Basis:
        """Return an orthonormal basis of what the covariates leave of the directions kept.

        The directions are those of the whole side. What is compared then are partial canonical correlations (Rao
        1969): with T = U'Q = P diag(t) R', the residual directions U - Q T' have the inner products I - T T', whose
        inverse square root changes the c directions P alone.
        """
        u = double(x.u)
        q = like(covariates, u)
        inside = u.T @ q
        p, t, _ = linalg(u).svd(inside, full_matrices=False)
        rest = u - q @ inside.T
        along = rest @ p
        lengths = 1 - to_numpy(t) ** 2
        lost = lengths < 1e-10  # a direction that the covariates span whole
        scale = np.where(lost, 0.0, 1 / np.sqrt(np.where(lost, 1.0, lengths)))
        rest = rest + along @ (like(scale - 1, along)[:, None] * p.T)
        k = x.k - int(lost.sum())
        if not k:
            raise NothingLeft(self.name)
        if k < x.k:
            rest = linalg(rest).svd(rest, full_matrices=False)[0][:, :k]
        return Basis(rest, k, covariates=q)

    def mapped(self, x: Basis, rows: FloatArray) -> Basis:
        return x.mapped(rows)


def _stacked(sides: Sequence[Basis]) -> Array:
    """Return bases, damped where they are, as one tensor, shape (m, n, k); zeros stand for what a basis lacks."""
    k = max(side.k for side in sides)
    out = like(np.zeros((len(sides), sides[0].n, k)), sides[0].u)
    for at, side in enumerate(sides):
        u = double(side.u)
        out[at, :, : side.k] = u if side.damping is None else u * like(side.damping, u)[None, :]
    return out


@register
@dataclass(frozen=True)
class CCA(_MeanCorrelation):
    """Mean canonical correlation over all directions."""

    name = "cca"
    title = "CCA"
    references = ("hotelling1936relations", "raghu2017svcca")
    source = "Hotelling 1936; mean over min(rank): Raghu et al. 2017, arXiv 1706.05806"
    invariances = frozenset({"rotation", "scale", "shift", "linear"})

    squared: bool = False

    @property
    def convention_text(self) -> str:
        return f"mean of the {self._what} over min(rank x, rank y), all directions kept; both sides centred"

    def prepare(self, x: Representation) -> Basis:
        u, s = leading(x, None, None)
        return basis_of(u, s)


#: How published code differs from the paper's SVCCA.
SVCCA_CONVENTIONS: dict[str, str] = {
    "paper": "directions kept by their share of variance (squared singular values), mean over min(kx, ky)",
    "google": (
        "as the paper, with 1e-10 of the largest variance added to every variance before whitening "
        "(google/svcca, epsilon=1e-10)"
    ),
    "anatome": (
        "directions kept by their share of the *plain* singular values, which keeps several times more (anatome)"
    ),
    "netrep": (
        "as the paper, but the sum is divided by sqrt(kx ky) and not by min(kx, ky): below 1 on equal spans "
        "of unequal rank (netrep)"
    ),
}


@register
@dataclass(frozen=True)
class SVCCA(_MeanCorrelation):
    """Mean canonical correlation between leading principal subspaces."""

    name = "svcca"
    title = "SVCCA"
    references = ("raghu2017svcca",)
    lead = 8
    source = "Raghu, Gilmer, Yosinski, Sohl-Dickstein 2017, arXiv 1706.05806"
    invariances = frozenset({"rotation", "scale", "shift"})

    variance: float | None = None
    k: int | None = None
    squared: bool = False
    convention: str = "paper"
    chance: float | None = None

    def __post_init__(self) -> None:
        share(self.name, "variance", self.variance)
        share(self.name, "chance", self.chance)
        count(self.name, "k", self.k)
        one_of(self.name, "convention", self.convention, list(SVCCA_CONVENTIONS))
        given = [name for name in ("variance", "k", "chance") if getattr(self, name) is not None]
        if len(given) > 1:
            raise UsageError(f"svcca takes one of variance, k and chance, not {' and '.join(given)}")
        if not given:
            # Published code keeps by variance.
            name, value = ("chance", CHANCE) if self.convention == "paper" else ("variance", ENOUGH)
            object.__setattr__(self, name, value)
        for name in ("variance", "chance"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, float(value))
        if self.squared and self.convention != "paper":
            raise UsageError(f"svcca(squared=True) is defined for convention 'paper', not {self.convention!r}")

    @property
    def convention_text(self) -> str:
        if self.k is not None:
            kept = f"the {self.k} leading directions"
        elif self.chance is not None:
            kept = (
                f"as many leading directions as the sentences (or clusters of sentences) carry, so that unrelated ones "
                f"have a mean correlation of at most {self.chance:g}, or fewer with {ENOUGH:g} of the variance,"
            )
        else:
            kept = f"leading directions with {self.variance:g} of the variance"
        return (
            f"mean of the {self._what} between {kept} of each side; both centred; {self.convention}: "
            f"{SVCCA_CONVENTIONS[self.convention]}"
        )

    def prepare(self, x: Representation) -> Basis:
        variance, k = self.variance, self.k
        if self.chance is not None:
            units = x.n if x.clusters is None else int(x.clusters.max()) + 1
            k = min(directions_carried(units, self.chance), kept_by_variance(x.singular_values, ENOUGH))
        u, s = leading(x, variance, k, squared=self.convention != "anatome")
        return basis_of(u, s, epsilon=1e-10 if self.convention == "google" else 0.0)

    def in_part(self, units: int, of: int) -> Measure:
        """Keep as many directions as the whole carries: with fewer a part's score would vary more than the whole's."""
        if self.chance is None or units >= of:
            return self
        k = directions_carried(of, self.chance)
        return replace(self, chance=min(wachter(k, k, units)[0] / k + 1e-9, 1.0))


#: Whose variables weigh the canonical correlations of PWCCA.
PWCCA_SIDES = ("mean", "x", "y")

#: How published code differs from the paper's PWCCA.
PWCCA_CONVENTIONS: dict[str, str] = {
    "paper": "variates whitened, weights by the original features",
    "google": (
        "variates formed without whitening and then made orthonormal one after the other, weights by the principal "
        "components kept, on the side with fewer of them (google/svcca on reduced input; on raw input its number also "
        "moves with the mean, which is not reproduced: both sides are centred)"
    ),
}


@register
@dataclass(frozen=True)
class PWCCA(_Canonical):
    """Projection-weighted mean of the canonical correlations."""

    name = "pwcca"
    title = "PWCCA"
    references = ("morcos2018insights",)
    source = "Morcos, Raghu, Bengio 2018, arXiv 1806.05759"
    invariances = frozenset({"scale", "shift"})

    side: str = "mean"
    variance: float | None = 0.99
    convention: str = "paper"

    def __post_init__(self) -> None:
        one_of(self.name, "side", self.side, PWCCA_SIDES)
        one_of(self.name, "convention", self.convention, list(PWCCA_CONVENTIONS))
        if self.convention == "google" and self.side != "mean":
            raise UsageError(f"pwcca(side={self.side!r}): google's convention chooses the side itself; leave side out")
        share(self.name, "variance", self.variance)

    @property
    def convention_text(self) -> str:
        kept = "all directions" if self.variance is None else f"directions with {self.variance:g} of the variance"
        if self.convention == "google":
            return f"canonical correlations weighted, {kept}; google: {PWCCA_CONVENTIONS['google']}"
        sides = {"mean": "mean of both sidings", "x": "sided on x", "y": "sided on y"}[self.side]
        return (
            "canonical correlations weighted by sum over features of |<variate, feature>|, variates whitened, "
            f"{kept}; {sides}; both centred"
        )

    @property
    def symmetric(self) -> bool:
        return self.side == "mean" and self.convention == "paper"

    def prepare(self, x: Representation) -> Basis:
        u, s = leading(x, self.variance, None)
        if self.convention == "google" and self.variance is not None:
            return basis_of(u, s, loadings=like(np.diag(s), u))
        return basis_of(u, s, loadings=u.T @ x.centred)

    def value(self, x: Basis, y: Basis) -> float:
        return self._one(product(x, y), x, y)

    def _one(self, c: Array, x: Basis, y: Basis) -> float:
        left, rho, right = linalg(c).svd(c, full_matrices=False)
        r = np.clip(to_numpy(rho), 0.0, 1.0)
        assert x.loadings is not None
        assert y.loadings is not None
        if self.convention == "google":
            of_x = x.k <= y.k
            variates, loadings = (to_numpy(left), x.loadings) if of_x else (to_numpy(right).T, y.loadings)
            return _weighed_as_google(variates, r, to_numpy(loadings))
        sides = {"x": (left.T, x.loadings), "y": (right, y.loadings)}
        means = []
        for variates, loadings in [sides[self.side]] if self.side in sides else sides.values():
            weights = to_numpy(abs(variates @ loadings).sum(1))
            means.append(float(weights @ r / weights.sum()) if weights.sum() > 0 else 0.0)
        return float(np.mean(means))

    def permuted(self, x: Basis, y: Basis, orders: IntArray) -> FloatArray:
        blocks = permuted_products(x, y, orders)
        return np.asarray([self._one(c, x, y) for products in blocks for c in products])


def _weighed_as_google(variates: FloatArray, rho: FloatArray, loadings: FloatArray) -> float:
    """Return google/svcca's weighted mean; `loadings` (k, d) are the singular values along their directions."""
    scales = np.linalg.norm(loadings, axis=1)
    ordered, _ = np.linalg.qr(scales[:, None] * variates)
    weights = np.abs(ordered.T @ loadings).sum(axis=1)
    return float(weights @ rho / weights.sum())


def cca(x: Any, y: Any, *, squared: bool = False) -> float:
    """Mean canonical correlation.

    Both sides are centred; directions at the level of rounding are dropped; the mean runs over min(rank x, rank y).
    With n sentences and ranks that sum to more than n - 1, correlations are 1 by force:
    :func:`~babelscope.similarity.score` says so.

    Parameters
    ----------
    x, y : array_like or torch.Tensor, shapes (n, dx), (n, dy)
        One row a sentence, the same sentences in the same order.
    squared : bool
        Mean of the squared correlations.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    DataError
        If a side is constant, holds NaN, or has another number of sentences than the other, or fewer than 5.

    References
    ----------
    Hotelling 1936. As `scipy.linalg.subspace_angles` (mean cosine), statsmodels `CanCorr`.
    """
    return make(CCA, squared=squared).between(x, y)


def svcca(
    x: Any,
    y: Any,
    *,
    variance: float | None = None,
    k: int | None = None,
    squared: bool = False,
    convention: str = "paper",
    chance: float | None = None,
) -> float:
    """SVCCA: mean canonical correlation between the leading principal subspaces of the two sides.

    With directions kept by variance, its value for *unrelated* data is high and depends on n and on the spectrum (.3 to
    .97 on a few hundred sentences). By default as many are kept as n sentences carry (`chance`). Compare it with
    its null, with :func:`~babelscope.similarity.score`.

    Parameters
    ----------
    x, y : array_like or torch.Tensor, shapes (n, dx), (n, dy)
        One row a sentence, the same sentences in the same order.
    variance : float, optional
        Keep the fewest leading directions with this share of the variance (squared singular values): .99 in the
        paper, .90 in later work on speech.
    k : int, optional
        Keep this many directions.
    squared : bool
        Mean of the squared correlations: its null has exact moments.
    convention : {"paper", "google", "anatome", "netrep"}
        Whose number to reproduce; see :data:`SVCCA_CONVENTIONS`. All but the first keep .99 of the variance if
        nothing is said.
    chance : float, optional
        Keep the most directions with which unrelated sides have a mean correlation of at most this
        (:func:`directions_carried`), and no more than .99 of the variance needs. 0.4 if none of the three is given.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    UsageError
        For a parameter out of range, or two of `variance`, `k` and `chance`.
    DataError
        If a side is constant, holds NaN, or has another number of sentences than the other, or fewer than 5.

    References
    ----------
    Raghu, Gilmer, Yosinski, Sohl-Dickstein 2017, arXiv 1706.05806.
    """
    return make(SVCCA, variance=variance, k=k, squared=squared, convention=convention, chance=chance).between(x, y)


def pwcca(x: Any, y: Any, *, side: str = "mean", variance: float | None = 0.99, convention: str = "paper") -> float:
    """Projection-weighted CCA by the paper's definition.

    The i-th canonical correlation has the weight sum_j |<h_i, x_j>|, h_i being the whitened canonical variate and x_j
    the centred features of the weighing side.

    Parameters
    ----------
    x, y : array_like or torch.Tensor, shapes (n, dx), (n, dy)
        One row a sentence, the same sentences in the same order.
    side : {"mean", "x", "y"}
        Whose features weigh; "mean" averages both, which makes it symmetric. The paper takes one side.
    variance : float or None
        Reduce each side first to the directions with this share of the variance. The paper reduces nothing (None),
        which saturates as soon as the features outnumber the sentences.
    convention : {"paper", "google"}
        Whose number to reproduce; see :data:`PWCCA_CONVENTIONS`.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    UsageError, DataError
        As :func:`svcca`.

    References
    ----------
    Morcos, Raghu, Bengio 2018, arXiv 1806.05759, section 3. google/svcca omits the whitening and gives another number.
    """
    return make(PWCCA, side=side, variance=variance, convention=convention).between(x, y)
