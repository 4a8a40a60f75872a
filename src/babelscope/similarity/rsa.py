"""Representational similarity analysis: whether the two sides order pairs of sentences by distance alike."""

# ruff: noqa: D102  (what overrides do is documented in Measure)
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from babelscope.errors import DataError
from babelscope.similarity.arrays import FloatArray, label_of, to_numpy
from babelscope.similarity.jackknife import Clusters
from babelscope.similarity.measure import make, one_of, register
from babelscope.similarity.representation import Representation
from babelscope.similarity.trace import Kernel, TraceForm, row_weighted

METRICS = ("correlation", "cosine", "euclidean")
COMPARISONS = ("spearman", "pearson")


@register
@dataclass(frozen=True)
class RSA(TraceForm):
    """Correlation of the two sides' distances between sentences."""

    name = "rsa"
    title = "RSA"
    references = ("kriegeskorte2008representational",)
    lead = 5
    geometric = True
    source = "Kriegeskorte, Mur, Bandettini 2008, Frontiers in Systems Neuroscience 2:4"
    centres = False
    range = (-1.0, 1.0)
    interval_scale = "squared correlation"  # distances are squares of what the two sides have in common

    metric: str = "correlation"
    compare: str = "spearman"

    def __post_init__(self) -> None:
        one_of(self.name, "metric", self.metric, METRICS)
        one_of(self.name, "compare", self.compare, COMPARISONS)

    @property
    def convention_text(self) -> str:
        metric = {
            "correlation": "1 - Pearson correlation of two sentences over the features",
            "cosine": "1 - cosine of two sentences",
            "euclidean": "Euclidean distance of two sentences",
        }[self.metric]
        return (
            f"{self.compare.capitalize()} correlation, over all pairs of sentences, of the two sides' distances "
            f"({metric}); columns are not centred"
        )

    @property
    def invariances(self) -> frozenset[str]:
        return {
            "correlation": frozenset({"scale"}),
            "cosine": frozenset({"rotation", "scale"}),
            "euclidean": frozenset({"rotation", "scale", "shift"}),
        }[self.metric]

    def prepare(self, x: Representation) -> Kernel:
        upper = np.triu_indices(x.n, 1)
        if x.constant == x.d:
            raise x.nothing_varies()
        distances = self._distances(x)[upper]
        if self.compare == "spearman":
            from scipy.stats import rankdata  # all of it takes a second to import

            # Distances that differ by rounding only are ties.
            distances = rankdata(np.round(distances / max(float(distances.max()), 1e-300), 12))
        distances = distances - distances.mean()
        norm = float(distances @ distances) ** 0.5
        if not norm > 1e-12 * distances.size**0.5:
            raise DataError(f"{label_of(x.name)}: all pairs of sentences are equally far apart, so rsa is not defined")
        matrix = np.zeros((x.n, x.n))
        matrix[upper] = distances / (norm * 2**0.5)
        return Kernel(row_weighted(matrix + matrix.T), clusters=None if x.clusters is None else Clusters(x.clusters))

    def of_one_column(self) -> RSA:
        # A single number has no correlation over features.
        return replace(self, metric="euclidean")

    def before_regressing(self, rows: FloatArray) -> FloatArray:
        return rows - rows.mean(1, keepdims=True) if self.metric == "correlation" else rows

    def influence(self, x: Kernel, y: Kernel) -> FloatArray:
        """Delete the distances of each sentence, or of each cluster, in turn; the ranks of the others stay.

        A cluster's influence is divided evenly over its sentences.
        """
        n, clusters = x.n, x.clusters
        (a, sums_a), (b, sums_b) = (_plain(side.matrix) for side in (x, y))
        lost = np.ones(n, dtype=np.int64) if clusters is None else clusters.sizes
        entries = (n - lost) * (n - lost - 1)  # that are left

        def taken(matrix: FloatArray, rows: FloatArray) -> FloatArray:
            """What leaves the sum of a matrix, of these row sums."""
            if clusters is None:
                return 2 * rows
            inside = clusters.total(clusters.own(clusters.sums(matrix)))
            return np.asarray(2 * clusters.total(rows) - inside)

        gone_a, gone_b = taken(a, sums_a), taken(b, sums_b)

        def without(p: FloatArray, q: FloatArray, gone_p: FloatArray, gone_q: FloatArray) -> FloatArray:
            products = p * q
            rows = products.sum(1)
            return np.asarray(rows.sum() - taken(products, rows) - gone_p * gone_q / entries)

        rest = np.sqrt(without(a, a, gone_a, gone_a) * without(b, b, gone_b, gone_b))
        each = np.asarray((n - lost) * (float(np.vdot(a, b)) - without(a, b, gone_a, gone_b) / rest), dtype=np.float64)
        return each if clusters is None else clusters.spread(each)

    def _distances(self, x: Representation) -> FloatArray:
        if self.metric == "euclidean":
            return np.asarray(np.sqrt(x.square_distances))
        if self.metric == "cosine":
            return 1 - x.cosines(centre=False)
        rows = x.rows / float(abs(x.rows).max() or 1.0)
        rows = rows - rows.mean(1)[:, None]
        norms = to_numpy((rows * rows).sum(1)) ** 0.5
        if not norms.min() > 1e-14 * norms.max():
            bad = int(np.argmin(norms))
            raise DataError(
                f"{label_of(x.name)}: row {bad} (counted from 0) has the same value in all features, its correlation "
                "is not defined; "
                "use rsa(metric='euclidean')"
            )
        gram = to_numpy(rows @ rows.T)
        return np.asarray(1 - gram / norms[:, None] / norms[None, :])


def _plain(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the distances that :func:`~babelscope.similarity.trace.row_weighted` was given, and their row sums."""
    n = matrix.shape[0]
    r = -np.diag(matrix) / ((2 / n) ** 0.5 * (n - 2))
    out = matrix + (1 - (2 / n) ** 0.5) * (r[None, :] + r[:, None])
    np.fill_diagonal(out, 0.0)
    return out, (n - 2) * r


def rsa(x: Any, y: Any, *, metric: str = "correlation", compare: str = "spearman") -> float:
    """Representational similarity analysis.

    Parameters
    ----------
    x, y : array_like or torch.Tensor, shapes (n, dx), (n, dy)
        One row a sentence, the same sentences in the same order.
    metric : {"correlation", "cosine", "euclidean"}
        Distance between two sentences of one side. Columns are not centred.
    compare : {"spearman", "pearson"}
        How the two sides' distances are compared, over the n (n - 1) / 2 pairs of sentences.

    Returns
    -------
    float
        In [-1, 1].

    Raises
    ------
    UsageError, DataError
        For an unknown option; for NaN, unequal numbers of sentences, fewer than 5, or a side without any differences.

    References
    ----------
    Kriegeskorte, Mur, Bandettini 2008, Frontiers in Systems Neuroscience 2:4.
    """
    return make(RSA, metric=metric, compare=compare).between(x, y)
