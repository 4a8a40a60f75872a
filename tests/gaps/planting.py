"""Planted data drawn again and again: the scores of a study, as `compare` gives them, without a store for each draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from babelscope.capture import Activations
from babelscope.gaps import Result, compare, plan
from babelscope.gaps.by_class import intervals_of_means
from babelscope.gaps.comparisons import Comparison
from babelscope.gaps.contrasts import Scored, scored_by_measure
from babelscope.gaps.curves import curves
from babelscope.gaps.headline import headline
from babelscope.gaps.tables import tables_of_scores
from babelscope.similarity.deviations import deviations
from babelscope.testing import Planted, planted_activations, planted_vectors

KINDS = ("modality_similarity", "language_similarity_text", "language_similarity_speech")


class Planting:
    """Draws of one planted design under linear CKA, whose null has mean 0 exactly."""

    def __init__(
        self, folder: Path, points: Mapping[str, Planted], *, n: int, languages: Sequence[str], width: int = 16
    ) -> None:
        self.points, self.n, self.languages, self.width = points, n, tuple(languages), width
        self.store: Activations = planted_activations(
            folder / "planted.zarr", points, n=n, languages=languages, width=width
        )
        result = compare(self.store, ["linear_cka"], permutations=19, controls=("none",), kinds=KINDS, interval=False)
        self.template = result.scores
        self.comparisons: list[Comparison] = plan(self.store, kinds=KINDS)
        self.sides = [(modality, language) for modality in ("text", "speech") for language in self.languages]
        names, where = list(points), {side: at for at, side in enumerate(self.sides)}
        self.at = np.array([names.index(one.a.point) for one in self.comparisons])
        self.first = np.array([where[one.a.modality, one.a.language] for one in self.comparisons])
        self.second = np.array([where[one.b.modality, one.b.language] for one in self.comparisons])
        assert all(one.same_space for one in self.comparisons) and len(self.comparisons) == len(self.template)

    def draw(self, seed: int, permutations: int = 0) -> tuple[pd.DataFrame, dict[str, Scored]]:
        """Return the scores of one draw, and the same with their deviations; with permutations the null's 95 % too."""
        vectors, _ = planted_vectors(self.points, n=self.n, languages=self.languages, width=self.width, seed=seed)
        stacked = np.array([[vectors[side][point] for side in self.sides] for point in self.points], dtype=np.float64)
        grams = stacked @ stacked.swapaxes(2, 3)

        def kernels_of(rows: NDArray[np.int64]) -> NDArray[np.float64]:
            kernels = _u_centred(grams[:, :, rows][:, :, :, rows])
            return np.asarray(kernels / np.linalg.norm(kernels, axis=(2, 3), keepdims=True))

        def score(rows: NDArray[np.int64]) -> NDArray[np.float64]:
            kernels = kernels_of(rows).reshape(*grams.shape[:2], -1)
            return np.asarray((kernels @ kernels.swapaxes(1, 2))[self.at, self.first, self.second])

        value = score(np.arange(self.n))
        # The null's variance is that of two U-centred matrices of norm 1 under permutation (Szekely & Rizzo 2014).
        p = norm.sf(value * (self.n * (self.n - 3) / 2) ** 0.5)
        scores = self.template.assign(value=value, null_mean=0.0, n=float(self.n), p=p)
        scores = scores.assign(chance_corrected=value, calibrated=np.nan)
        if permutations:
            kernels, generator = kernels_of(np.arange(self.n)), np.random.default_rng(0)
            flat, drawn = kernels.reshape(*grams.shape[:2], -1), []
            for _ in range(permutations):
                order = generator.permutation(self.n)
                other = kernels[:, :, order][:, :, :, order].reshape(flat.shape)
                drawn.append((flat @ other.swapaxes(1, 2))[self.at, self.first, self.second])
            scores["null_q95"] = np.quantile(drawn, 0.95, axis=0)
        return scores, scored_by_measure(scores, self.comparisons, {"linear_cka": deviations(score, self.n, seed=seed)})

    def result(self, seed: int) -> Result:
        """Return the scores, tables and headline of one draw, as a study has them."""
        scores, scored = self.draw(seed)
        tables = tables_of_scores(self.store, scores, scored)
        means, _ = intervals_of_means(scored, tables["by_class"], self.languages)
        along = curves(scores, means)
        said = headline(along, scores, {}, tables)
        return Result(scores, along, {"headline": [str(sentence) for sentence in said]}, tables)


def _u_centred(kernels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Debiased linear CKA's centring (Szekely & Rizzo 2014), for a stack of Gram matrices."""
    n = kernels.shape[-1]
    off = 1 - np.eye(n)
    out = kernels * off
    rows = out.sum(-1) / (n - 2)
    rows = rows - rows.sum(-1, keepdims=True) / (2 * (n - 1))
    return np.asarray((out - rows[..., None, :] - rows[..., :, None]) * off)
