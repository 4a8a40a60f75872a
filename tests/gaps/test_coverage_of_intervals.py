"""What the intervals of single scores claim: they hold the score's mean over studies of as many other sentences.

The target is the population value *at n*: the mean of the score over draws of n sentences. SVCCA and retrieval have
other values with other n, and no interval from n sentences could hold what they would be with infinitely many.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import t as student

from babelscope.gaps.resampling import deviations
from babelscope.similarity import linear_cka, retrieval, svcca

MEASURES = {
    "svcca": lambda x, y: svcca(x, y),
    "svcca(variance=0.99)": lambda x, y: svcca(x, y, variance=0.99),
    "svcca(variance=0.9)": lambda x, y: svcca(x, y, variance=0.9),
    "linear_cka": lambda x, y: linear_cka(x, y),
    "retrieval": lambda x, y: retrieval(x, y),
}


def sides(n: int, seed: int, width: int, falling: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Half of the variance of each side is common to both; the i-th direction has a variance of i ** (-2 falling)."""
    generator = np.random.default_rng([seed, n])
    scale = np.arange(1, width + 1) ** -falling
    common, first, second = generator.standard_normal((3, n, width))
    return (common + first) * scale, (common + second) * scale


def covered(
    count: int, *, n: int, width: int, falling: float, names: tuple[str, ...] = tuple(MEASURES)
) -> dict[str, float]:
    """The share of draws in which each measure's interval holds the mean of its scores over all draws."""
    scores, reaches = np.empty((count, len(names))), np.empty((count, len(names)))
    for seed in range(count):
        x, y = sides(n, seed, width, falling)

        def score(rows: NDArray[np.int64], both: tuple[NDArray[np.float64], ...] = (x, y)) -> NDArray[np.float64]:
            return np.array([MEASURES[name](*(side[rows] for side in both)) for name in names])

        drawn = deviations(score, n, seed=seed)
        blocks, halves = ((part**2).sum(0) for part in (drawn.blocks, drawn.halves))
        scores[seed] = score(np.arange(n))
        reaches[seed] = student.ppf(0.975, drawn.freedom) * np.sqrt(blocks - np.minimum(halves, blocks / 2))
    shares = (np.abs(scores - scores.mean(0)) <= reaches).mean(0)
    return dict(zip(names, shares.tolist(), strict=True))


def test_intervals_of_every_default_measure_cover(count: int = 40) -> None:
    shares = covered(count, n=40, width=16, falling=0.0, names=("svcca(variance=0.9)", "linear_cka", "retrieval"))
    assert min(shares.values()) >= 0.85, shares  # 34 of 40: one in two hundred where 95 % cover
    assert shares["svcca(variance=0.9)"] < 1  # an interval that never misses says too little


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "width", "falling"), [(60, 24, 0.0), (60, 96, 0.75), (200, 96, 0.75)], ids=["flat", "falling", "more"]
)
def test_intervals_of_every_default_measure_cover_in_500_draws(n: int, width: int, falling: float) -> None:
    shares = covered(500, n=n, width=width, falling=falling)
    # Debiased CKA of 60 sentences in which few directions weigh has a skew that no symmetric interval follows: 91.8 %.
    # Plain SVCCA keeps fewer directions in a part of the sentences, which makes its intervals somewhat too wide.
    assert all(0.91 <= share <= (1.0 if name == "svcca" else 0.98) for name, share in shares.items()), shares
