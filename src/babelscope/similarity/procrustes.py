"""Orthogonal Procrustes: how well one rotation lays one side upon the other."""

# ruff: noqa: D102  (what overrides do is documented in Measure)
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from babelscope.similarity.arrays import Array, FloatArray, IntArray, like, linalg, to_numpy
from babelscope.similarity.jackknife import Clusters
from babelscope.similarity.measure import Measure, chunks, make, one_of, register
from babelscope.similarity.representation import Representation

FORMS = ("cosine", "angle", "distance", "disparity")
BLOCK = 4_000_000


@dataclass
class Shape:
    """A side up to rotation: u * s, (n, r), of Frobenius norm 1."""

    factor: Array
    s: FloatArray
    clusters: Clusters | None = None


@register
@dataclass(frozen=True)
class Procrustes(Measure):
    """Orthogonal Procrustes similarity."""

    name = "procrustes"
    title = "Procrustes"
    references = ("williams2021generalized",)
    lead = 6
    geometric = True
    source = (
        "Schonemann 1966; Williams et al. 2021, arXiv 2110.14739 (angle); Ding et al. 2021, arXiv 2108.01661 (distance)"
    )
    invariances = frozenset({"rotation", "scale", "shift"})

    form: str = "cosine"

    def __post_init__(self) -> None:
        one_of(self.name, "form", self.form, FORMS)

    @property
    def convention_text(self) -> str:
        form = {
            "cosine": "cos t = nuclear norm of X'Y",
            "angle": "t = arccos of the nuclear norm of X'Y, in radians, 0 is best",
            "distance": "sqrt(2 - 2 cos t), the distance of the two after the best rotation, 0 is best",
            "disparity": "1 - cos^2 t, as scipy.spatial.procrustes, 0 is best",
        }[self.form]
        return f"{form}; both sides centred and of Frobenius norm 1"

    @property
    def higher_is_better(self) -> bool:
        return self.form == "cosine"

    @property
    def best(self) -> float:
        return 1.0 if self.form == "cosine" else 0.0

    @property
    def range(self) -> tuple[float, float]:
        return (0.0, {"cosine": 1.0, "angle": np.pi / 2, "distance": 2**0.5, "disparity": 1.0}[self.form])

    @property
    def interval_scale(self) -> str:
        return "correlation" if self.form == "cosine" else "score"

    def prepare(self, x: Representation) -> Shape:
        u, s, _ = x.svd
        s = s / float(s @ s) ** 0.5
        return Shape(u * like(s, u), s, None if x.clusters is None else Clusters(x.clusters))

    def value(self, x: Shape, y: Shape) -> float:
        c = x.factor.T @ y.factor
        return float(self._formed(np.asarray([to_numpy(linalg(c).svdvals(c)).sum()]))[0])

    def influence(self, x: Shape, y: Shape) -> FloatArray:
        """Return what the score loses with each sentence, or each cluster, while the best rotation stays.

        With X'Y = U S V', sentence i has the share x_i U V' y_i' of the nuclear norm: its derivative, so that this is
        exact to first order. What another rotation gains is of second order. A cluster's influence is divided evenly
        over its sentences.
        """
        u, s, v = np.linalg.svd(to_numpy(x.factor.T @ y.factor), full_matrices=False)
        a, b = to_numpy(x.factor), to_numpy(y.factor)
        n = len(a)
        clusters = x.clusters or Clusters(np.arange(n))

        def taken(p: FloatArray, q: FloatArray) -> FloatArray:
            """What each cluster takes off the product of two centred sides; it moves the means, too."""
            own = clusters.total((p * q).sum(1))
            return np.asarray(own + (clusters.sums(p.T) * clusters.sums(q.T)).sum(0) / (n - clusters.sizes))

        left = s.sum() - taken(a @ u, b @ v.T)
        without = self._formed(left / np.sqrt(np.maximum((1 - taken(a, a)) * (1 - taken(b, b)), 1e-300)))
        return clusters.spread((n - clusters.sizes) * (self._formed(np.asarray([s.sum()])) - without))

    def _formed(self, cosine: FloatArray) -> FloatArray:
        cosine = np.clip(cosine, 0.0, 1.0)  # above 1 by rounding only
        if self.form == "cosine":
            return cosine
        if self.form == "angle":
            return np.asarray(np.arccos(cosine))
        return np.asarray(np.sqrt(2 - 2 * cosine)) if self.form == "distance" else 1 - cosine**2

    def permuted(self, x: Shape, y: Shape, orders: IntArray) -> FloatArray:
        out = np.empty(len(orders))
        n, kx = x.factor.shape
        ky = y.factor.shape[1]
        for block in chunks(len(orders), BLOCK // max(n * ky, 1)):
            shuffled = y.factor[like(orders[block], y.factor)].swapaxes(0, 1).reshape(n, -1)
            c = (x.factor.T @ shuffled).reshape(kx, -1, ky).swapaxes(0, 1)
            square = c @ c.swapaxes(1, 2) if kx <= ky else c.swapaxes(1, 2) @ c
            out[block] = np.sqrt(np.maximum(to_numpy(linalg(square).eigvalsh(square)), 0.0)).sum(-1)
        return self._formed(out)


def procrustes(x: Any, y: Any, *, form: str = "cosine") -> float:
    """Orthogonal Procrustes similarity, angle or distance.

    Parameters
    ----------
    x, y : array_like or torch.Tensor, shapes (n, dx), (n, dy)
        One row a sentence, the same sentences in the same order; the widths may differ (the narrower is padded with
        zeros, in effect).
    form : {"cosine", "angle", "distance", "disparity"}
        cos t = |X'Y|_* with both sides centred and of norm 1; t in radians; sqrt(2 - 2 cos t); 1 - cos^2 t (as
        `scipy.spatial.procrustes`). All but the first are 0 for shapes that agree.

    Returns
    -------
    float

    Raises
    ------
    UsageError, DataError
        For an unknown form; for NaN, a constant side, unequal numbers of sentences or fewer than 5.

    References
    ----------
    Schonemann 1966; Williams, Kunz, Kornblith, Linderman 2021, arXiv 2110.14739; Ding, Denain, Steinhardt 2021, arXiv
    2108.01661.
    """
    return make(Procrustes, form=form).between(x, y)
