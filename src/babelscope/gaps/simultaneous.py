"""Many contrasts of scores tested at once: intervals that all hold together with 95 % probability (max-t).

The scores' deviations give the joint covariance of any set of contrasts. The largest of their t statistics is drawn
from a multivariate Student's t with that correlation, so that the correction counts contrasts that move together only
as often as they differ (Hothorn, Bretz & Westfall 2008; Chernozhukov, Chetverikov & Kato 2013).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from babelscope.gaps.contrasts import Scored, Term, satterthwaite
from babelscope.similarity import student
from babelscope.similarity.arrays import FloatArray
from babelscope.similarity.intervals import interval_on_scale

#: Degrees of freedom up to which variances are left as the jackknife gives them, which is too large: those of drawn
#: deviations, whose halves show only roughly what is counted twice.
FEW = 15

#: Draws of the largest t statistic, and how many are made at a time.
DRAWS, AT_ONCE = 20_000, 2_000


@dataclass(frozen=True)
class Simultaneous:
    """Several contrasts with their joint distribution, for other sentences.

    `values` and `errors`, shapes (m,), are the contrasts and their standard errors, NaN where these cannot be
    estimated. `largest` are draws of the largest absolute t statistic of all m where every contrast is 0; empty without
    errors.
    """

    values: FloatArray
    errors: FloatArray
    largest: FloatArray
    freedom: float

    def quantile(self, alpha: float = 0.05) -> float:
        """Return the value that the largest absolute t exceeds with probability `alpha`; NaN without errors."""
        return float(np.quantile(self.largest, 1 - alpha)) if len(self.largest) else float("nan")

    def intervals(
        self, alpha: float = 0.05, *, scale: str = "score", units: float = np.inf
    ) -> tuple[FloatArray, FloatArray]:
        """Return the lower and upper ends of intervals that hold together with probability 1 - `alpha`.

        `scale` and `units`, of contrasts that are scores, or averages of scores, are as for
        :func:`babelscope.similarity.intervals.interval_on_scale`.
        """
        return interval_on_scale(self.values, self.quantile(alpha) * self.errors, scale, units)

    def detectable(self, errors: FloatArray, alpha: float = 0.05, power: float = 0.8) -> float:
        """Return the difference that is found with probability `power` in the contrast with the largest error."""
        if not len(self.largest) or not np.isfinite(errors).any():
            return float("nan")
        return float((self.quantile(alpha) + student.quantile(power, self.freedom)) * np.nanmax(errors))


def simultaneous(scored: Scored, contrasts: Sequence[Sequence[Term]], *, seed: int = 0) -> Simultaneous:
    """Return several contrasts of scores with their joint distribution.

    Each is a sum of weights times plain means over rows; `seed` is that of the draws.
    """
    used = np.unique(np.concatenate([rows for terms in contrasts for _, rows in terms]))
    weights = np.zeros((len(contrasts), len(used)))
    for row, terms in zip(weights, contrasts, strict=True):
        for weight, rows in terms:
            np.add.at(row, np.searchsorted(used, rows), weight / len(rows))
    values, deviations = weights @ scored.values[used], scored.deviations.at(used)
    if deviations.freedom < 1 or not np.isfinite(deviations.blocks).all():
        return Simultaneous(values, np.full(len(values), np.nan), np.empty(0), 0.0)
    blocks, halves = deviations.blocks @ weights.T, deviations.halves @ weights.T
    square = (blocks**2).sum(0)
    # The share that pairs of sentences add twice is estimated over all contrasts: that of a single one varies much, and
    # where it is overestimated the largest t would be too large. With few degrees of freedom it is not taken off.
    twice = min(float((halves**2).sum() / max(square.sum(), 1e-300)), 0.5) if deviations.freedom > FEW else 0.0
    # What other readers bring is joined to what other sentences do, each with its own degrees of freedom.
    readers = scored.reader_rows(used) @ weights.T
    blocks = np.concatenate([blocks * (1 - twice) ** 0.5, readers])
    square, added = square * (1 - twice), (readers**2).sum(0)
    errors = np.sqrt(square + added)
    count = 0 if deviations.readers is None else len(deviations.readers)
    freedom = float(satterthwaite(square.sum(), deviations.freedom, added.sum(), count))
    known = errors > 1e-9
    if not known.any():
        return Simultaneous(values, np.full(len(values), np.nan), np.empty(0), 0.0)
    unit = blocks[:, known] / errors[known]
    # Its rows serve through their inner products alone: a triangle of as few rows has the same.
    unit = np.linalg.qr(unit, mode="r") if len(unit) > unit.shape[1] else unit
    generator = np.random.default_rng(seed)
    largest = [
        np.abs(generator.standard_normal((AT_ONCE, len(unit))) @ unit).max(1)
        / np.sqrt(generator.chisquare(freedom, AT_ONCE) / freedom)
        for _ in range(DRAWS // AT_ONCE)
    ]
    return Simultaneous(values, np.where(known, errors, np.nan), np.concatenate(largest), freedom)
