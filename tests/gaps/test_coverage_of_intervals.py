"""What the intervals of single scores claim: they hold the score's mean over studies of as many other sentences.

The target is the population value *at n*: the mean of the score over draws of n sentences. SVCCA and retrieval have
other values with other n, and no interval from n sentences could hold what they would be with infinitely many.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from babelscope.gaps.contrasts import Scored
from babelscope.similarity import Representation, directions_carried, parse_measure, score
from babelscope.similarity.deviations import Deviations, deviations, in_part

MEASURES = ("svcca", "svcca(variance=0.99)", "svcca(variance=0.9)", "linear_cka", "retrieval")


def sides(
    n: int, seed: int, width: int, falling: float, share: float = 0.5
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Half of the variance of each side is common to both; the i-th direction has a variance of i ** (-2 falling)."""
    generator = np.random.default_rng([seed, n])
    scale = np.arange(1, width + 1) ** -falling
    common, first, second = generator.standard_normal((3, n, width))
    common, first, second = common * (2 * share) ** 0.5, first * (2 - 2 * share) ** 0.5, second * (2 - 2 * share) ** 0.5
    return (common + first) * scale, (common + second) * scale


def ends_of(name: str, value: float, found: Deviations) -> list[float]:
    """The interval of a single score, by the rule of a study."""
    rows = pd.DataFrame({"measure": [name], "value": [value]})
    return [float(end[0]) for end in Scored(rows, found).intervals()]


def share_held(scores: NDArray[np.float64], ends: NDArray[np.float64]) -> list[float]:
    """The share of draws in which each interval holds the mean of the scores over all draws."""
    target = scores.mean(0)
    return list(((ends[..., 0] <= target) & (target <= ends[..., 1])).mean(0))


def covered(count: int, *, n: int, width: int, falling: float, names: tuple[str, ...] = MEASURES) -> dict[str, float]:
    """The share of draws in which each measure's interval holds the mean of its scores over all draws."""
    scores, ends = np.empty((count, len(names))), np.empty((count, len(names), 2))
    for seed in range(count):
        x, y = sides(n, seed, width, falling)

        def scores_of(rows: NDArray[np.int64], both: tuple[NDArray[np.float64], ...] = (x, y)) -> NDArray[np.float64]:
            by = [in_part(parse_measure(name), rows, n, None) for name in names]
            return np.array([measure.between(*(side[rows] for side in both)) for measure in by])

        drawn = deviations(scores_of, n, seed=seed)
        scores[seed] = scores_of(np.arange(n))
        for at, name in enumerate(names):
            ends[seed, at] = ends_of(name, scores[seed, at], drawn.at(np.array([at])))
    return dict(zip(names, share_held(scores, ends), strict=True))


def test_a_part_of_the_sentences_is_scored_with_as_many_directions_as_the_whole() -> None:
    x, _ = sides(60, 0, 32, 0.0)
    carried = directions_carried(60)
    for rows in (np.arange(45), np.arange(30)):
        by = in_part(parse_measure("svcca"), rows, 60, None)
        assert by.prepare(Representation(x[rows])).k == carried > directions_carried(len(rows))
        for name in ("svcca(variance=0.9)", "svcca(k=3)", "linear_cka"):
            assert in_part(parse_measure(name), rows, 60, None) == parse_measure(name)
    clusters = np.arange(60) // 3  # of 20 documents, of which 15 are left
    by = in_part(parse_measure("svcca"), np.arange(45), 60, clusters)
    part = Representation(x[:45], clusters=clusters[:45])
    assert by.prepare(part).k == directions_carried(20) > directions_carried(15)


def test_an_interval_of_arrays_keeps_the_directions_of_the_whole() -> None:
    x, y = sides(60, 1, 32, 0.0)
    by_name, by_number = (score(x, y, name, interval=True) for name in ("svcca", f"svcca(k={directions_carried(60)})"))
    assert (by_name.low, by_name.high) == (by_number.low, by_number.high)


def test_intervals_of_every_default_measure_cover(count: int = 40) -> None:
    shares = covered(
        count, n=40, width=16, falling=0.0, names=("svcca", "svcca(variance=0.9)", "linear_cka", "retrieval")
    )
    assert min(shares.values()) >= 0.85, shares  # 34 of 40: one in two hundred where 95 % cover
    assert shares["svcca(variance=0.9)"] < 1  # an interval that never misses says too little


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "width", "falling"), [(60, 24, 0.0), (60, 96, 0.75), (200, 96, 0.75)], ids=["flat", "falling", "more"]
)
def test_intervals_of_every_default_measure_cover_in_500_draws(n: int, width: int, falling: float) -> None:
    shares = covered(500, n=n, width=width, falling=falling)
    assert all(0.91 <= share <= 0.985 for share in shares.values()), shares
